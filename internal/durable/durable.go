// Package durable writes a file so that it is there after a power cut: at every instant the old content or the new one
// stands under the name, whole. Beside, sync, rename, sync the folder: see open(2), rename(2), fsync(2). What the
// content means, and who may read it, is the caller's. It also tells whether a file or a socket is one that we made.
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
	"syscall"
)

// suffix marks the file that is being written. One name, not a random one, so that crashes leave at most one behind.
const suffix = ".ntptsd-new"

// WriteFile replaces path by a file of that content and mode, owned by us. After an error the old file stands, except
// that a failed sync of the folder leaves it open which of the two a power cut would show. One writer a path at a time.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(disk{}, path, data, attributes{mode: mode})
}

// ReplaceFile is WriteFile, but an existing file's mode, owner and group stay what they are: its reader may be another
// user. Where we may not give it to its owner, we own it if that one still reads it: as root, or in its group. It fails
// rather than lock a reader out.
func ReplaceFile(path string, data []byte, mode fs.FileMode) error {
	a := attributes{mode: mode}
	switch info, err := os.Lstat(path); {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case err == nil:
		a.mode, a.owner = info.Mode().Perm(), info.Sys().(*syscall.Stat_t)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return write(disk{}, path, data, a)
}

// Foreign is why a file of ours is not to be believed: somebody else than we and root owns it, and so may have written it.
func Foreign(path string, info fs.FileInfo) error {
	us, owner := uint32(os.Geteuid()), info.Sys().(*syscall.Stat_t).Uid
	if owner == us || owner == 0 {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d, and ntptsd runs as user %d: if what it says is its own, run chown %d %s", path, owner, us, us, path)
}

// MakeFolder creates path and its missing parents with that mode, whatever the umask, and syncs each new entry's parent.
func MakeFolder(path string, mode fs.FileMode) error {
	err := makeOne(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := MakeFolder(filepath.Dir(path), mode); err != nil {
			return err
		}
		err = makeOne(path, mode)
	}
	if err != nil {
		return err
	}
	return disk{}.SyncFolder(filepath.Dir(path))
}

func makeOne(path string, mode fs.FileMode) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0) // the owner of its parent may have put a link there
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(mode)
}

type attributes struct {
	mode  fs.FileMode
	owner *syscall.Stat_t // nil: us
}

// filesystem is what writing needs of the operating system; tests let each step fail.
type filesystem interface {
	Create(path string) (file, error) // O_EXCL, mode 0600, no symbolic link followed
	Rename(from, to string) error
	Remove(path string) error
	SyncFolder(path string) error
}

type file interface {
	Write(b []byte) (int, error)
	Chown(uid, gid int) error
	Chmod(mode fs.FileMode) error
	Sync() error
	Close() error
}

func write(sys filesystem, path string, data []byte, a attributes) error {
	beside := path + suffix
	// What a crash left behind is nobody's; O_EXCL below still refuses whatever appears in between.
	if err := sys.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := sys.Create(beside)
	if err != nil {
		return err
	}
	err = fill(f, data, a)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = sys.Rename(beside, path)
	}
	if err != nil {
		return errors.Join(err, sys.Remove(beside))
	}
	return sys.SyncFolder(filepath.Dir(path))
}

// fill sets owner and mode before the first octet is written, so that a secret is never readable by more.
func fill(f file, data []byte, a attributes) error {
	if err := own(f, a); err != nil {
		return err
	}
	if err := f.Chmod(a.mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func own(f file, a attributes) error {
	if a.owner == nil {
		return nil
	}
	uid, gid := a.owner.Uid, a.owner.Gid
	err := f.Chown(int(uid), int(gid))
	if errors.Is(err, fs.ErrPermission) && a.mode&0o040 != 0 && (uid == 0 || inGroup(uid, gid)) {
		err = f.Chown(-1, int(gid))
	}
	if err != nil {
		return fmt.Errorf("cannot leave it to its owner, user %d, and group %d, who may be its reader: %w: run as that user, "+
			"or let it belong to the user that runs this and be readable to a group (mode 0640) that its reader is in", uid, gid, err)
	}
	return nil
}

// inGroup tells whether the user is in the group. A user that is not known is in none.
func inGroup(uid, gid uint32) bool {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return false
	}
	groups, err := u.GroupIds()
	return err == nil && slices.Contains(groups, strconv.FormatUint(uint64(gid), 10))
}

// disk is the real filesystem.
type disk struct{}

func (disk) Create(path string) (file, error) {
	Step("create", path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return stepping(f), nil
}

func (disk) Rename(from, to string) error {
	Step("rename", to)
	return os.Rename(from, to)
}

func (disk) Remove(path string) error { return os.Remove(path) }

func (disk) SyncFolder(path string) error {
	Step("sync-folder", path)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
