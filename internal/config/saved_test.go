package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSaved(t *testing.T) {
	for _, c := range []struct {
		text  string
		level string
		bans  int
		wrong string
	}{
		{text: ""},
		{text: "# nothing\n"},
		{text: "[log]\nlevel = \"debug\"\n\n[access.ban.\"192.0.2.0/24\"]\nreason = \"flood\"\n", level: "debug", bans: 1},
		{text: "[log]\nlevel = \"loud\"\n", wrong: "log.level"},
		{text: "[access.ban.\"127.0.0.0/8\"]\n", wrong: "loopback"},
		{text: "[log]\nformat = \"json\"\n", wrong: "log.format"},
		{text: "user = \"root\"\n", wrong: "user: may not stand here"},
		{text: "[access.token.x]\nhash = \"" + strings.Repeat("a", 64) + "\"\nrole = \"admin\"\nexpires = 2027-01-01T00:00:00Z\n", wrong: "access.token: may not stand here"},
		{text: "[log\n", wrong: "saved.toml:1"},
	} {
		path := filepath.Join(t.TempDir(), savedFile)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := LoadSaved(path)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) || s.Level != "" || s.Bans != nil {
				t.Errorf("%q: %+v, %v; want %s", c.text, s, err, c.wrong)
			}
			continue
		}
		if err != nil || s.Level != c.level || len(s.Bans) != c.bans {
			t.Errorf("%q: %+v, %v", c.text, s, err)
		}
	}
	if s, err := LoadSaved(filepath.Join(t.TempDir(), savedFile)); err != nil || s.Level != "" || s.Bans != nil {
		t.Errorf("no file: %+v, %v", s, err)
	}
}
