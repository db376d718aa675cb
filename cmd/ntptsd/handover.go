package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
)

// handoverFile is in the state directory while a newer process takes over: what commands changed here and no file keeps. An attacker
// who is banned, and a target that somebody works on, must not notice an upgrade.
const handoverFile = "hand-over.json"

// maxHandover is more than all bans and listeners.
const maxHandover = 1 << 20

// handover is a daemon.Handover.
type handover struct {
	*services
	path string
	heir bool // we take over from another one
}

// inheritance is what the file says.
type inheritance struct {
	Saved     string   `json:"saved"` // as saved.toml
	Draining  bool     `json:"draining"`
	Targets   []string `json:"drained_targets"`
	Listeners []string `json:"drained_listeners"`
}

// Run has nothing to do.
func (h *handover) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Freeze writes it down.
func (h *handover) Freeze(context.Context) error {
	i := inheritance{Saved: h.settings.Persist() + h.doorkeeper.Bans().Persist(), Draining: h.keyExchange.Draining()}
	for _, t := range h.keyExchange.Targets() {
		if t.Draining {
			i.Targets = append(i.Targets, t.ID)
		}
	}
	for _, l := range append(h.keyExchange.Listeners(), h.timeServer.Listeners()...) {
		if l.Draining {
			i.Listeners = append(i.Listeners, l.Name)
		}
	}
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return durable.WriteFile(h.path, b, 0o600)
}

// Thaw removes it: nobody took over.
func (h *handover) Thaw() { _ = os.Remove(h.path) }

// take makes so what the one before us said, or else what was saved.
func (h *handover) take() error {
	if !h.heir {
		_ = os.Remove(h.path) // of a hand-over that was interrupted
		return h.takeSaved()
	}
	i, err := readInheritance(h.path)
	if errors.Is(err, fs.ErrNotExist) { // an older one, which does not write it
		return h.takeSaved()
	}
	var saved config.Saved
	if err == nil {
		saved, err = config.ParseSaved(h.path, []byte(i.Saved))
	}
	if err == nil {
		err = h.services.take(h.path, saved)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.path, err)
	}
	for _, id := range i.Targets {
		_ = h.keyExchange.Drain(id, true) // the new configuration may have it no more
	}
	for _, name := range i.Listeners {
		_ = h.keyExchange.DrainListener(name, true) || h.timeServer.DrainListener(name, true)
	}
	if i.Draining {
		h.keyExchange.DrainHost(true)
	}
	return os.Remove(h.path)
}

func readInheritance(path string) (i inheritance, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return i, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxHandover {
		return i, fmt.Errorf("must be a file of at most %d octets", maxHandover)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return i, err
	}
	return i, json.Unmarshal(b, &i)
}
