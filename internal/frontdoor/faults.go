package frontdoor

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// faults writes what is our own fault to the log, at most a line a minute: what fails once fails as often as somebody asks.
type faults struct {
	log *slog.Logger

	mu     sync.Mutex
	next   time.Time // guarded by mu, as below; no line before it
	untold int       // since the last line
}

func (f *faults) tell(message string, about ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Before(f.next) {
		f.untold++
		return
	}
	if f.untold > 0 {
		about = append(about, "untold", f.untold)
	}
	f.log.Error(message, about...)
	f.next, f.untold = now.Add(faultsEvery), 0
}

// Println implements promhttp.Logger.
func (f *faults) Println(v ...any) {
	f.tell("metrics failed", "error", strings.TrimSpace(fmt.Sprintln(v...)))
}
