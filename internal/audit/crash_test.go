package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	testState = "/state"
	testDir   = "/state/audit"
)

func options(d Disk) Options {
	return Options{State: testState, Keep: 1, MaxSize: audit.MaxLine, Version: "1.0", Disk: d}
}

func open(t *testing.T, d Disk) *Log {
	t.Helper()
	l, err := Open(testDir, options(d), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func attempt(n int) audit.Record {
	return audit.Record{Kind: audit.Attempt, Caller: "certificate alice", Command: fmt.Sprintf("change %d", n), Summary: strings.Repeat("x", 900), Before: strings.Repeat("y", 1800)}
}

// life is what a daemon does of which every step may be its last. It returns the heads that were promised.
func life(l *Log, from, n int) (promised []audit.Head) {
	for i := range n {
		if h, err := l.Append(attempt(from + i)); err == nil {
			promised = append(promised, h)
		}
	}
	return promised
}

// verifyAll reads every file of the log, as ntptsctl does, and tells which records there are.
func verifyAll(t *testing.T, l *Log, promised []audit.Head) map[uint64]audit.Record {
	t.Helper()
	var v audit.Verifier
	if err := v.Expect(l.Head(), l.public); err != nil {
		t.Fatal(err)
	}
	names, err := l.disk.Names(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]audit.Record{}
	for _, f := range append(filesIn(names), file{name: currentName}) {
		if err := l.verify(&v, f.name, func(r audit.Record, _ []byte) { all[r.Sequence] = r }); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, h := range promised {
		if !h.SignedBy(l.public) {
			t.Errorf("the head of record %d is not signed", h.Sequence)
		}
		if r, ok := all[h.Sequence]; h.Sequence >= v.First() && (!ok || r.Hash != h.Hash) {
			t.Errorf("record %d was promised, and is %+v", h.Sequence, r)
		}
	}
	if lost := len(promised) - len(all); len(promised) > 0 && promised[len(promised)-1].Sequence > v.Last().Sequence {
		t.Errorf("the log ends at %d, %d lost", v.Last().Sequence, lost)
	}
	return all
}

// The power fails at each step of the life of a log, and at each step of the start that follows: what was promised is there,
// the chain is whole, and it goes on.
func TestCrashAtEveryStep(t *testing.T) {
	whole := newLossy(1)
	life(open(t, whole), 0, 12) // over two changes of the file
	steps := len(whole.steps)
	if steps < 100 || !strings.Contains(strings.Join(whole.steps, "\n"), "rename current.log 00") || !strings.Contains(strings.Join(whole.steps, "\n"), "remove 00") {
		t.Fatalf("%d steps: %v", steps, whole.steps)
	}
	repaired := 0
	for at := 1; at <= steps; at++ {
		for seed := range uint64(2) {
			d := newLossy(uint64(at)*100 + seed)
			d.dieAt = at
			promised := life(open(t, d), 0, 12)
			again := d.crash()
			again.dieAt = int(1 + d.random.IntN(25)) // and again while it starts
			promised = append(promised, life(open(t, again), 100, 1)...)
			last := again.crash()
			l := open(t, last)
			if p := l.Problem(); p != "" {
				t.Fatalf("death at step %d (%s), seed %d, then at %d (%s): %s", at, d.steps[at-1], seed, again.dieAt, again.steps[len(again.steps)-1], p)
			}
			h, err := l.Append(attempt(200))
			if err != nil {
				t.Fatal(err)
			}
			all := verifyAll(t, l, append(promised, h))
			aside, _ := last.Names(testDir)
			for _, name := range aside {
				if strings.HasSuffix(name, tornNew) {
					t.Errorf("step %d: %s was set aside, and no record tells", at, name)
				}
				if strings.HasSuffix(name, tornKept) {
					repaired++
					told := false
					for _, r := range all {
						told = told || r.Kind == audit.Repaired && r.After == name
					}
					if !told {
						t.Errorf("step %d: no record tells of %s", at, name)
					}
				}
			}
			if t.Failed() {
				t.Fatalf("death at step %d (%s), seed %d", at, d.steps[at-1], seed)
			}
		}
	}
	if repaired == 0 {
		t.Error("nothing was ever torn: this test no longer tears anything")
	}
}

// A disk that fails once at each step is a state that ends: what was refused need not be there, what was promised is.
func TestDiskFailsAtEveryStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := newLossy(1)
		life(open(t, whole), 0, 12)
		for at := 1; at <= len(whole.steps); at++ {
			d := newLossy(uint64(at))
			d.fail = func(string) error {
				if len(d.steps) == at {
					return syscall.ENOSPC
				}
				return nil
			}
			l := open(t, d)
			var promised []audit.Head
			failed := l.Problem() != ""
			for i := range 14 {
				h, err := l.Append(attempt(i))
				switch {
				case err == nil:
					promised = append(promised, h)
				case !errors.Is(err, ErrUnwritable):
					t.Fatal(err)
				case l.Problem() == "" && at < len(whole.steps):
					t.Fatalf("step %s failed with %v, and there is no problem", d.steps[at-1], err)
				default:
					failed = true
				}
				time.Sleep(retryEvery)
			}
			// What is only tidied up may fail without a word to whoever waits.
			tidy := strings.HasPrefix(d.steps[at-1], "remove 00") || strings.Contains(d.steps[at-1], tornKept)
			if !failed && !tidy {
				t.Errorf("step %d (%s) failed, and nobody heard of it", at, d.steps[at-1])
			}
			if p := l.Problem(); p != "" {
				t.Fatalf("step %d (%s) failed once, and still: %s", at, d.steps[at-1], p)
			}
			verifyAll(t, l, promised)
			if after := open(t, d.crash()); after.Problem() != "" {
				t.Fatalf("step %d (%s): %s", at, d.steps[at-1], after.Problem())
			} else if _, err := after.Append(attempt(99)); err != nil {
				t.Fatal(err)
			} else {
				verifyAll(t, after, promised)
			}
		}
	})
}
