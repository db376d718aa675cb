package ntpq

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/mode6"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// maxRows bounds the list of clients that is shown; the walk itself holds mode6.MaxClients while it lasts.
const maxRows = 1000

// clientTable reads the whole list, since the daemon lists the oldest first, and shows the latest.
func (t *talk) clientTable() (string, error) {
	began := t.now()
	w := mode6.NewWalk(mode6.MaxClients)
	for t.ctx.Err() == nil {
		q, more := w.Next(t.now())
		if !more {
			break
		}
		_, data, err := t.ask(q)
		w.Answer(data, err)
	}
	cut := t.ctx.Err() != nil || errors.Is(w.Err(), mode6.ErrTooManyClients)
	if err := w.Err(); err != nil && !cut {
		return "", err
	}
	all := w.Clients()
	slices.SortStableFunc(all, func(a, b mode6.Client) int { return cmp.Compare(int64(b.Last-a.Last), 0) })
	text := t.tongue.clients(all[:min(len(all), maxRows)], w, t.now().Sub(began))
	if len(all) > maxRows {
		text += latest(maxRows, len(all))
	}
	if cut {
		text += fmt.Sprintf("# The list is not complete: the daemon has more than the %d that were read\n", len(all))
	}
	return text, nil
}

// latest is the note below a list that is cut.
func latest(rows, all int) string {
	return fmt.Sprintf("# Only the latest %d of %d are shown\n", rows, all)
}

// cutRows keeps the first n rows below the two lines of the header, and the notes at the end.
func cutRows(text string, n int) string {
	const header = 2
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // behind the last end of line
	notes := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "#") })
	if notes < 0 {
		notes = len(lines)
	}
	rows := notes - header
	if rows <= n {
		return text
	}
	cut := strings.Join(lines[:header+n], "") + strings.Join(lines[notes:], "")
	return cut + latest(n, rows)
}

// newest is the daemon's clock or, when the walk did not come so far, the time of the latest entry.
func newest(rows []mode6.Client, w *mode6.Walk) ntp.Timestamp {
	if now := w.Now(); now != 0 || len(rows) == 0 {
		return now
	}
	return rows[0].Last
}

func between(later, earlier ntp.Timestamp) float64 { return float64(int64(later-earlier)) / (1 << 32) }

func (classic) clients(rows []mode6.Client, w *mode6.Walk, _ time.Duration) string {
	const limited, kod = 0x40, 0x800
	var text strings.Builder
	text.WriteString("lstint avgint rstr r m v  count rport remote address\n" + rule(classicWidth))
	now := newest(rows, w)
	for _, c := range rows {
		average := between(c.Last, c.First) / float64(max(c.Count, 1))
		fmt.Fprintf(&text, "%6d %6d %4x %c %d %d %6d %5d %s\n", whole(between(now, c.Last)), whole(average), uint16(c.Restrictions),
			restriction(c.Restrictions, limited, kod), c.Mode, c.Version, c.Count, c.Address.Port(), c.Address.Addr())
	}
	return text.String()
}

func (sec) clients(rows []mode6.Client, w *mode6.Walk, took time.Duration) string {
	const limited, kod = 0x20, 0x400
	const header = " lstint avgint rstr r m v  count    score   drop rport remote address"
	var text strings.Builder
	text.WriteString(header + "\n" + rule(len(header)))
	now := newest(rows, w)
	for _, c := range rows {
		var average float64
		if c.Count > 1 {
			average = between(c.Last, c.First) / float64(c.Count-1)
		}
		shown := fmt.Sprintf("%6.3f", average)
		switch {
		case average > 5 || c.Count == 1:
			shown = fmt.Sprintf("%6d", whole(average))
		case average >= 1:
			shown = fmt.Sprintf("%6.2f", average)
		}
		score, drops := "-", "-"
		if c.Scored {
			score, drops = scored(c.Score), fmt.Sprintf("%4d", c.Drops)
		}
		fmt.Fprintf(&text, "%7d %s %4x %c %d %d %6d %8s %6s %5d %s\n", whole(between(now, c.Last)), shown, uint16(c.Restrictions),
			restriction(c.Restrictions, limited, kod), c.Mode, c.Version, c.Count, score, drops, c.Address.Port(), c.Address.Addr())
	}
	fmt.Fprintf(&text, "# Collected %d slots in %.3f seconds\n", len(w.Clients()), took.Seconds())
	return text.String()
}

// whole rounds as ntpq does, towards zero after a half is added.
func whole(f float64) int64 { return int64(math.Trunc(f + 0.5)) }

func restriction(r, limited, kod mode6.Restrictions) byte {
	switch {
	case r&kod != 0:
		return 'K'
	case r&limited != 0:
		return 'L'
	}
	return '.'
}

func scored(f float64) string {
	switch {
	case f > 100000:
		return fmt.Sprintf("%8.1f", f)
	case f > 10000:
		return fmt.Sprintf("%8.2f", f)
	}
	return fmt.Sprintf("%8.3f", f)
}
