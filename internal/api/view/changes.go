package view

import (
	"fmt"
	"io"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// addChanges has the views of changesCommands.
func addChanges(all map[string]View) {
	add(all, api.GetChanges, 0, showUnconfirmed)
	addChange(all, api.ConfirmChange, 1, showUnconfirmed)
	addChange(all, api.UndoChange, 1, showUnconfirmed)
	addChange(all, api.SaveChanges, 0, showKept)
	add(all, api.GetAudit, 0, showAudit)
}

func showUnconfirmed(out io.Writer, c api.Changes, now time.Time) {
	if len(c.Changes) == 0 {
		fmt.Fprintln(out, "no change waits to be confirmed")
		return
	}
	rows(out, "CHANGE COMMAND MADE BY UNDONE WHAT", c.Changes, func(u api.Unconfirmed) []string {
		return []string{count(u.ID), Word(u.Command), Moment(u.Made, now), Word(u.Caller), Moment(u.ConfirmBy, now), Word(u.Summary)}
	})
	for _, u := range c.Changes[:min(len(c.Changes), maxRows)] {
		if u.Problem != "" {
			fmt.Fprintf(out, "%d cannot be undone yet: %s\n", u.ID, Sentence(u.Problem))
		}
	}
}

func showKept(out io.Writer, k api.Kept, _ time.Time) {
	if len(k.Files) == 0 {
		fmt.Fprintln(out, "nothing to save: the files have already what can be kept; drains are not")
	}
	for _, f := range k.Files[:min(len(k.Files), maxRows)] {
		fmt.Fprintf(out, "saved %s\n", Sentence(f.File))
		block(out, f.Diff)
	}
}
