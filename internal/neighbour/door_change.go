package neighbour

import (
	"context"
	"slices"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Plan says what a change of the daemon next door would do; see Changer. What allow-step does not allow is refused here, for
// whoever asks.
func (d *Door) Plan(ctx context.Context, c Change) (Outlook, error) {
	n, err := d.changer(c)
	if err != nil {
		return Outlook{}, err
	}
	return n.Plan(ctx, c)
}

// Change makes it; see Changer. Whatever anybody remembers of the daemon is old from then on.
func (d *Door) Change(ctx context.Context, c Change) error {
	n, err := d.changer(c)
	if err != nil {
		return err
	}
	defer d.changes.Add(1)
	return n.Change(ctx, c)
}

// Changes grows with each change, for those who keep answers of the daemon.
func (d *Door) Changes() uint64 { return d.changes.Load() }

func (d *Door) changer(c Change) (Changer, error) {
	v := d.seen.Load()
	switch c.(type) {
	case Step, SetTime:
		if !v.allowStep {
			return nil, api.Fail(api.Conflict, errNoStep)
		}
	}
	n, ok := v.daemon.(Changer)
	if !ok {
		return nil, api.Fail(api.Conflict, ErrNone)
	}
	return n, nil
}

// Persistable are the sources that were added here and not deleted since, as lines of a file of chrony's sourcedir, or of
// ntp.conf. They end with the daemon next door, unless somebody writes them down.
func (d *Door) Persistable() []string {
	n, ok := d.Daemon().(Changer)
	if !ok {
		return nil
	}
	added, _ := n.Remembered()
	lines := make([]string, 0, len(added))
	for _, s := range added {
		lines = append(lines, s.Line())
	}
	return lines
}

// Merged is what a file of such lines must say for things to be as they are now: without those sources that were deleted
// here, with those that were added, and else as it is.
func (d *Door) Merged(kept string) string {
	n, ok := d.Daemon().(Changer)
	if !ok {
		return kept
	}
	added, deleted := n.Remembered()
	var b strings.Builder
	for line := range strings.Lines(kept) {
		words := strings.Fields(line)
		ours := func(s NewSource) bool { return strings.EqualFold(s.Name, words[1]) }
		gone := func(name string) bool { return strings.EqualFold(name, words[1]) }
		if len(words) > 1 && (slices.ContainsFunc(added, ours) || slices.ContainsFunc(deleted, gone)) {
			continue
		}
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	for _, s := range added {
		b.WriteString(s.Line() + "\n")
	}
	return b.String()
}
