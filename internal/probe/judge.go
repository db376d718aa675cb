package probe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

// Status is a verdict in the sense of the monitoring plugins: 0 to 3, also the exit code.
type Status int

const (
	OK Status = iota
	Warning
	Critical
	Unknown
)

func (s Status) String() string { return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[s] }

// Limits is what a threshold looks at. A value beyond a limit is a finding; a zero limit is not looked at.
type Limits struct {
	Offset time.Duration // of the best exchange, either way
	Days   float64       // left until the first certificate of the chain ends
}

// Finding is one thing that is wrong.
type Finding struct {
	Status Status `json:"-"`
	Level  string `json:"status"`
	Text   string `json:"text"`
}

// Judge holds a report against the limits: the worst finding is the status.
func Judge(r Report, warn, critical Limits, now time.Time) (Status, []Finding) {
	var found []Finding
	add := func(s Status, format string, args ...any) {
		found = append(found, Finding{s, s.String(), view.Printable(fmt.Sprintf(format, args...))})
	}
	if r.Err != nil {
		add(failure(r.Err), "%s", strings.TrimPrefix(r.Err.Error(), "probe: "))
	}
	if best, ok := r.Best(); ok {
		if !best.Synchronised {
			add(Critical, "the server says that its clock is not synchronised (leap %d, stratum %d)", best.Leap, best.Stratum)
		}
		offset := time.Duration(math.Abs(best.Offset) * float64(time.Second))
		if s, limit := beyond(offset > warn.Offset, warn.Offset, offset > critical.Offset, critical.Offset); s != OK {
			add(s, "offset %+.6f s is beyond %v", best.Offset, limit)
		}
	}
	if ke := r.KeyExchange; ke != nil && !ke.Expires.IsZero() {
		days := ke.Expires.Sub(now).Hours() / 24
		if s, limit := beyond(days < warn.Days, warn.Days, days < critical.Days, critical.Days); s != OK {
			add(s, "certificate %s ends in %.1f days, less than %v", ke.ExpiresOf, days, limit)
		}
	}
	worst := OK
	for _, f := range found {
		worst = max(worst, f.Status)
	}
	return worst, found
}

// beyond picks the worse of two thresholds; a zero threshold is off.
func beyond[T comparable](warned bool, warn T, crit bool, critical T) (Status, T) {
	var off T
	switch {
	case crit && critical != off:
		return Critical, critical
	case warned && warn != off:
		return Warning, warn
	}
	return OK, off
}

// failure sorts errors: what says nothing about the server is unknown.
func failure(err error) Status {
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.Is(err, context.Canceled) {
		return Unknown
	}
	return Critical
}

// Best is the exchange with the least delay: the one whose offset is known best.
func (r Report) Best() (Exchange, bool) {
	if len(r.Exchanges) == 0 {
		return Exchange{}, false
	}
	best := r.Exchanges[0]
	for _, e := range r.Exchanges[1:] {
		if e.Delay < best.Delay {
			best = e
		}
	}
	return best, true
}
