package main

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
)

// how are the flags that say how a change is made. Nil: the command changes nothing.
type how struct {
	declared api.Declaration
	dryRun   bool
	confirm  time.Duration
	key      string
}

func addHow(c *cobra.Command, d api.Declaration) *how {
	if !d.Changes {
		return nil
	}
	h := &how{declared: d}
	c.Flags().BoolVar(&h.dryRun, "dry-run", false, "say what it would change, and change nothing")
	c.Flags().StringVar(&h.key, "idempotency-key", "", "do it once, however often it is sent with this `TEXT`; a random one unless given")
	if d.Inverse != "" {
		c.Flags().DurationVar(&h.confirm, "confirm-within", 0, "undo it (by "+d.Inverse+") unless it is confirmed within this `TIME`, as 5m")
	}
	return h
}

// read adds what belongs among the arguments, and gives the key, by which a change whose answer was lost can be asked for again.
func (h *how) read(args map[string]any) (key string, err error) {
	if h == nil {
		return "", nil
	}
	if h.dryRun {
		args["dry_run"] = true
	}
	switch {
	case h.confirm == 0:
	case h.confirm < api.MinConfirm || h.confirm > api.MaxConfirm:
		return "", fmt.Errorf("--confirm-within %v: must be %v to %v", h.confirm, api.MinConfirm, api.MaxConfirm)
	default:
		args["confirm_within_seconds"] = h.confirm.Seconds()
	}
	if h.key == "" {
		return rand.Text(), nil
	}
	return h.key, nil
}
