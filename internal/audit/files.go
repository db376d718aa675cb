package audit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// file is one of those behind the current one, called by its first record: 0000000401.log.
type file struct {
	name  string
	first uint64
}

const logSuffix = ".log"

func nameOf(first uint64) string { return fmt.Sprintf("%010d%s", first, logSuffix) }

// filesIn are those of a folder, the oldest first.
func filesIn(names []string) (all []file) {
	for _, n := range names {
		number, ok := strings.CutSuffix(n, logSuffix)
		if first, err := strconv.ParseUint(number, 10, 64); ok && err == nil && n == nameOf(first) {
			all = append(all, file{n, first})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return int(min(max(int64(a.first-b.first), -1), 1)) })
	return all
}

// newest are the files to verify behind the current one: the last, and what was written since our own head by another process.
func newest(files []file, since uint64) []file {
	i := max(len(files)-1, 0)
	for i > 0 && since > 0 && files[i].first > since {
		i--
	}
	return files[i:]
}

// room begins a new file if the lines do not fit into the current one.
func (l *Log) room(n int64) error {
	if l.size == 0 || l.size+n <= l.options.MaxSize {
		return nil
	}
	if err := l.disk.Rename(l.path(currentName), l.path(nameOf(l.first))); err != nil {
		return err
	}
	l.close()
	f, err := l.openCurrent()
	if err != nil {
		return err
	}
	l.file, l.size, l.first = f, 0, 0
	l.prune()
	return nil
}

// prune removes the oldest files. That it fails is no reason not to write.
func (l *Log) prune() {
	names, err := l.disk.Names(l.dir)
	if err == nil {
		files := filesIn(names)
		for _, f := range files[:max(len(files)-l.options.Keep, 0)] {
			err = errors.Join(err, l.disk.Remove(l.path(f.name)))
		}
	}
	if err != nil {
		l.log.Warn("the oldest files of the audit log cannot be removed", "folder", l.dir, "error", err)
	}
}
