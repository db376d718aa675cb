package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

// onDisk is a log in a real folder.
func onDisk(t testing.TB, change func(*Options)) (*Log, string) {
	t.Helper()
	state := t.TempDir()
	return reopened(t, state, change), filepath.Join(state, "audit")
}

func reopened(t testing.TB, state string, change func(*Options)) *Log {
	t.Helper()
	o := Options{State: state, Keep: 3, MaxSize: 64 << 10, Version: "1.0"}
	if change != nil {
		change(&o)
	}
	l, err := Open(filepath.Join(state, "audit"), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t testing.TB, l *Log, n int) (last audit.Head) {
	t.Helper()
	for i := range n {
		h, err := l.Append(attempt(i))
		if err != nil {
			t.Fatal(err)
		}
		last = h
	}
	return last
}

func TestLog(t *testing.T) {
	l, dir := onDisk(t, nil)
	h := write(t, l, 300) // some 3 kB each: over a dozen files, of which three and the current one are kept
	if h.Sequence != 301 || h != l.Head() {
		t.Errorf("head %v, %v", h, l.Head())
	}
	all := verifyAll(t, l, []audit.Head{h})
	if len(all) > 100 || len(all) < 60 {
		t.Errorf("%d records are kept", len(all))
	}
	for name, mode := range map[string]os.FileMode{"current.log": 0o600, "head": 0o600, "public.pem": 0o644, "../audit.key": 0o600, ".": 0o700} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	again := reopened(t, filepath.Dir(dir), nil)
	if again.Problem() != "" || again.Head() != h {
		t.Errorf("%q, head %v, want %v", again.Problem(), again.Head(), h)
	}
	records := again.Recent()
	if n := len(records); n < 20 || records[n-1].Sequence != 301 || records[n-1].Command != "change 299" {
		t.Errorf("%d records are remembered", n)
	}
	write(t, again, 1)
	if r := again.newest(2); len(r) != 2 || r[0].Kind != audit.Started || r[1].Sequence != 303 {
		t.Errorf("after a restart: %+v", r)
	}
	verifyAll(t, again, []audit.Head{h})
}

// The first record of each run tells the key, and nothing secret is in it.
func TestFirstRecordTellsTheKey(t *testing.T) {
	l, dir := onDisk(t, nil)
	write(t, l, 1)
	var args struct {
		Version string `json:"version"`
		KeyID   string `json:"key_id"`
		Key     string `json:"key"`
	}
	r := l.Recent()[0]
	if err := json.Unmarshal(r.Args, &args); err != nil || r.Kind != audit.Started {
		t.Fatal(err, r)
	}
	public, err := os.ReadFile(filepath.Join(dir, publicName))
	if err != nil || args.Key != string(public) || args.KeyID != audit.KeyID(l.public) || args.Version != "1.0" {
		t.Errorf("%+v, %v", args, err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "..", keyName))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, currentName))
	if secret := strings.Split(string(key), "\n")[1]; err != nil || bytes.Contains(text, []byte(secret[30:])) {
		t.Error("the log has the secret half of the key", err)
	}
}

// What is not as it was left is not written to, and nothing of it is changed.
func TestWhatIsWrongIsNotOverwritten(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"altered": {func(dir string) error { return replaceIn(dir, currentName, "change 7", "change 8") }, "record 9 was altered"},
		"cut": {func(dir string) error {
			return cutLines(dir, 3)
		}, "the tail behind record 18 was cut off: the head says that there were 21"},
		"cut and its head with it, by who has no key": {func(dir string) error {
			return errors.Join(cutLines(dir, 3), replaceIn(dir, headName, "21:", "18:"))
		}, "the head of record 18 is not signed by key"},
		"emptied": {func(dir string) error { return os.Truncate(filepath.Join(dir, currentName), 0) }, "the head says that there were 21"},
		"removed": {func(dir string) error { return os.Remove(filepath.Join(dir, currentName)) }, "the head says that there were 21"},
		"without its head": {func(dir string) error { return os.Remove(filepath.Join(dir, headName)) },
			"head is gone, so that nobody can tell whether records were cut off"},
		"without its key":   {func(dir string) error { return os.Remove(filepath.Join(dir, "..", keyName)) }, "the key that signs the head, is gone"},
		"with another head": {func(dir string) error { return os.WriteFile(filepath.Join(dir, headName), []byte("x\n"), 0o600) }, "head was altered"},
		"an older file gone": {func(dir string) error {
			return os.Rename(filepath.Join(dir, currentName), filepath.Join(dir, nameOf(1)))
		}, ""},
	} {
		for _, running := range []bool{false, true} { // the daemon, while it happens
			t.Run(fmt.Sprintf("%s, running %v", name, running), func(t *testing.T) {
				l, dir := onDisk(t, func(o *Options) { o.MaxSize = 1 << 20 })
				write(t, l, 20)
				if err := c.spoil(dir); err != nil {
					t.Fatal(err)
				}
				before := contents(t, dir)
				if !running || !strings.Contains("altered|cut|emptied|removed", name) { // what the file itself shows
					l = reopened(t, filepath.Dir(dir), nil)
				}
				if c.want == "" {
					write(t, l, 1)
					verifyAll(t, l, nil)
					return
				}
				_, err := l.Append(attempt(99))
				if name == "altered" && running { // of the same length: only reading finds it, at the next start
					return
				}
				if !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), c.want) || !strings.Contains(l.Problem(), c.want) {
					t.Errorf("%v\nproblem %s\nwant %s", err, l.Problem(), c.want)
				}
				if !strings.Contains(l.Problem(), "move the folder "+dir+" away") {
					t.Errorf("nobody is told what to do: %s", l.Problem())
				}
				after := contents(t, dir)
				if name == "removed" { // an empty file stands there
					delete(after, currentName)
				}
				if fmt.Sprint(before) != fmt.Sprint(after) {
					t.Error("it was changed")
				}
				if err := testutil.CollectAndCompare(l, strings.NewReader(fmt.Sprintf(writableMetric, 0)), "ntptsd_audit_writable"); err != nil {
					t.Error(err)
				}
				// What the problem says helps.
				if err := os.Rename(dir, dir+".old"); err != nil {
					t.Fatal(err)
				}
				if name == "without its key" {
					return
				}
				l = reopened(t, filepath.Dir(dir), nil)
				write(t, l, 1)
				verifyAll(t, l, nil)
			})
		}
	}
}

func replaceIn(dir, name, old, by string) error {
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(by), 1), 0o600)
}

func cutLines(dir string, n int) error {
	path := filepath.Join(dir, currentName)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	return os.WriteFile(path, bytes.Join(lines[:len(lines)-1-n], nil), 0o600)
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

// What a running daemon has seen cannot be undone by an older log with the head that it had then; and a log that is moved away
// as a whole is told of in the next one.
func TestRollback(t *testing.T) {
	l, dir := onDisk(t, nil)
	write(t, l, 3)
	old := contents(t, dir)
	h := write(t, l, 2)
	for name, text := range old {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(attempt(9)); !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "the tail behind record 4 was cut off: the head says that there were 6") {
		t.Error(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	l.tried = time.Time{} // some seconds later
	write(t, l, 1)
	if r := l.Recent()[0]; r.Sequence != 1 || r.Kind != audit.Started || r.Before != "head "+h.String() || !strings.Contains(r.Summary, "not there any more") {
		t.Errorf("%+v", r)
	}
	verifyAll(t, l, nil)
	if err := os.Rename(dir, dir+".older"); err != nil { // of a log that is well
		t.Fatal(err)
	}
	if h := write(t, l, 1); h.Sequence != 2 {
		t.Errorf("%+v", h)
	}
	verifyAll(t, l, nil)
}

// A crash in the middle of a write: what it left is kept aside, a record tells of it, and the chain goes on.
func TestTornLineIsKeptAside(t *testing.T) {
	l, dir := onDisk(t, nil)
	h := write(t, l, 3)
	f, err := os.OpenFile(filepath.Join(dir, currentName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const torn = `{"seq":5,"time":"2026-`
	if _, err := f.WriteString(torn); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l = reopened(t, filepath.Dir(dir), nil)
	write(t, l, 1)
	all := verifyAll(t, l, []audit.Head{h})
	if r := all[5]; r.Kind != audit.Repaired || r.After != "torn-0000000005-0.part" {
		t.Errorf("%+v", r)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "torn-0000000005-0.part")); err != nil || string(b) != torn {
		t.Errorf("%q, %v", b, err)
	}
}

// Many wait for one sync, and each gets the head of its own record.
func TestGroupCommit(t *testing.T) {
	d := newLossy(1)
	l := open(t, d)
	write(t, l, 1)
	before := len(d.steps)
	l.turn.Lock() // the disk is busy
	var wait sync.WaitGroup
	heads := make([]audit.Head, 40)
	for i := range heads {
		wait.Go(func() {
			r := attempt(i)
			r.Before, r.Summary = "", ""
			h, err := l.Append(r)
			if err != nil {
				t.Error(err)
			}
			heads[i] = h
		})
	}
	for waits := 0; waits < len(heads); {
		l.mu.Lock()
		waits = len(l.queue)
		l.mu.Unlock()
	}
	l.turn.Unlock()
	wait.Wait()
	all := verifyAll(t, l, heads)
	for i, h := range heads {
		if all[h.Sequence].Command != fmt.Sprintf("change %d", i) {
			t.Errorf("head %d is of %q", i, all[h.Sequence].Command)
		}
	}
	syncs := 0
	for _, s := range d.steps[before:] {
		if s == "sync current.log" {
			syncs++
		}
	}
	if syncs > 2 {
		t.Errorf("%d syncs for %d records that waited", syncs, len(heads))
	}
}

func TestTooManyWait(t *testing.T) {
	l := open(t, newLossy(1))
	l.queue = make([]*waiting, maxWaiting)
	if _, err := l.Append(attempt(1)); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
}

// Two daemons write while one takes over from the other: the chain is one.
func TestTwoProcesses(t *testing.T) {
	old, dir := onDisk(t, nil)
	young := reopened(t, filepath.Dir(dir), nil)
	var wait sync.WaitGroup
	heads := make(chan audit.Head, 200)
	for _, l := range []*Log{old, young} {
		wait.Go(func() {
			for i := range 100 {
				h, err := l.Append(attempt(i))
				if err != nil {
					t.Error(err)
				}
				heads <- h
			}
		})
	}
	wait.Wait()
	close(heads)
	var last audit.Head
	seen := map[uint64]bool{}
	for h := range heads {
		if seen[h.Sequence] {
			t.Errorf("record %d was promised twice", h.Sequence)
		}
		seen[h.Sequence] = true
		if h.Sequence > last.Sequence {
			last = h
		}
	}
	l := reopened(t, filepath.Dir(dir), nil)
	if l.Problem() != "" || l.Head() != last || last.Sequence != 202 {
		t.Errorf("%s, %v, %v", l.Problem(), l.Head(), last)
	}
	verifyAll(t, l, []audit.Head{last})
}

// A successor that writes several files, and fails, leaves a log that the old one goes on with.
func TestAnotherProcessWritesMuch(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, "audit")
	o := Options{State: state, Keep: 20, MaxSize: audit.MaxLine, Version: "1.0"}
	var both [2]*Log
	for i := range both {
		var err error
		if both[i], err = Open(dir, o, slog.New(slog.DiscardHandler)); err != nil || both[i].Problem() != "" {
			t.Fatal(err, both[i].Problem())
		}
	}
	promised := life(both[0], 0, 1)
	promised = append(promised, life(both[1], 1, 40)...)
	promised = append(promised, life(both[0], 41, 1)...)
	if names, err := both[0].disk.Names(dir); err != nil || len(promised) != 42 || len(filesIn(names)) < 5 {
		t.Fatalf("%d promised, %v, %v: %s", len(promised), names, err, both[0].Problem())
	}
	verifyAll(t, both[0], promised)
}

// Who holds the lock and does not go on keeps nobody waiting for ever; when he has ended, it goes on.
func TestLockedForLong(t *testing.T) {
	t.Parallel() // it waits
	state := t.TempDir()
	dir := filepath.Join(state, "audit")
	o := Options{State: state, Keep: 1, MaxSize: audit.MaxLine, Version: "1.0"}
	l, err := Open(dir, o, slog.New(slog.DiscardHandler))
	if err != nil || l.Problem() != "" {
		t.Fatal(err, l.Problem())
	}
	held, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(attempt(1)); !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "another process has locked") {
		t.Errorf("while it is locked: %v", err)
	}
	held.Close()
	l.tried = time.Time{} // as if some seconds had passed
	if _, err := l.Append(attempt(2)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestRecords(t *testing.T) {
	d := newLossy(1)
	opened := func(d *lossy, keep int) *Log {
		o := options(d)
		o.Keep, o.MaxSize = keep, 64<<10
		l, err := Open(testDir, o, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := opened(d, 1000)
	write(t, l, 1500)
	numbers := func(l *Log, after uint64, limit int) string {
		all, err := l.Records(after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			return "none"
		}
		for i, r := range all {
			if r.Sequence != all[0].Sequence+uint64(i) {
				t.Errorf("after %d, limit %d: a gap at %d", after, limit, r.Sequence)
			}
		}
		return fmt.Sprintf("%d-%d", all[0].Sequence, all[len(all)-1].Sequence)
	}
	last := l.Head().Sequence // 1501
	for range 2 {
		for _, c := range []struct {
			after uint64
			limit int
			want  string
		}{
			{0, 3, "1499-1501"}, {0, 0, "none"}, {last, 10, "none"}, {last + 10, 10, "none"}, {last - 1, 10, "1501-1501"}, {1, 5, "2-6"}, {700, 1, "701-701"},
			{20, 50, "21-70"}, {1450, 1000, "1451-1501"}, {1400, 10, "1401-1410"},
		} {
			if got := numbers(l, c.after, c.limit); got != c.want {
				t.Errorf("after %d, limit %d: %s, want %s", c.after, c.limit, got, c.want)
			}
		}
		l = opened(d, 1000) // which remembers less
	}
	if all, err := l.Records(1, 1000); err != nil || len(all) < 200 || len(all) > 999 { // as many as fit into an answer
		t.Error(len(all), err)
	}
	pruned := opened(newLossy(2), 1)
	write(t, pruned, 1200)
	if all, err := pruned.Records(1, 5); err != nil || len(all) != 5 || all[0].Sequence < 100 { // the first of those that are kept
		t.Error(all, err)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newLossy(1)
		l := open(t, d)
		refusal := func(caller string) audit.Record {
			return audit.Record{Kind: audit.Refused, Caller: caller, Role: "monitor", Command: "keys rotate", Result: "denied"}
		}
		for range 1000 {
			if _, err := l.Append(refusal("certificate bob")); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.Head().Sequence; n != 1+refusedBurst {
			t.Errorf("%d records of a flood", n)
		}
		if _, err := l.Append(refusal("certificate alice")); err != nil || l.newest(1)[0].Caller != "certificate alice" {
			t.Error("others are kept from being written", err)
		}
		time.Sleep(refusedEvery)
		if _, err := l.Append(refusal("certificate bob")); err != nil {
			t.Fatal(err)
		}
		if r := l.newest(1)[0]; r.Omitted != 1000-refusedBurst {
			t.Errorf("%d were left out, it says", r.Omitted)
		}
		// What a caller leaves out at last is written without him.
		if _, err := l.Append(refusal("certificate bob")); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		time.Sleep(2 * settleAfter)
		if r := l.newest(1)[0]; r.Omitted != 1 || r.Caller != "certificate bob" || r.Kind != audit.Refused {
			t.Errorf("%+v", r)
		}
		for range refusedBurst + 100 {
			_, _ = l.Append(refusal("certificate bob"))
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if r := l.newest(1)[0]; r.Omitted != 100 {
			t.Errorf("at the end: %+v", r)
		}
		verifyAll(t, l, nil)
	})
}

// Callers are told apart up to a bound; changes are written whatever their caller left out.
func TestManyCallers(t *testing.T) {
	l := newLimits()
	now := time.Now()
	admit := func(kind, name string) (r audit.Record, ok bool) {
		r = audit.Record{Kind: kind, Caller: name}
		return r, l.admit(&r, now)
	}
	written := 0
	for i := range 2000 {
		if _, ok := admit(audit.DryRun, fmt.Sprint("certificate ", i)); ok {
			written++
		}
	}
	if len(l.callers) > maxCallers+1 || written != maxCallers+refusedBurst {
		t.Errorf("%d callers, %d written", len(l.callers), written)
	}
	for range 100 {
		admit(audit.Refused, "certificate 1")
	}
	if r, ok := admit(audit.Attempt, "certificate 1"); !ok || r.Omitted != 100-refusedBurst+1 {
		t.Error(r, ok)
	}
	now = now.Add(time.Hour)
	if admit(audit.Refused, "certificate new"); len(l.callers) != 2 { // and the one of the others, which tells still
		t.Errorf("%d callers are remembered", len(l.callers))
	}
}

// The system log is told of each head, in one line, whatever a caller puts into it; a system log that hangs delays nobody.
func TestSystemLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var lines []string
		ours, theirs := net.Pipe()
		go func() {
			b := make([]byte, 4096)
			for {
				n, err := theirs.Read(b)
				if err != nil {
					return
				}
				mu.Lock()
				lines = append(lines, string(b[:n]))
				mu.Unlock()
			}
		}()
		teller := newTeller(false, slog.New(slog.DiscardHandler))
		teller.dial = func() (net.Conn, error) { return ours, nil }
		l := open(t, newLossy(1))
		l.teller = teller
		r := attempt(1)
		r.Command, r.From = "sources add\n<0>Nov 25 00:00:00 forged\x1b[2J"+strings.Repeat("é", 500), "192.0.2.1"
		h, err := l.Append(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(audit.Record{Kind: audit.Refused, Caller: "certificate bob"}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 * maxTold {
			write(t, l, 1)
			_ = i
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		time.Sleep(time.Minute)
		stop()
		<-ended
		theirs.Close()
		mu.Lock()
		defer mu.Unlock()
		if len(lines) != maxTold+1 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if len(line) > 1024 || strings.ContainsAny(line, "\n\x1b") || !strings.HasPrefix(line, "<86>") {
				t.Errorf("%q", line)
			}
		}
		if !strings.Contains(lines[1], "audit "+h.String()+" attempt by certificate alice from 192.0.2.1: sources add\\n<0>Nov") {
			t.Errorf("%q", lines[1])
		}
		if want := fmt.Sprintf("audit %s and %d records before it", l.Head(), 3*maxTold+2-maxTold-1); !strings.Contains(lines[maxTold], want) {
			t.Errorf("%q has not %q", lines[maxTold], want)
		}
	})
}

// Where there is no system log, or it was restarted, the next line finds its way.
func TestSystemLogGoes(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	teller := newTeller(true, slog.New(slog.NewTextHandler(&out, nil)))
	teller.dial = func() (net.Conn, error) { return net.DialTimeout("unixgram", path, tellWithin) }
	conn := teller.send(nil, "one")
	if conn != nil || !strings.Contains(out.String(), "one") {
		t.Errorf("our own log has %q", &out)
	}
	for _, line := range []string{"two", "three"} {
		_ = os.Remove(path)
		server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if conn = teller.send(conn, line); conn == nil {
			t.Fatalf("%s was not sent: %s", line, &out)
		}
		b := make([]byte, 1024)
		n, err := server.Read(b)
		if err != nil || !strings.HasSuffix(string(b[:n]), ": "+line) {
			t.Errorf("%q, %v", b[:n], err)
		}
		server.Close()
	}
	conn.Close()
}

// A disk that is full is tried again by itself.
func TestRunMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newLossy(1)
		full := true
		d.fail = func(step string) error {
			if full && strings.HasPrefix(step, "write") {
				return syscall.ENOSPC
			}
			return nil
		}
		l := open(t, d)
		if !strings.Contains(l.Problem(), "no space left") {
			t.Errorf("problem %q", l.Problem())
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		time.Sleep(time.Minute)
		d.mu.Lock()
		full = false
		d.mu.Unlock()
		time.Sleep(2 * retryEvery)
		if l.Problem() != "" || l.Head().Sequence != 1 {
			t.Errorf("problem %q, head %v", l.Problem(), l.Head())
		}
		// And once more, with nothing to tell.
		for _, failing := range []bool{true, false} {
			d.mu.Lock()
			full = failing
			d.mu.Unlock()
			if _, err := l.Append(attempt(1)); (err != nil) != failing {
				t.Errorf("failing %v: %v", failing, err)
			}
			if failing == (l.Problem() == "") {
				t.Errorf("failing %v: problem %q", failing, l.Problem())
			}
			d.mu.Lock()
			full = false
			d.mu.Unlock()
			time.Sleep(2 * retryEvery)
			if l.Problem() != "" {
				t.Error(l.Problem())
			}
		}
		stop()
		<-ended
		verifyAll(t, l, nil)
	})
}

func TestOnlyARestartChangesIt(t *testing.T) {
	cfg := config.Default()
	o := Options{State: t.TempDir(), Keep: cfg.Audit.Keep, MaxSize: int64(cfg.Audit.MaxSize), Syslog: true, Disk: newLossy(1)}
	l, err := Open(cfg.Audit.Directory, o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prepare(cfg); err != nil {
		t.Error(err)
	}
	cfg.Audit = config.Audit{Directory: "/x", MaxSize: 1 << 20, Keep: 1}
	_, err = l.Prepare(cfg)
	for _, key := range []string{"directory changed from /var/lib/ntptsd/audit to /x", "max-size", "keep", "syslog changed from true to false"} {
		if err == nil || !strings.Contains(err.Error(), "audit."+key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
}

const writableMetric = `
# HELP ntptsd_audit_writable Whether the audit log can be written; while 0, no change is made but what root may do in an emergency.
# TYPE ntptsd_audit_writable gauge
ntptsd_audit_writable %d
`

func TestMetrics(t *testing.T) {
	l := open(t, newLossy(1))
	write(t, l, 2)
	const last = `
# HELP ntptsd_audit_last_sequence Sequence of the last record.
# TYPE ntptsd_audit_last_sequence gauge
ntptsd_audit_last_sequence 3
`
	want := last + fmt.Sprintf(writableMetric, 1)
	if err := testutil.CollectAndCompare(l, strings.NewReader(want), "ntptsd_audit_last_sequence", "ntptsd_audit_writable"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(l, "ntptsd_audit_records_total"); n != 8 {
		t.Errorf("%d kinds", n)
	}
}

func TestFilesIn(t *testing.T) {
	got := filesIn([]string{"current.log", "0000000401.log", "head", "10000000000.log", "1.log", "0000000001.log", "-000000001.log", "torn-0000000002-0.part", "99999999999999999999.log"})
	if fmt.Sprint(got) != "[{0000000001.log 1} {0000000401.log 401} {10000000000.log 10000000000}]" {
		t.Error(got)
	}
	if !slices.IsSortedFunc(got, func(a, b file) int {
		return strings.Compare(fmt.Sprintf("%020d", a.first), fmt.Sprintf("%020d", b.first))
	}) {
		t.Error("not sorted")
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			l, _ := onDisk(b, func(o *Options) { o.MaxSize = 8 << 20 })
			r := attempt(0)
			r.Summary, r.Before = "add source ntp1.example (server, NTS) to chronyd", "not there"
			b.ResetTimer()
			var wait sync.WaitGroup
			for w := range writers {
				wait.Go(func() {
					for range b.N/writers + min(1, (b.N%writers+writers-w-1)/writers) {
						if _, err := l.Append(r); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wait.Wait()
		})
	}
}
