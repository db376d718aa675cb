package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

const (
	followEvery = 2 * time.Second
	followFirst = 10 // records that were there before
)

// addAudit puts what the client does itself beside the command that lists records.
func addAudit(root *cobra.Command, f *flags, code *int) {
	d := api.GetAudit.Declaration()
	parent := child(root, d.Name)
	show := controlCommand(d, view.All()[d.Name], f, code)
	show.Use = "show"
	parent.AddCommand(show, auditFollowCommand(f), auditVerifyCommand(f, code))
}

func auditFollowCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:               "follow",
		Short:             "show the newest records, and each one when it is written, until ^C",
		Long:              "Show the newest records of the audit log, and each one when it is written, until ^C.\nIt needs the role admin.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			asks, err := f.client(c)
			if err != nil {
				return err
			}
			return asks.followAudit(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), f.json, followEvery)
		},
	}
}

// followAudit asks for what is behind the record that was shown last. What fails at the first time ends it; later the daemon may
// be starting, and only a refusal that will stay one does.
func (c client) followAudit(ctx context.Context, out, errs io.Writer, asJSON bool, every time.Duration) error {
	var shown uint64 // the last one
	first, wait := true, every
	for {
		a, err := c.audit(ctx, shown)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || lasts(err)):
			return err
		case err != nil:
			wait = min(2*wait, lastRetry)
			fmt.Fprintf(errs, "ntptsctl: %s; again in %v\n", view.Sentence(err.Error()), wait)
		case a.Head.Sequence < shown:
			fmt.Fprintf(errs, "ntptsctl: the log ends at record %d now, and record %d was there: it is another log, or somebody cut it\n", a.Head.Sequence, shown)
			shown = 0
			continue
		default:
			first, wait = false, every
			if shown, err = showRecords(out, a.Records, shown, asJSON); err != nil {
				return err
			}
			if shown < a.Head.Sequence && len(a.Records) > 0 {
				continue // there is more
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (c client) audit(ctx context.Context, after uint64) (a api.AuditRecords, err error) {
	args := map[string]any{"limit": followFirst}
	if after > 0 {
		args = map[string]any{"limit": api.MaxAudit, "after": after}
	}
	answer, err := c.call(ctx, api.GetAudit.Declaration(), args, "")
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return a, fmt.Errorf("cannot read what %s answers to audit: %s", c.door, view.Sentence(err.Error()))
	}
	return a, nil
}

// showRecords writes a line for each, and returns the last one's number.
func showRecords(out io.Writer, records []api.AuditRecord, shown uint64, asJSON bool) (uint64, error) {
	for _, r := range records {
		if r.Sequence <= shown { // a daemon that tells them again would never end
			return shown, errors.New("the daemon tells records in no order")
		}
		line := view.AuditRecord(r)
		if asJSON {
			b, err := json.Marshal(r)
			if err != nil {
				return shown, err
			}
			line = view.Escape(string(b))
		}
		if _, err := io.WriteString(out, line+"\n"); err != nil {
			return shown, err
		}
		shown = r.Sequence
	}
	return shown, nil
}
