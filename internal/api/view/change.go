package view

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// addChange is add for a command that changes something: write shows what it answers once it is done.
func addChange[A, R any](all map[string]View, c api.Command[A, R], needs int, write func(io.Writer, R, time.Time)) {
	all[c.Name] = View{needs, func(out *bytes.Buffer, answer []byte, now time.Time) (bool, error) {
		o, err := decode[api.Outcome[R]](answer)
		if err != nil {
			return false, err
		}
		if o.DryRun {
			showPlan(out, o.Plan)
			return false, nil
		}
		if o.Replayed {
			fmt.Fprintln(out, "done before, under the same idempotency key")
		}
		if o.Result != nil {
			write(out, *o.Result, now)
		}
		if o.ConfirmBy != nil {
			fmt.Fprintf(out, "undone %s unless it is confirmed: changes confirm %d\n", Moment(*o.ConfirmBy, now), o.Change)
		}
		return false, nil
	}}
}

// showPlan shows what would be done.
func showPlan(out io.Writer, p api.Plan) {
	fmt.Fprintf(out, "would %s\n", Sentence(p.Summary))
	if p.Before != "" {
		fmt.Fprintf(out, "  before: %s\n", Sentence(p.Before))
	}
	if p.After != "" {
		fmt.Fprintf(out, "  after:  %s\n", Sentence(p.After))
	}
	block(out, p.Diff)
	fmt.Fprintln(out, "nothing was changed: it was a dry run")
}
