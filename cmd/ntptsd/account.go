package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/durable"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/sockets"
)

// account is whom to become. nil: whoever started us.
type account struct {
	name     string
	uid, gid int
	groups   []int // supplementary, gid among them
}

// findAccount looks up the key "user". Only root can become somebody else.
func findAccount(name string) (*account, error) {
	a, err := namedAccount(name)
	if err != nil || a == nil {
		return nil, err
	}
	switch os.Geteuid() {
	case 0:
		return a, nil
	case a.uid:
		return nil, nil
	}
	return nil, fmt.Errorf("user = %q: only root can become another user; start as root or as %s, or leave the key out", name, name)
}

// namedAccount is nil for no name.
func namedAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	a, err := lookUp(name)
	if err != nil {
		return nil, fmt.Errorf("user = %q: %w; create it, or correct the key", name, err)
	}
	return a, nil
}

func lookUp(name string) (*account, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	a := &account{name: name, groups: make([]int, len(ids))}
	var errs []error
	number := func(id string, to *int) {
		var err error
		*to, err = strconv.Atoi(id)
		errs = append(errs, err)
	}
	number(u.Uid, &a.uid)
	number(u.Gid, &a.gid)
	for i, id := range ids {
		number(id, &a.groups[i])
	}
	return a, errors.Join(errs...)
}

// lockState makes the state directory if need be and locks it; both are given to whom we become. What is there already
// keeps its owner: a directory named by mistake must not change hands.
func lockState(dir string, to *account) (io.Closer, error) {
	if err := to.makeState(dir); err != nil {
		return nil, advise(dir, fmt.Errorf("state-directory: %w", err))
	}
	lock, err := keyring.LockState(dir)
	if err != nil || to == nil {
		return lock, advise(dir, err)
	}
	if f, ok := lock.(*os.File); ok { // the next start may be the account's own
		if err := giveAway(f, to); err != nil {
			lock.Close()
			return nil, fmt.Errorf("state-directory: %w", err)
		}
	}
	return lock, nil
}

// giveControl makes whom we become the owner of the control socket, and lets the group of those who may read open it: without
// such a group, or as somebody who is not in it, the group stays that of whom we become.
func giveControl(set *sockets.Set, to *account) error {
	uid, gid := -1, -1
	if to != nil {
		uid, gid = to.uid, to.gid
	}
	if readers, ok := access.GroupID(controlGroup); ok && set.GiveControl(uid, int(readers)) == nil {
		return nil
	}
	return set.GiveControl(uid, gid)
}

// giveAway changes the owner of the lock, which must be nothing but that: a link to somebody's file is not given away.
func giveAway(f *os.File, to *account) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Nlink != 1 || s.Size != 0 || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not an empty file of its own: remove it", f.Name())
	}
	return f.Chown(to.uid, to.gid)
}

// advise adds to a refusal what to do about it.
func advise(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; start as root, or give %s to the user that ntptsd runs as", err, dir)
	}
	return err
}

func (a *account) makeState(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := durable.MakeFolder(filepath.Dir(dir), 0o755); err != nil { // we pass through it as whom we become
			return err
		}
		if err := durable.MakeFolder(dir, 0o700); err != nil || a == nil {
			return err
		}
		return os.Lchown(dir, a.uid, a.gid)
	case err != nil || a == nil:
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != a.uid {
		return fmt.Errorf("%s does not belong to the user %s: chown -R %s %s", dir, a.name, a.name, dir)
	}
	return nil
}
