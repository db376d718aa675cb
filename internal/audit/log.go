// Package audit keeps the audit log of the daemon: each record is on the disk before Append returns, chained to the one before
// it, and the signed head of the chain with it. What stands there is never overwritten: where it is not as it was left, nothing
// more is written, and somebody has to look. The form of records and their verification are protocol/audit's, and which
// records there are is for those to say who carry changes out.
package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

// Why nothing is written.
var (
	ErrUnwritable = errors.New("the audit log cannot be written")
	ErrBusy       = errors.New("too much waits to be written to the audit log; try again in a second")
)

const (
	maxWaiting = 1024 // records that wait for the disk: what callers can make us hold
	maxBatch   = 64   // records that one sync is for: what a crash can tear
	// retryEvery is how often a log that cannot be written is looked at again.
	retryEvery = 5 * time.Second

	currentName = "current.log"
	headName    = "head"
	publicName  = "public.pem"
	lockName    = "lock"
	keyName     = "audit.key" // in the state directory
)

// Options say where the log is and how much of it is kept.
type Options struct {
	State   string // the folder of the signing key
	Keep    int    // files behind the current one
	MaxSize int64  // octets of a file
	Syslog  bool   // tell heads to the system log, too
	Version string // of ntptsd, for the first record of each run
	Disk    Disk   // nil: the operating system's
}

// Log is the audit log. It is a daemon.Service, a daemon.Reloader and a prometheus.Collector. Safe for concurrent use.
type Log struct {
	dir     string
	options Options
	disk    Disk
	log     *slog.Logger
	metrics *metrics
	limits  *limits
	teller  *teller

	turn  sync.Mutex // whose holder writes; guards what follows
	key   ed25519.PrivateKey
	gate  File   // that is locked while the log is touched; nil: not open
	file  File   // nil: it is to be opened again
	size  int64  // of file, as far as it is synced
	undo  bool   // what stands behind size in file was given up
	first uint64 // sequence of the first record of file; 0: it is empty
	notes notes
	tried time.Time // when it was last opened

	reading sync.Mutex // whose holder reads files for somebody: one at a time

	mu      sync.Mutex // guards what follows; taken for moments
	queue   []*waiting
	head    audit.Head
	recent  recent
	problem string
	public  ed25519.PublicKey
}

// waiting is a record until it is written.
type waiting struct {
	record audit.Record
	done   bool // guarded by turn
	head   audit.Head
	err    error
}

// Open opens the log in a folder, and verifies it. A log that cannot be written is one, too: it has a Problem. The error tells
// of options that cannot be.
func Open(dir string, o Options, log *slog.Logger) (*Log, error) {
	if o.Keep < 1 || o.MaxSize < audit.MaxLine || o.State == "" || dir == "" {
		return nil, fmt.Errorf("audit: %+v in %q: keep, size and folders are needed", o, dir)
	}
	if o.Disk == nil {
		o.Disk = real{}
	}
	l := &Log{dir: dir, options: o, disk: o.Disk, log: log.With("section", "audit"), metrics: newMetrics(), limits: newLimits()}
	l.teller = newTeller(o.Syslog, l.log)
	l.turn.Lock()
	defer l.turn.Unlock()
	_ = l.alone(func() error { l.reopen(); return nil }) // which leaves a problem
	return l, nil
}

// Append writes a record and returns the head behind it once that is on the disk. Sequence, Time and the hashes are filled in,
// and long texts cut. Refusals and dry runs of one caller beyond a rate are counted, not written: the next record of that caller
// tells how many. An error that is ErrUnwritable or ErrBusy means that the record is not there, or not surely: do nothing of what it tells.
func (l *Log) Append(r audit.Record) (audit.Head, error) {
	if !l.limits.admit(&r, time.Now()) {
		l.metrics.omitted.Add(1)
		return l.Head(), nil
	}
	h, err := l.append(r)
	if err != nil {
		l.limits.giveBack(r)
	}
	return h, err
}

func (l *Log) append(r audit.Record) (audit.Head, error) {
	r.Time = time.Now()
	w := &waiting{record: r.Bounded()}
	l.mu.Lock()
	if len(l.queue) >= maxWaiting {
		l.mu.Unlock()
		l.metrics.errors.Add(1)
		return audit.Head{}, ErrBusy
	}
	l.queue = append(l.queue, w)
	l.mu.Unlock()
	l.turn.Lock() // the one that gets it writes for all that wait, in the order in which they came
	defer l.turn.Unlock()
	for !w.done {
		l.write(l.take())
	}
	return w.head, w.err
}

// Head is the signed end of the log.
func (l *Log) Head() audit.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Problem is why nothing can be written; empty: it can.
func (l *Log) Problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }

// Run tells the system log of heads, tries a log again that could not be written, and writes how many records were left out.
func (l *Log) Run(ctx context.Context) error {
	told := make(chan struct{})
	go func() {
		defer close(told)
		l.teller.run(ctx)
	}()
	l.retry()
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			l.settle(time.Time{})
			<-told
			return nil
		case now := <-ticker.C:
			l.retry()
			l.settle(now)
		}
	}
}

// Prepare refuses what only a restart can change.
func (l *Log) Prepare(cfg *config.Config) (commit func(), err error) {
	var refusals []error
	for _, k := range []struct {
		key      string
		old, new any
	}{
		{"audit.directory", l.dir, cfg.Audit.Directory},
		{"audit.max-size", l.options.MaxSize, int64(cfg.Audit.MaxSize)},
		{"audit.keep", l.options.Keep, cfg.Audit.Keep},
		{"audit.syslog", l.options.Syslog, cfg.Audit.Syslog},
	} {
		if k.old != k.new {
			refusals = append(refusals, fmt.Errorf("%s changed from %v to %v: restart ntptsd to change it", k.key, k.old, k.new))
		}
	}
	return func() {}, errors.Join(refusals...)
}

// retry opens a log that could not be written, and writes what it has to tell of itself.
func (l *Log) retry() {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.file == nil || !l.notes.told || len(l.notes.torn) > 0 {
		l.write(nil)
	}
}

// settle writes how many records of each caller were left out, of those who were silent for a while; all when now is zero.
func (l *Log) settle(now time.Time) {
	for _, r := range l.limits.settle(now) {
		if _, err := l.append(r); err != nil {
			l.limits.giveBack(r)
		}
	}
}
