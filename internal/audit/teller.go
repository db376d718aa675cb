package audit

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	systemLog = "/dev/log"
	// priority is facility authpriv, severity informational: RFC 5424 section 6.2.1.
	priority = 10<<3 | 6

	maxTold    = 64                    // lines that wait for the system log
	tellEvery  = 20 * time.Millisecond // between two lines while more wait: what callers can make us write there
	tellWithin = time.Second           // for a system log that hangs
	maxShown   = 100                   // characters of a text in a line
)

// tells says of which kinds the system log is told: of what changes something, and of the daemon itself.
func tells(kind string) bool { return kind != audit.Refused && kind != audit.DryRun }

// teller tells the system log of heads: there they are out of reach of who writes to our folder. No record waits for it.
type teller struct {
	dial func() (net.Conn, error)
	log  *slog.Logger
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	lines   []string
	omitted int        // lines that found no room
	last    audit.Head // of these
}

func newTeller(system bool, log *slog.Logger) *teller {
	t := &teller{log: log, wake: make(chan struct{}, 1)}
	if system {
		t.dial = func() (net.Conn, error) { return net.DialTimeout("unixgram", systemLog, tellWithin) }
	}
	return t
}

// tell never waits.
func (t *teller) tell(r audit.Record, h audit.Head) {
	from := ""
	if r.From != "" {
		from = " from " + ascii(r.From)
	}
	what := ascii(r.Command)
	if r.Command == "" {
		what = ascii(r.Summary)
	}
	line := fmt.Sprintf("audit %s %s by %s%s: %s", h, ascii(r.Kind), ascii(r.Caller), from, what)
	t.mu.Lock()
	if len(t.lines) < maxTold {
		t.lines = append(t.lines, line)
	} else {
		t.omitted++
		t.last = h
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// ascii is hostile text in a line of the system log.
func ascii(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i >= maxShown {
			b.WriteString("...")
			break
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}

// next is the next line. Where some were left out, the newest head stands for all of them: it has them all before it.
func (t *teller) next() (line string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.lines) > 0:
		line, t.lines = t.lines[0], t.lines[1:]
	case t.omitted > 0:
		line = fmt.Sprintf("audit %s and %d records before it that are not told here", t.last, t.omitted-1)
		t.omitted = 0
	default:
		return "", false
	}
	return line, true
}

// run tells until ctx is done, and then what waits still.
func (t *teller) run(ctx context.Context) {
	var conn net.Conn
	for {
		line, ok := t.next()
		if ok {
			conn = t.send(conn, line)
		}
		var pause <-chan time.Time
		wake := t.wake
		if ok {
			pause, wake = time.After(tellEvery), nil
		}
		select {
		case <-wake:
		case <-pause:
		case <-ctx.Done():
			t.finish(conn)
			return
		}
	}
}

func (t *teller) finish(conn net.Conn) {
	for end := time.Now().Add(tellWithin); time.Now().Before(end); {
		line, ok := t.next()
		if !ok {
			break
		}
		conn = t.send(conn, line)
	}
	if conn != nil {
		conn.Close()
	}
}

// send sends a line over the connection or a new one, or writes it to our own log.
func (t *teller) send(conn net.Conn, line string) net.Conn {
	if t.dial == nil {
		t.log.Info(line)
		return nil
	}
	text := fmt.Sprintf("<%d>%s ntptsd[%d]: %s", priority, time.Now().Format(time.Stamp), os.Getpid(), line)
	for range 2 { // the system log may have been restarted
		var err error
		if conn == nil {
			if conn, err = t.dial(); err != nil {
				break
			}
		}
		_ = conn.SetWriteDeadline(time.Now().Add(tellWithin))
		if _, err = conn.Write([]byte(text)); err == nil {
			return conn
		}
		conn.Close()
		conn = nil
	}
	t.log.Info(line)
	return nil
}
