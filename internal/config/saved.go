package config

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"
)

// savedFile is in the state directory: what was changed while ntptsd ran and was to be kept. It is a drop-in that ntptsd may write
// itself, and therefore may say little: no file of ours may give us more than whoever installed us did.
const savedFile = "saved.toml"

// SavedPath is the file for what is kept.
func (c *Config) SavedPath() string { return filepath.Join(c.StateDirectory, savedFile) }

// Saved is what the file may say.
type Saved struct {
	Level string         // log.level; empty: not said
	Bans  map[string]Ban // access.ban
}

// LoadSaved reads it. A file that is not there says nothing. The error is an Errors.
func LoadSaved(path string) (s Saved, err error) {
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, Errors{{File: path, Problem: plain(err).Error()}}
	}
	return ParseSaved(path, text)
}

// ParseSaved reads what the file at path has, or what a newer process is told instead.
func ParseSaved(path string, text []byte) (s Saved, err error) {
	cfg, err := Parse(path, text)
	if err != nil {
		return s, err
	}
	tree := make(map[string]any)
	if err := toml.Unmarshal(text, &tree); err != nil {
		return s, err // Parse took it
	}
	var wrong Errors
	allowed := map[string]string{"log": "level", "access": "ban"}
	refuse := func(key string) {
		wrong = append(wrong, &Error{File: path, Key: key, Problem: "may not stand here, but for log.level and access.ban; write it to the configuration"})
	}
	for name, v := range tree {
		table, isTable := v.(map[string]any)
		if !isTable || allowed[name] == "" {
			refuse(name)
			continue
		}
		for key := range table {
			if allowed[name] != key {
				refuse(name + "." + key)
			}
		}
		if name == "log" {
			s.Level = cfg.Log.Level
		}
	}
	if len(wrong) > 0 {
		return Saved{}, wrong
	}
	s.Bans = cfg.Access.Bans
	return s, nil
}
