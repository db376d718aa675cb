package interop

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// The directions of the matrix: what a daemon is to ntptsd.
const (
	asClient = "client of ntptsd"
	asClock  = "clock of ntptsd"
	ourKeys  = "server, keys of ntptsd"
	itsKeys  = "server, keys its own"
)

// The columns of the matrix: what happens meanwhile.
const (
	steadily    = "steady"
	rotating    = "rotating"
	interrupted = "interrupted" // restarted, hung, away
)

// A cell is one combination that real daemons are to go through.
type cell struct{ daemon, direction, event string }

// matrix holds how the tests of each cell ended.
type matrix struct {
	mu    sync.Mutex
	ended map[cell]outcome
}

type outcome struct{ passed, failed, skipped int }

func (o outcome) String() string {
	switch {
	case o.failed > 0:
		return "FAIL"
	case o.passed > 0:
		return "pass"
	case o.skipped > 0:
		return "skipped"
	}
	return "-"
}

// results are those of this run.
var results = matrix{ended: map[cell]outcome{}}

// covers lets the end of the test decide the cells. It comes first in a test, so that it sees the end of the daemons, too.
func covers(t *testing.T, cells ...cell) {
	t.Cleanup(func() {
		results.mu.Lock()
		defer results.mu.Unlock()
		for _, c := range cells {
			o := results.ended[c]
			switch {
			case t.Failed():
				o.failed++
			case t.Skipped():
				o.skipped++
			default:
				o.passed++
			}
			results.ended[c] = o
		}
	})
}

// write prints a row per daemon and direction that was tried. A cell that nothing was tried for is a dash.
func (m *matrix) write(out io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []cell
	for c := range m.ended {
		if c.event = ""; !slices.Contains(rows, c) {
			rows = append(rows, c)
		}
	}
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, func(a, b cell) int {
		return cmp.Or(strings.Compare(a.daemon, b.daemon), strings.Compare(a.direction, b.direction))
	})
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "\ndaemon\tdirection\t%s\t%s\t%s\n", steadily, rotating, interrupted)
	for _, c := range rows {
		fmt.Fprintf(w, "%s\t%s", c.daemon, c.direction)
		for _, c.event = range []string{steadily, rotating, interrupted} {
			fmt.Fprintf(w, "\t%v", m.ended[c])
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	w.Flush()
}

func TestMatrixTellsFailures(t *testing.T) {
	m := matrix{ended: map[cell]outcome{
		{"a", asClock, steadily}:    {passed: 3},
		{"a", asClock, interrupted}: {passed: 3, failed: 1},
		{"b", asClient, rotating}:   {skipped: 1},
	}}
	var out strings.Builder
	m.write(&out)
	want := []string{"daemon direction steady rotating interrupted", "a clock of ntptsd pass - FAIL", "b client of ntptsd - skipped -"}
	var got []string
	for line := range strings.Lines(strings.TrimSpace(out.String())) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
