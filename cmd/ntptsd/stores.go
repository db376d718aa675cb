package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
	"github.com/ntptsd/ntptsd/internal/service/management"
)

// maxStore is far more than what anybody adds by hand.
const maxStore = 1 << 20

// store is a file that changes save writes.
type store struct {
	path    string
	running func(kept string) string
	mode    fs.FileMode
}

var _ management.Store = store{}

func (s store) File() string { return s.path }

func (s store) Kept() (string, error) {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxStore:
		return "", fmt.Errorf("must be a file of at most %d octets", maxStore)
	}
	b, err := os.ReadFile(s.path)
	return string(b), err
}

func (s store) Running() string {
	kept, err := s.Kept()
	if err != nil {
		return ""
	}
	return s.running(kept)
}

func (s store) Keep(content string) error {
	return durable.ReplaceFile(s.path, []byte(content), s.mode)
}

// stores are the files for what is to last: of ntptsd itself, and of the daemon next door.
func (s *services) stores() []management.Store {
	const head = "# Written by ntptsctl changes save, and read when ntptsd starts. Only log.level and access.ban may stand here.\n"
	all := []management.Store{store{path: s.cfg.SavedPath(), mode: 0o600, running: func(kept string) string {
		text := s.settings.Persist() + s.doorkeeper.Bans().Persist()
		if text == "" && kept == "" {
			return ""
		}
		return head + text
	}}}
	if m := s.cfg.Management; m != nil && m.SourcesFile != "" {
		all = append(all, store{path: m.SourcesFile, mode: 0o644, running: s.door.Merged})
	}
	return all
}

// takeSaved makes what was saved so again.
func (s *services) takeSaved() error {
	saved, err := config.LoadSaved(s.cfg.SavedPath())
	if err != nil {
		return err
	}
	return s.take(s.cfg.SavedPath(), saved)
}

// take makes it so. It comes from a file.
func (s *services) take(path string, saved config.Saved) error {
	if saved.Level != "" {
		s.settings.SetLevel(saved.Level)
	}
	bans := s.doorkeeper.Bans()
	for name, b := range saved.Bans {
		network, problem := config.BannedNetwork(name)
		ban := access.Ban{Network: network, Reason: b.Reason}
		if !b.Ends().IsZero() {
			ban.For = time.Until(b.Ends())
		}
		_, _, configured, _ := bans.Find(network)
		if problem != "" || configured || ban.For < 0 { // it was looked at; the configuration has it now; it is over
			continue
		}
		if err := bans.Add(ban); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
