package keyring

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLockState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := LockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("folder %v, %v", info, err)
	}
	if _, err := LockState(dir); err == nil || !strings.Contains(err.Error(), "another ntptsd runs with "+dir) {
		t.Errorf("second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockState(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	_ = again.Close()
}

func TestLockStateNamesTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LockState(filepath.Join(file, "state")); err == nil || !strings.Contains(err.Error(), "state-directory") {
		t.Errorf("error %v", err)
	}
}
