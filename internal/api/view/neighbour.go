package view

import (
	"fmt"
	"io"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// addNeighbour has the views of neighbourCommands.
func addNeighbour(all map[string]View) {
	add(all, api.GetNextDoor, 0, showNextDoor)
	addChange(all, api.AddSource, 1, func(out io.Writer, s api.Sources, now time.Time) {
		showSources(out, s, now)
		fmt.Fprintln(out, "a source whose name is looked up, or whose keys are exchanged, is not usable at once: sources shows when it is")
	})
	addChange(all, api.DeleteSource, 1, showSources)
	addChange(all, api.SourceOnline, 0, showSources)
	addChange(all, api.SourceOffline, 0, showSources)
	addChange(all, api.SourceBurst, 0, showSources)
	addChange(all, api.SourceMinPoll, 2, showSources)
	addChange(all, api.SourceMaxPoll, 2, showSources)
	addChange(all, api.RefreshNames, 0, showSources)
	addChange(all, api.ReloadSources, 0, showSources)
	addChange(all, api.RekeyNeighbour, 0, told("has read its key files again, as far as it could: its log tells of those that it could not"))
	addChange(all, api.DumpNeighbour, 0, told("has written its measurements, if it has a dumpdir"))
	addChange(all, api.CycleLogs, 0, told("has opened its log files again"))
	addChange(all, api.StepClock, 0, showConfirmation)
	addChange(all, api.SetTime, 1, showConfirmation)
}

func showNextDoor(out io.Writer, n api.NextDoor, _ time.Time) {
	if n.Daemon == "" {
		fmt.Fprintln(out, "no time daemon next door is looked at: clock.source says which")
		return
	}
	pairs(out, [2]string{"daemon", Word(n.Daemon)}, [2]string{"asked by", Sentence(n.Via)})
	for _, line := range n.Added[:min(len(n.Added), maxRows)] {
		fmt.Fprintln(out, "added here:", Sentence(line))
	}
}

func told(what string) func(io.Writer, api.Told, time.Time) {
	return func(out io.Writer, t api.Told, _ time.Time) { fmt.Fprintln(out, Word(t.Daemon), what) }
}

func showConfirmation(out io.Writer, c api.Confirmation, now time.Time) {
	if c.Done {
		fmt.Fprintln(out, "done")
		return
	}
	fmt.Fprintf(out, "nothing was done yet. It would %s\n", Sentence(c.Would))
	ends := "-"
	if c.Until != nil {
		ends = Moment(*c.Until, now)
	}
	fmt.Fprintf(out, "to confirm, ends %s: %s --token=%s\n", ends, Sentence(c.Command), Word(c.Token))
}
