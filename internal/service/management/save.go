package management

import (
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Store is a file with what was changed while ntptsd ran and is to last. Safe for concurrent use.
type Store interface {
	File() string
	Kept() (content string, err error) // what it says; nothing if it is not there
	Running() string                   // what it must say for things to be as they are now
	Keep(content string) error         // until the disk has it
}

// save plans to write what differs.
func (s *Service) save(context.Context, api.Caller, api.None) (c api.Change[api.Kept], err error) {
	var writes []func() error
	for _, store := range s.Stores {
		kept, err := store.Kept()
		if err != nil {
			return c, api.Failf(api.Unavailable, "%s: %w", store.File(), err)
		}
		running := store.Running()
		d := string(diff.Diff(store.File(), []byte(kept), store.File()+" (new)", []byte(running)))
		if d == "" {
			continue
		}
		_, d, _ = strings.Cut(d, "\n") // a "diff" line, which is no part of a unified one
		c.Result.Files = append(c.Result.Files, api.KeptFile{File: store.File(), Diff: d})
		c.Diff += d
		writes = append(writes, func() error {
			if err := store.Keep(running); err != nil {
				return api.Failf(api.Unavailable, "%s: %w", store.File(), err)
			}
			return nil
		})
	}
	if all := s.Ledger.Pending(); len(all) > 0 && len(writes) > 0 { // saved, it would come back with a restart though it was undone
		return c, api.Failf(api.Conflict, "change %d, %s, waits to be confirmed: confirm or undo it first (changes confirm, changes undo)", all[0].ID, all[0].Command)
	}
	c.Summary = fmt.Sprintf("write what was changed to %d files, so that it lasts over a restart", len(writes))
	switch len(writes) {
	case 0:
		c.Summary = "write nothing: the files have already what can be kept; drains are not"
		return c, nil
	case 1:
		c.Summary = fmt.Sprintf("write what was changed to %s, so that it lasts over a restart", c.Result.Files[0].File)
	}
	result := c.Result
	c.Do = func(context.Context) (api.Kept, error) {
		for _, write := range writes {
			if err := write(); err != nil {
				return api.Kept{}, err
			}
		}
		return result, nil
	}
	return c, nil
}
