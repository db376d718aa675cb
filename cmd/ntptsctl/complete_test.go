package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a shell is told that may stand there.
func TestCompletion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte("[profile.berlin]\nhost = \"b\"\n[profile.bonn]\nhost = \"c\"\n[profile.\"a\\tb\\nc\"]\nhost = \"d\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{
		"login|":                    "monitor operator admin",
		"login|monitor|":            "",
		"--profile|":                "berlin bonn",
		"top|":                      "berlin bonn",
		"top|bonn|":                 "berlin",
		"tunnel|":                   "chronyc ntpq",
		"tunnel|ntpq|":              "berlin bonn",
		"tunnel|ntpq|berlin|":       "",
		"keys|":                     "revoke rotate",
		"targets|":                  "drain undrain",
		"watch|":                    "events",
		"completion|":               "bash fish powershell zsh",
		"source|":                   "",
		"--host|":                   "",
		"status|--tim":              "--timeout",
		"--config|/none|--profile|": "",
	} {
		args := append([]string{"__completeNoDesc", "--config", file}, strings.Split(words, "|")...)
		code, stdout, _ := remotely(t, args...)
		all, _, _ := strings.Cut(stdout, ":")
		if got := strings.Join(strings.Fields(all), " "); code != 0 || got != want {
			t.Errorf("%s: exit %d, %q; want %q", words, code, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, stderr := remotely(t, "completion", shell); code != 0 || !strings.Contains(stdout, "ntptsctl") || stderr != "" {
			t.Errorf("%s: exit %d, %d octets, %s", shell, code, len(stdout), stderr)
		}
	}
}
