package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// faulty is the disk with a log of the steps; step number failAt fails, and after a crash all later ones do.
type faulty struct {
	steps   []string
	failAt  int // 0: none
	crash   bool
	err     error
	noChown bool // owner cannot change, as for a user without CAP_CHOWN
}

func (f *faulty) step(name string) error {
	f.steps = append(f.steps, name)
	if n := len(f.steps); n == f.failAt || f.crash && f.failAt != 0 && n > f.failAt {
		return f.err
	}
	return nil
}

func (f *faulty) Create(path string) (file, error) {
	if err := f.step("create"); err != nil {
		return nil, err
	}
	real, err := disk{}.Create(path)
	return faultyFile{f, real}, err
}

func (f *faulty) Rename(from, to string) error {
	return errors.Join(f.step("rename"), unless(f, func() error { return disk{}.Rename(from, to) }))
}

func (f *faulty) Remove(path string) error {
	if err := f.step("remove"); err != nil {
		return err
	}
	return disk{}.Remove(path)
}

func (f *faulty) SyncFolder(path string) error {
	return errors.Join(f.step("sync folder"), unless(f, func() error { return disk{}.SyncFolder(path) }))
}

// unless does the real thing if the step just logged did not fail.
func unless(f *faulty, real func() error) error {
	if n := len(f.steps); n == f.failAt || f.crash && f.failAt != 0 && n > f.failAt {
		return nil
	}
	return real()
}

type faultyFile struct {
	f    *faulty
	real file
}

// Write fails as a full disk does: after the first half.
func (f faultyFile) Write(b []byte) (int, error) {
	if err := f.f.step("write"); err != nil {
		n, _ := f.real.Write(b[:len(b)/2])
		return n, err
	}
	return f.real.Write(b)
}

func (f faultyFile) Chown(uid, gid int) error {
	if err := f.f.step("chown"); err != nil {
		return err
	}
	if f.f.noChown && uid >= 0 {
		return syscall.EPERM
	}
	return nil
}

func (f faultyFile) Chmod(mode fs.FileMode) error {
	if err := f.f.step("chmod"); err != nil {
		return err
	}
	return f.real.Chmod(mode)
}

func (f faultyFile) Sync() error {
	if err := f.f.step("sync"); err != nil {
		return err
	}
	return f.real.Sync()
}

func (f faultyFile) Close() error { return errors.Join(f.f.step("close"), f.real.Close()) }

var inOrder = []string{"remove", "create", "chmod", "write", "sync", "close", "rename", "sync folder"}

func TestEveryStepInOrder(t *testing.T) {
	sys := &faulty{}
	path := filepath.Join(t.TempDir(), "keys")
	if err := write(sys, path, []byte("new"), attributes{mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sys.steps, inOrder) {
		t.Errorf("steps %q, want %q", sys.steps, inOrder)
	}
	wantFile(t, path, "new", 0o600)
}

func TestFailureLeavesOldOrNew(t *testing.T) {
	for i, step := range inOrder {
		for _, crash := range []bool{false, true} {
			name := step
			if crash {
				name = "crash at " + step
			}
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "keys")
				if err := WriteFile(path, []byte("the old one"), 0o600); err != nil {
					t.Fatal(err)
				}
				sys := &faulty{failAt: i + 1, crash: crash, err: syscall.ENOSPC}
				if err := write(sys, path, []byte("the new one"), attributes{mode: 0o600}); !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("error %v", err)
				}
				want := "the old one"
				if step == "sync folder" {
					want = "the new one"
				}
				wantFile(t, path, want, 0o600)
				if _, err := os.Lstat(path + suffix); !crash && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("left beside: %v", err)
				}
				if err := WriteFile(path, []byte("the next"), 0o600); err != nil {
					t.Fatalf("next write: %v", err)
				}
				wantFile(t, path, "the next", 0o600)
				if entries, _ := os.ReadDir(dir); len(entries) != 1 {
					t.Errorf("folder has %v", entries)
				}
			})
		}
	}
}

func TestMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	for _, mode := range []fs.FileMode{0o600, 0o666, 0o640} { // 0666: past any umask
		if err := WriteFile(path, []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, "x", mode)
	}
	if err := ReplaceFile(path, []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "y", 0o640)
	if err := ReplaceFile(path+"2", []byte("z"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path+"2", "z", 0o600)
}

func TestReplaceKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "keys")
	if err := errors.Join(os.WriteFile(path, nil, 0o640), os.Chown(path, 4711, 4712)); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 4711 || s.Gid != 4712 {
		t.Errorf("owner %d, group %d", s.Uid, s.Gid)
	}
}

func TestReaderIsNotLockedOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	daemon, err := user.LookupId("1") // is there everywhere
	if err != nil {
		t.Skip(err)
	}
	group, err := strconv.ParseUint(daemon.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		uid, gid uint32
		mode     fs.FileMode
		ok       bool
	}{
		{4711, 4712, 0o600, false},
		{4711, 4712, 0o640, false}, // an owner who may not be in the group
		{1, 4712, 0o640, false},    // who is not
		{1, uint32(group), 0o640, true},
		{1, uint32(group), 0o600, false},
		{0, 4712, 0o640, true}, // made by root for the group
		{0, 4712, 0o600, false},
	} {
		const old = "old"
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		err := write(&faulty{noChown: true}, path, []byte("x"), attributes{mode: tt.mode, owner: &syscall.Stat_t{Uid: tt.uid, Gid: tt.gid}})
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("user %d", tt.uid)) {
			t.Errorf("%+v: %v", tt, err)
		}
		if tt.ok {
			wantFile(t, path, "x", tt.mode)
		} else {
			wantFile(t, path, old, 0o600)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoSymbolicLinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "keys"), filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(other, []byte("other"), 0o600), os.Symlink(other, path+suffix)); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, other, "other", 0o600)
	wantFile(t, path, "x", 0o600)
}

func TestReplaceRefusesWhatIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.Symlink("other", path); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a symbolic link was replaced")
	}
}

func TestMakeFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // the second time it is there
		if err := MakeFolder(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	file := filepath.Join(path, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeFolder(filepath.Join(file, "c"), 0o700); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
}

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != content || info.Mode() != mode {
		t.Errorf("%s has %q, mode %o; want %q, mode %o", path, b, info.Mode(), content, mode)
	}
}
