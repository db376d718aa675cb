package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("default-profile = \"a\"\n[profile.a]\nhost = \"a.example\"\n[profile.b]\nsocket = \"/run/b\"\n")
	for args, want := range map[string]string{
		"":                       "a.example:4461",
		"--profile b":            "/run/b",
		"--socket /run/c":        "/run/c",
		"--host d":               "d:4461",
		"--profile b --host d:1": "d:1",
	} {
		f := &flags{}
		root := rootFor(f)
		if err := root.ParseFlags(append(strings.Fields(args), "--config", good)); err != nil {
			t.Fatal(err)
		}
		asks, err := f.client(root)
		if err != nil || asks.door.String() != want {
			t.Errorf("%s: %s, %v; want %s", args, asks.door, err, want)
		}
	}
	code, stdout, _ := remotely(t, "--config", good, "profiles")
	if code != 0 || stdout != "* a  a.example\n  b  /run/b\n" {
		t.Errorf("exit %d, %q", code, stdout)
	}
	for text, want := range map[string]string{
		"[profile.a]\nhots = \"x\"\n":  "config.toml:2:1: unknown key profile.a.hots; a profile has socket, host",
		"[profile.a]\nhost = 7\n":      "config.toml:2:8: ",
		"[profile":                     "config.toml:1:",
		"[profile.a]\n":                `profile "a" says nothing`,
		"default-profile = \"none\"\n": `default-profile: there is no profile "none"; there is none at all`,

		"default-profile = \"c\"\n[profile.a]\nhost=\"a\"\n[profile.b]\nhost=\"b\"\n": "there are a, b",
		"[profile.a]\ntimeout = \"soon\"\n":                                           "config.toml:2:11: timeout \"soon\": must be a length of time",
		"[profile.a]\ntimeout = \"-1s\"\n":                                            "must be a length of time more than 0",
		"[profile.a]\ntimeout = 7\n":                                                  `timeout "7": must be`,
		"[profile.a]\nhost = \"a b\"\n":                                               `profile "a": --host "a b": must be HOST`,
		"[profile.a]\nhost = \"a\"\nsocket = \"/s\"\n":                                "both a host and a socket",
		"[profile.a]\nhost = \"a\"\nx = 1\n[profile.b]\ny = 2":                        "config.toml:5:1: unknown key profile.b.y",
		"x = 1\n":                             "config.toml:1:1: unknown key x",
		"[profile.a]\nhost = \"a\"\nhost = 1": "config.toml:3:",
		"[profile.\"\\u001b[2J\"]\n":          `profile "\x1b[2J" says nothing`,
		"[[profile]]\nhost = \"a\"\n":         "config.toml:1:",
		strings.Repeat("#", maxSecret+1):      "is longer than",
		"\x00":                                "config.toml:1:1: ",
	} {
		if code, _, stderr := remotely(t, "--config", write(text), "status"); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d, %s; want %q", text, code, stderr, want)
		} else {
			checkSafe(t, text, stderr)
		}
	}
	if code, _, stderr := remotely(t, "--config", filepath.Join(dir, "none"), "status"); code != exitUsage || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// Flags say more than a profile, and paths in it are relative to its file.
func TestProfileAndFlags(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "alice", nil, nil)
	file := filepath.Join(dir, "config.toml")
	text := "[profile.a]\nhost = \"a.example\"\nca = \"alice.pem\"\ncert = \"alice.pem\"\nkey = \"alice.key\"\ntimeout = \"3s\"\n[profile.b]\nsocket = \"s\"\n" +
		"[profile.broken]\nhost = \"b\"\nca = \"none.pem\"\nkey = \"alice.key\"\n[profile.home]\nsocket = \"~/s\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", "/home/me")
	for args, want := range map[string]string{
		"--profile a":              "a.example:4461 ca true pair 1 3s",
		"--profile a --timeout 9s": "a.example:4461 ca true pair 1 9s",
		"--profile b":              filepath.Join(dir, "s") + " ca false pair 0 30s",
		"--profile home":           "/home/me/s ca false pair 0 30s",
		"--profile a --socket /s":  "/s ca false pair 0 3s",
		"--profile broken":         "profile broken: --ca: open " + dir + "/none.pem: no such file or directory\n--cert and --key belong together: a client certificate and its key",
	} {
		f := &flags{}
		root := rootFor(f)
		if err := root.ParseFlags(append(strings.Fields(args), "--config", file)); err != nil {
			t.Fatal(err)
		}
		asks, err := f.client(root)
		got := fmt.Sprintf("%s ca %t pair %d %v", asks.door, asks.door.ca != nil, len(asks.door.pair), asks.timeout)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s; want %s", args, got, want)
		}
	}
	if code, _, stderr := remotely(t, "--config", file, "--host", "a", "top", "b"); code != exitUsage || !strings.Contains(stderr, `--host and HOST "b" exclude each other`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
	if code, _, stderr := remotely(t, "--config", file, "tunnel", "chronyc", "b"); code != exitUsage || !strings.Contains(stderr, "leads to a host") && !strings.Contains(stderr, "is not installed") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func FuzzProfiles(f *testing.F) {
	f.Add("default-profile = \"a\"\n[profile.a]\nhost = \"a.example\"\ntimeout = \"3s\"\n")
	f.Add("[profile.\"\\u001b\"]\nsocket = \"/s\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := readProfiles(file)
		if err != nil {
			checkSafe(t, "the error", shown(err))
			return
		}
		if _, err := all.choose(""); err != nil {
			t.Errorf("a default that there is not: %v", err)
		}
		for name, p := range all.Profiles {
			if _, _, err := splitHost(p.Host); p.Host != "" && err != nil || p.Timeout.Duration < 0 {
				t.Errorf("%q: %+v, %v", name, p, err)
			}
		}
	})
}
