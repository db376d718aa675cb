package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxExposure is ten times the figure of "systemd-analyze security": a setting that goes missing fails the test.
const maxExposure = "20"

// The units are good systemd units, and the service gives up what it can.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is missing")
	}
	program, err := os.Executable() // verify wants the program to be there
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	verify := []string{"verify"}
	for _, name := range []string{"ntptsd.service", "ntptsd.socket", "ntptsd-time.socket", "ntptsd-services.socket"} {
		text, err := os.ReadFile(filepath.Join("../../packaging", name))
		if err != nil {
			t.Fatal(err)
		}
		unit := strings.ReplaceAll(string(text), "/usr/bin/ntptsd", program)
		unit = strings.ReplaceAll(unit, "\nDocumentation=", "\n#") // and man pages are not installed here
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		verify = append(verify, path)
	}
	for _, args := range [][]string{
		verify, {"security", "--offline=true", "--no-pager", "--threshold=" + maxExposure, filepath.Join(dir, "ntptsd.service")},
	} {
		if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		} else if args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze verify says:\n%s", out)
		}
	}
}

// What keeps keys in memory and files from others is promised, and no tool asks for it.
func TestUnitKeepsSecrets(t *testing.T) {
	text, err := os.ReadFile("../../packaging/ntptsd.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"User=ntptsd", "NoNewPrivileges=yes", "LimitCORE=0", "MemorySwapMax=0", "StateDirectoryMode=0700", "UMask=0077", "ProtectSystem=strict"} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("ntptsd.service has no %s", line)
		}
	}
}
