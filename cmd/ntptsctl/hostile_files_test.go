package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// With sudo, HOME may be somebody else's: whose profiles root would follow, to a host and with a token's file that they name.
func TestForeignProfilesAreNoneOfOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	file := filepath.Join(home, "ntptsctl", "config.toml")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("default-profile = \"a\"\n[profile.a]\nhost = \"a.example\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for owner, profiles := range map[int]int{0: 1, 4711: 0} {
		if err := os.Chown(file, owner, -1); err != nil {
			t.Fatal(err)
		}
		all, err := readProfiles("")
		if err != nil || len(all.Profiles) != profiles {
			t.Errorf("of user %d: %v, %v", owner, all, err)
		}
		if _, err := all.choose("a"); profiles == 0 && (err == nil || !strings.Contains(err.Error(), "--config "+file)) {
			t.Errorf("of user %d, by a profile's name: %v", owner, err)
		}
		if all, err := readProfiles(file); err != nil || len(all.Profiles) != 1 { // who names it wants it
			t.Errorf("of user %d, by its name: %v, %v", owner, all, err)
		}
	}
}

// Who owns the folder of the log must not be able to let whoever verifies it wait for ever.
func TestAuditVerifyWaitsForNoPipe(t *testing.T) {
	for _, name := range []string{"current.log", "0000000005.log", "head", "public.pem"} {
		dir, _ := auditFolder(t)
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verifyAudit([]string{dir}, nil, ""); err == nil || !strings.Contains(err.Error(), path+" is no regular file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
