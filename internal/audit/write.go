package audit

import (
	"errors"
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

// take is the next batch.
func (l *Log) take() []*waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.queue), maxBatch)
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	return batch
}

// write writes a batch, and what the log has to tell of itself before it.
func (l *Log) write(batch []*waiting) {
	err := l.alone(func() error {
		if err := l.ready(); err != nil {
			return err
		}
		return l.commit(batch)
	})
	if err != nil {
		err = fmt.Errorf("%w: %v", ErrUnwritable, err)
		l.metrics.errors.Add(1)
	}
	for _, w := range batch {
		w.done, w.err = true, err
	}
}

// ready finds the file as it was left, or opens the log anew.
func (l *Log) ready() error {
	if l.file == nil && time.Since(l.tried) < retryEvery {
		return errors.New(l.Problem())
	}
	if l.file != nil {
		size, err := l.file.Size()
		if err == nil && size == l.size {
			return nil
		}
		l.log.Warn("the audit log is not as it was left, it is read again", "file", l.path(currentName), "size", size, "left", l.size, "error", err)
		l.close()
	}
	if l.reopen(); l.file == nil {
		return errors.New(l.Problem())
	}
	return nil
}

// alone does something while no other process touches the log: two daemons write while one takes over from the other.
func (l *Log) alone(do func() error) error {
	if err := l.enter(); err != nil {
		l.fail(err)
		return err
	}
	err := do()
	if unlocking := l.gate.Unlock(); unlocking != nil {
		_ = l.gate.Close() // which unlocks, too
		l.gate = nil
	}
	return err
}

// enter locks the folder, by a file that is never renamed. Somebody may have moved the folder away with it.
func (l *Log) enter() error {
	var moved error
	for range 3 {
		if l.gate == nil {
			if err := l.disk.MakeFolder(l.dir); err != nil {
				return err
			}
			f, err := l.disk.OpenLog(l.path(lockName))
			if err != nil {
				return err
			}
			l.gate = f
		}
		err := l.gate.Lock()
		if err == nil {
			if _, moved = l.gate.Size(); moved == nil {
				return nil
			}
		}
		if errors.Is(err, errLocked) {
			return err
		}
		_ = l.gate.Close()
		if l.gate = nil; err != nil {
			return err
		}
	}
	return moved
}

// commit makes a batch last.
func (l *Log) commit(batch []*waiting) error {
	records, lines, err := l.seal(batch)
	if err == nil && len(records) == 0 { // it was only opened
		return nil
	}
	heads := make([]audit.Head, len(records))
	for i, r := range records {
		heads[i] = r.Head().Sign(l.key)
	}
	if err == nil {
		err = l.room(int64(len(lines)))
	}
	if err == nil {
		l.undo = true
		if _, err = l.file.Write(lines); err == nil {
			err = l.file.Sync()
		}
	}
	if err == nil {
		// Synced records stay, whatever becomes of the head: one that names them must not find them gone.
		l.undo, l.size = false, l.size+int64(len(lines))
		if l.first == 0 {
			l.first = records[0].Sequence
		}
		err = l.setHead(heads[len(heads)-1])
	}
	if err != nil {
		l.fail(err)
		return err
	}
	for i, w := range batch {
		w.head = heads[len(heads)-len(batch)+i]
	}
	l.remember(records, heads)
	l.noted()
	return nil
}

// seal chains the records of a batch, and makes their lines.
func (l *Log) seal(batch []*waiting) (records []audit.Record, lines []byte, err error) {
	behind := l.Head()
	all := l.tell()
	for _, w := range batch {
		all = append(all, w.record)
	}
	for _, r := range all {
		if r, err = r.Seal(behind); err != nil {
			return nil, nil, err
		}
		if lines, err = r.AppendTo(lines); err != nil {
			return nil, nil, err
		}
		records, behind = append(records, r), r.Head()
	}
	return records, lines, nil
}

// setHead writes a signed head down. The file notices what was cut off by whoever did not know of it.
func (l *Log) setHead(h audit.Head) error {
	return replace(l.disk, l.path(headName), []byte(h.String()+"\n"), 0o600)
}

// remember takes over what is on the disk.
func (l *Log) remember(records []audit.Record, heads []audit.Head) {
	l.mu.Lock()
	l.head = heads[len(heads)-1]
	for _, r := range records {
		l.recent.add(r)
	}
	l.mu.Unlock()
	for i, r := range records {
		l.metrics.count(r.Kind)
		if tells(r.Kind) {
			l.teller.tell(r, heads[i])
		}
	}
}

// fail gives the file up until it is opened again.
func (l *Log) fail(err error) {
	l.close()
	l.tried = time.Now()
	l.setProblem(err.Error())
}

func (l *Log) close() {
	if l.file != nil {
		_ = l.file.Close() // what counts was synced
		l.file = nil
	}
}

// setProblem tells the log of the daemon when it changes.
func (l *Log) setProblem(problem string) {
	l.mu.Lock()
	was := l.problem
	l.problem = problem
	l.mu.Unlock()
	switch {
	case problem == was:
	case problem == "":
		l.log.Info("the audit log can be written again")
	default:
		l.log.Error("the audit log cannot be written, and no change is made until it can be", "error", problem)
	}
}
