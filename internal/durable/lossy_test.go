package durable

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"
)

// lossy is a disk whose power is cut after a number of steps: what was not synced is there or not, or in parts; an entry of
// a folder that was not synced is the old one or the new one.
type lossy struct {
	left    int // steps until the power is cut
	now     map[string]*inode
	durable map[string]*inode
}

type inode struct{ data, synced []byte }

var errPower = errors.New("the power is cut")

func (d *lossy) step() error {
	if d.left--; d.left < 0 {
		return errPower
	}
	return nil
}

func (d *lossy) Create(path string) (file, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	if d.now[path] != nil {
		return nil, fs.ErrExist
	}
	d.now[path] = &inode{}
	return &lossyFile{d, d.now[path]}, nil
}

func (d *lossy) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.now[to] = d.now[from]
	delete(d.now, from)
	return nil
}

func (d *lossy) Remove(path string) error {
	if err := d.step(); err != nil {
		return err
	}
	if d.now[path] == nil {
		return fs.ErrNotExist
	}
	delete(d.now, path)
	return nil
}

func (d *lossy) SyncFolder(string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.durable = make(map[string]*inode)
	for name, i := range d.now {
		d.durable[name] = i
	}
	return nil
}

// after is what stands under a name when the power is back: whatever a journal may have kept of it.
func (d *lossy) after(path string) []byte {
	entries := d.durable
	if rand.IntN(2) == 0 {
		entries = d.now
	}
	i := entries[path]
	if i == nil {
		return nil
	}
	if n := len(i.data); n > len(i.synced) {
		return i.data[:len(i.synced)+rand.IntN(n-len(i.synced)+1)]
	}
	return i.synced
}

type lossyFile struct {
	disk *lossy
	*inode
}

func (f *lossyFile) Write(b []byte) (int, error) {
	if err := f.disk.step(); err != nil {
		f.data = append(f.data, b[:len(b)/2]...)
		return len(b) / 2, err
	}
	f.data = append(f.data, b...)
	return len(b), nil
}

func (f *lossyFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	f.synced = f.data
	return nil
}

func (f *lossyFile) Chown(int, int) error    { return f.disk.step() }
func (f *lossyFile) Chmod(fs.FileMode) error { return f.disk.step() }
func (f *lossyFile) Close() error            { return f.disk.step() }

// Whenever the power is cut, one of the two contents is there, whole; the new one, if writing it was done.
func TestAPowerCutLeavesOldOrNew(t *testing.T) {
	const path, before, next = "folder/file", "the old content", "the new content, which is longer"
	finished := false
	for steps := 0; !finished; steps++ {
		for range 50 {
			old := &inode{data: []byte(before), synced: []byte(before)}
			d := &lossy{left: steps, now: map[string]*inode{path: old}, durable: map[string]*inode{path: old}}
			err := write(d, path, []byte(next), attributes{mode: 0o600})
			finished = err == nil
			if got := string(d.after(path)); got != next && (finished || got != before) {
				t.Fatalf("after %d steps, %v: %q", steps, err, got)
			}
		}
		if steps > 20 {
			t.Fatal("it never ends")
		}
	}
}
