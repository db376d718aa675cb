package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

var errDead = errors.New("the machine lost its power")

// lossy is a disk in memory that loses at a crash what was not synced: of files what was written since, of folders which names
// there are. It dies at a step, and does that one wholly, partly or not at all.
type lossy struct {
	mu     sync.Mutex
	random *rand.Rand
	names  map[string]*inode // as they are
	synced map[string]*inode // as a crash finds them, at worst
	steps  []string
	dieAt  int // 0: never
	dead   bool
	fail   func(step string) error // nil: nothing fails
}

type inode struct {
	data, synced []byte
	locked       chan struct{}
}

func newLossy(seed uint64) *lossy {
	return &lossy{random: rand.New(rand.NewPCG(seed, 1)), names: map[string]*inode{}, synced: map[string]*inode{}}
}

// step is called before each change; half is whether the change shall be begun, without an answer to whoever asked.
func (d *lossy) step(format string, args ...any) (half bool, err error) {
	if d.dead {
		return false, errDead
	}
	name := fmt.Sprintf(format, args...)
	d.steps = append(d.steps, name)
	if d.fail != nil {
		if err := d.fail(name); err != nil {
			return false, err
		}
	}
	if d.dieAt > 0 && len(d.steps) == d.dieAt {
		d.dead = true
		return d.random.IntN(2) == 0, errDead
	}
	return false, nil
}

// crash is the disk that is found when the power is back.
func (d *lossy) crash() *lossy {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newLossy(d.random.Uint64())
	names := d.synced
	if d.random.IntN(2) == 0 { // the kernel may have written more by itself
		names = d.names
	}
	for name, f := range names {
		left := bytes.Clone(f.synced)
		if len(f.data) > len(left) && bytes.HasPrefix(f.data, left) {
			more := bytes.Clone(f.data[len(left):])
			more = more[:d.random.IntN(len(more)+1)]
			if d.random.IntN(3) == 0 { // the length was written, and not what stands there
				clear(more)
			}
			left = append(left, more...)
		}
		next.names[name] = &inode{data: left, synced: bytes.Clone(left), locked: make(chan struct{}, 1)}
	}
	next.synced = maps.Clone(next.names)
	return next
}

func (d *lossy) MakeFolder(string) error { return nil }

func (d *lossy) Names(folder string) (all []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.names {
		if filepath.Dir(name) == folder {
			all = append(all, filepath.Base(name))
		}
	}
	slices.Sort(all)
	return all, nil
}

func (d *lossy) Open(path string) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[path] == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(d.names[path].data))), nil
}

func (d *lossy) OpenLog(path string) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[path] == nil {
		return d.create(path)
	}
	return &lossyFile{d, path, d.names[path], false}, nil
}

func (d *lossy) Create(path string, _ fs.FileMode) (File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[path] != nil {
		return nil, fs.ErrExist
	}
	return d.create(path)
}

func (d *lossy) create(path string) (File, error) {
	half, err := d.step("create %s", filepath.Base(path))
	if err == nil || half {
		d.names[path] = &inode{locked: make(chan struct{}, 1)}
	}
	if err != nil {
		return nil, err
	}
	return &lossyFile{d, path, d.names[path], false}, nil
}

func (d *lossy) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	half, err := d.step("rename %s %s", filepath.Base(from), filepath.Base(to))
	if err == nil || half {
		d.names[to] = d.names[from]
		delete(d.names, from)
	}
	return err
}

func (d *lossy) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[path] == nil {
		return fs.ErrNotExist
	}
	half, err := d.step("remove %s", filepath.Base(path))
	if err == nil || half {
		delete(d.names, path)
	}
	return err
}

func (d *lossy) SyncFolder(folder string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	half, err := d.step("sync folder %s", filepath.Base(folder))
	if err == nil || half {
		in := func(name string, _ *inode) bool { return filepath.Dir(name) == folder }
		maps.DeleteFunc(d.synced, in)
		for name, f := range d.names {
			if in(name, f) {
				d.synced[name] = f
			}
		}
	}
	return err
}

type lossyFile struct {
	d      *lossy
	path   string
	inode  *inode
	locked bool
}

func (f *lossyFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	half, err := f.d.step("write %s", filepath.Base(f.path))
	n := len(b)
	if err != nil && (half || !errors.Is(err, errDead)) {
		n = f.d.random.IntN(len(b) + 1)
	} else if err != nil {
		n = 0
	}
	f.inode.data = append(f.inode.data, b[:n]...)
	return n, err
}

func (f *lossyFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	half, err := f.d.step("sync %s", filepath.Base(f.path))
	if err == nil || half {
		f.inode.synced = bytes.Clone(f.inode.data)
	}
	return err
}

func (f *lossyFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	half, err := f.d.step("truncate %s", filepath.Base(f.path))
	if err == nil || half {
		f.inode.data = f.inode.data[:size:size]
	}
	return err
}

func (f *lossyFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.dead {
		return 0, errDead
	}
	if f.d.names[f.path] != f.inode {
		return 0, errors.New("another file")
	}
	return int64(len(f.inode.data)), nil
}

func (f *lossyFile) Lock() error {
	f.inode.locked <- struct{}{}
	f.locked = true
	return nil
}

func (f *lossyFile) Unlock() error {
	if f.locked {
		f.locked = false
		<-f.inode.locked
	}
	return nil
}

func (f *lossyFile) Close() error { return f.Unlock() }
