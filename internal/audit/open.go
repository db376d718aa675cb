package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

// maxTorn bounds what a crash can leave behind the last whole record: a batch.
const maxTorn = maxBatch * audit.MaxLine

// aside is what to do with a log that is not as it must be.
const aside = "look into it with ntptsctl audit verify; to begin a new log, move the folder %s away, and keep it as evidence"

// reopen opens the log again. The holder of turn calls it, alone, with no file open.
func (l *Log) reopen() {
	l.tried = time.Now()
	if err := l.open(); err != nil {
		l.close()
		if _, wrong := errors.AsType[*audit.Fault](err); wrong {
			err = fmt.Errorf("%w: "+aside, err, l.dir)
		}
		l.setProblem(err.Error())
		return
	}
	l.setProblem("")
}

func (l *Log) open() error {
	if err := l.takeBack(); err != nil {
		return err
	}
	f, err := l.openCurrent()
	if err != nil {
		return err
	}
	l.file = f
	names, err := l.disk.Names(l.dir)
	if err != nil {
		return err
	}
	files := filesIn(names)
	size, err := f.Size()
	if err != nil {
		return err
	}
	head, err := l.readHead(len(files) == 0 && size == 0)
	if err != nil {
		return err
	}
	if was := l.Head(); head.Sequence == 0 && was.Sequence > 0 { // the whole folder went away: the new one shall say so
		l.notes.before, l.notes.told = was, false
	}
	if err := l.takeOver(files, head, size); err != nil {
		return err
	}
	if names, err = l.disk.Names(l.dir); err != nil { // something may just have been set aside
		return err
	}
	l.notes.find(names)
	return nil
}

// takeBack cuts off what was being written when writing failed. Whether the disk has it is not known: after a failed sync what is
// read need not be what is there, so that nothing may be written behind it.
func (l *Log) takeBack() error {
	if !l.undo {
		return nil
	}
	f, err := l.openCurrent()
	if err != nil {
		return err
	}
	defer f.Close()
	if size, err := f.Size(); err != nil || size <= l.size {
		l.undo = err != nil
		return err
	}
	if err := f.Truncate(l.size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	l.undo = false
	return nil
}

// openCurrent opens the file that is written to.
func (l *Log) openCurrent() (File, error) {
	f, err := l.disk.OpenLog(l.path(currentName))
	if err != nil {
		return nil, err
	}
	if err := l.disk.SyncFolder(l.dir); err != nil { // it may be new
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// readHead reads the key and the head that was left. A log that is new gets both.
func (l *Log) readHead(empty bool) (audit.Head, error) {
	text, err := readSmall(l.disk, l.path(headName), audit.MaxLine)
	fresh := errors.Is(err, fs.ErrNotExist)
	switch {
	case fresh && !empty:
		return audit.Head{}, &audit.Fault{Kind: audit.Missing, Text: l.path(headName) + " is gone, so that nobody can tell whether records were cut off"}
	case !fresh && err != nil:
		return audit.Head{}, err
	}
	if err := l.readKey(fresh); err != nil {
		return audit.Head{}, err
	}
	if fresh {
		h := audit.Empty().Sign(l.key)
		return h, l.setHead(h)
	}
	h, err := audit.ParseHead(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return h, &audit.Fault{Kind: audit.Altered, Text: l.path(headName) + " was altered: " + err.Error()}
	}
	return h, nil
}

// takeOver verifies the newest files and takes over their end.
func (l *Log) takeOver(files []file, head audit.Head, size int64) error {
	var v audit.Verifier
	if err := v.Expect(head, l.key.Public().(ed25519.PublicKey)); err != nil {
		return err
	}
	if was := l.Head(); head.Sequence > 0 && was.Sequence > 0 { // an older log with the head of then was put back, perhaps
		if err := v.Expect(was, nil); err != nil {
			return err
		}
	}
	var kept recent
	for _, f := range newest(files, l.Head().Sequence) {
		if err := l.verify(&v, f.name, func(r audit.Record, _ []byte) { kept.add(r) }); err != nil {
			return err
		}
	}
	var good int64
	var first uint64
	err := l.verify(&v, currentName, func(r audit.Record, line []byte) {
		if good == 0 {
			first = r.Sequence
		}
		good += int64(len(line))
		kept.add(r)
	})
	if f, wrong := errors.AsType[*audit.Fault](err); wrong && f.Kind != audit.Other && v.Last().Sequence >= head.Sequence && size-good <= maxTorn {
		// Nothing behind the head was ever promised: it is what a crash left of a write.
		err = l.setAside(good, v.Last().Sequence+1)
		l.log.Warn("a crash left records unfinished, they were set aside", "folder", l.dir, "found", f.Text, "error", err)
	} else if err == nil {
		err = v.Finish()
	}
	if err != nil {
		return err
	}
	l.size, l.first = good, first
	end := audit.Empty()
	if v.First() != 0 {
		end = v.Last()
	}
	l.mu.Lock()
	l.head, l.recent = end.Sign(l.key), kept
	l.mu.Unlock()
	return nil
}

// verify reads a file of the log.
func (l *Log) verify(v *audit.Verifier, name string, take func(audit.Record, []byte)) error {
	f, err := l.disk.Open(l.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return v.Read(name, f, func(r audit.Record, line []byte) error {
		take(r, line)
		return nil
	})
}

// setAside moves what stands behind the good octets of the current file into one of its own.
func (l *Log) setAside(good int64, next uint64) error {
	r, err := l.disk.Open(l.path(currentName))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, good); err != nil {
		return err
	}
	torn, err := io.ReadAll(io.LimitReader(r, maxTorn))
	if err != nil {
		return err
	}
	if err := l.keepTorn(torn, next); err != nil {
		return err
	}
	if err := l.file.Truncate(good); err != nil {
		return err
	}
	return l.file.Sync()
}

// keepTorn writes it under a name that is free.
func (l *Log) keepTorn(torn []byte, next uint64) error {
	for n := range keptTorn {
		name := l.path(fmt.Sprintf("torn-%010d-%d%s", next, n, tornNew))
		err := replaceNone(l.disk, name, torn)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		return l.disk.SyncFolder(l.dir)
	}
	return fmt.Errorf("%s has %d torn ends of record %d: a disk that loses what it has may be the reason", l.dir, keptTorn, next)
}

// replaceNone writes a file that is not there yet.
func replaceNone(d Disk, path string, data []byte) error {
	f, err := d.Create(path, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
