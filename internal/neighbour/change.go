package neighbour

import (
	"context"
	"fmt"
	"time"
)

// Change is one thing that a time daemon can be told to do: one of the types below. None of them has a line or a path in it;
// what a daemon is sent is made of their fields alone.
type Change interface{ what() string }

// Add follows another source.
type Add struct{ NewSource }

// Delete follows a source no longer.
type Delete struct{ Source string } // name or address

// SetOnline lets a source be asked, or not.
type SetOnline struct {
	Source string // name or address; empty: all
	Online bool
}

// Burst asks a source several times in a row.
type Burst struct {
	Source      string // name or address; empty: all
	Good, Total int    // as many good measurements, of at most as many
}

// The bounds of a Burst, which its servers have to bear.
const (
	MaxGood  = 16
	MaxTotal = 32
)

// SetPoll bounds how often a source is asked.
type SetPoll struct {
	Source string // name or address
	Max    bool   // the longest interval, else the shortest
	Poll   int    // log2 s
}

// Changes without arguments.
type (
	Refresh       struct{} // resolves the names of the sources again
	ReloadSources struct{} // reads the files of the sources again
	Rekey         struct{} // reads the key files again
	Dump          struct{} // writes the measurements into files
	CycleLogs     struct{} // opens the log files again
	Step          struct{} // corrects the clock at once. Refused unless management.allow-step
)

// SetTime tells what the time is. Refused unless management.allow-step.
type SetTime struct {
	Time  time.Time
	Since time.Time // when it was that; zero: when the daemon is told
}

func (a Add) what() string     { return fmt.Sprintf("add source %s", a) }
func (d Delete) what() string  { return fmt.Sprintf("delete source %s", shown(d.Source)) }
func (Refresh) what() string   { return "resolve the names of all sources again" }
func (Rekey) what() string     { return "read the key files again" }
func (Dump) what() string      { return "write the measurements into dump files" }
func (CycleLogs) what() string { return "open the log files again" }
func (Step) what() string      { return "correct the clock at once" }
func (s SetTime) what() string {
	return fmt.Sprintf("take %s for the time", s.Time.UTC().Format(time.RFC3339Nano))
}
func (ReloadSources) what() string { return "read the files of sourcedir again" }

func (s SetOnline) what() string {
	if s.Online {
		return "ask " + sourceOrAll(s.Source) + " again"
	}
	return "stop asking " + sourceOrAll(s.Source)
}

func (b Burst) what() string {
	return fmt.Sprintf("measure %s %d times soon, of at most %d tries", sourceOrAll(b.Source), b.Good, b.Total)
}

func (p SetPoll) what() string {
	least := "at most every"
	if p.Max {
		least = "at least every"
	}
	return fmt.Sprintf("ask source %s %s %v (2^%d s)", shown(p.Source), least, duration(interval(p.Poll)), p.Poll)
}

func sourceOrAll(name string) string {
	if name == "" {
		return "all sources"
	}
	return "source " + shown(name)
}

// Outlook is what a change would do, as far as that can be known before.
type Outlook struct {
	Summary       string // one line
	Before, After string
	Undo          Change // puts it back as it was; nil: nothing does, or how it was is not known
	Done          bool   // all is as asked already
}

// Changer is a daemon that can be changed. Safe for concurrent use. Errors have an api.Kind.
type Changer interface {
	// Plan says all that can be said against a change, and what it would do, without making it.
	Plan(ctx context.Context, c Change) (Outlook, error)
	// Change makes it. An error of the kind Unavailable leaves open whether it was made.
	Change(ctx context.Context, c Change) error
	// Remembered are the sources that were added here and not deleted here since, and the names of those that were deleted here
	// and not added since.
	Remembered() (added []NewSource, deleted []string)
}

// begin is the outlook that all changes of a daemon have.
func begin(c Change, daemon string) Outlook {
	to := map[bool]string{true: " to ", false: " from "}
	switch c.(type) {
	case Add:
		return Outlook{Summary: c.what() + to[true] + daemon}
	case Delete:
		return Outlook{Summary: c.what() + to[false] + daemon}
	}
	return Outlook{Summary: "let " + daemon + " " + c.what()}
}
