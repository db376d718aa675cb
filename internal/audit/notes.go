package audit

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	tornNew  = ".new"  // set aside, and no record tells of it yet
	tornKept = ".part" // a record tells of it
	keptTorn = 16      // of these: a disk that always tears must not fill
)

// notes are what the log has to tell of itself before the next record.
type notes struct {
	torn []string // names of what was set aside, with tornNew
	told bool     // that the daemon started
	// before is the end of the log that stood here, and was moved away while we ran.
	before audit.Head
	again  bool // there was a key and no log: one was moved away, or a crash came before its first record
}

// find finds what was set aside, just now or before a crash.
func (n *notes) find(names []string) {
	n.torn = nil
	for _, name := range names {
		if strings.HasPrefix(name, "torn-") && strings.HasSuffix(name, tornNew) {
			n.torn = append(n.torn, name)
		}
	}
	slices.Sort(n.torn)
}

// tell are the records of what is to be told.
func (l *Log) tell() (all []audit.Record) {
	for _, name := range l.notes.torn {
		all = append(all, audit.Record{Kind: audit.Repaired, Caller: self, Summary: "set aside what a crash in the middle of a write left behind the last record",
			After: strings.TrimSuffix(name, tornNew) + tornKept, Result: "done"})
	}
	if !l.notes.told {
		all = append(all, l.start())
	}
	for i := range all {
		all[i].Time = time.Now()
		all[i] = all[i].Bounded()
	}
	return all
}

// self is the caller of what ntptsd does by itself.
const self = "ntptsd"

// start is the first record of each run: it tells the key that heads are signed with.
func (l *Log) start() audit.Record {
	text, id := l.PublicKey()
	args, err := json.Marshal(struct {
		Version string `json:"version"`
		KeyID   string `json:"key_id"`
		Key     string `json:"key"`
	}{l.options.Version, id, text})
	if err != nil {
		panic(err) // three texts
	}
	r := audit.Record{Kind: audit.Started, Caller: self, Summary: "ntptsd started", Args: args}
	if l.notes.again {
		r.Summary = "ntptsd began a new log: one from before is not there any more"
	}
	if l.notes.before.Sequence > 0 {
		r.Before = "head " + l.notes.before.String()
	}
	return r
}

// noted is called when records are on the disk that tell all there was to tell.
func (l *Log) noted() {
	l.notes.told, l.notes.before, l.notes.again = true, audit.Head{}, false
	for _, name := range l.notes.torn {
		if err := l.disk.Rename(l.path(name), l.path(strings.TrimSuffix(name, tornNew)+tornKept)); err != nil {
			l.log.Warn("what was set aside of the audit log cannot be renamed", "file", name, "error", err)
		}
	}
	if len(l.notes.torn) == 0 {
		return
	}
	l.notes.torn = nil
	names, err := l.disk.Names(l.dir)
	if err != nil {
		return // the next one prunes
	}
	kept := slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "torn-") || !strings.HasSuffix(n, tornKept) })
	slices.Sort(kept)
	for _, name := range kept[:max(len(kept)-keptTorn, 0)] {
		_ = l.disk.Remove(l.path(name))
	}
}
