package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

type lampArgs struct {
	Lamp string `json:"lamp" help:"which"`
	Code string `json:"code" help:"a password" secret:"yes"`
}

type lamps struct {
	On []string `json:"on"`
}

var (
	turnOn  = api.Command[lampArgs, lamps]{Name: "lamp on", Role: api.Operator, Changes: true, Summary: "light it", Inverse: "lamp off", Urgent: true}
	turnOff = api.Command[lampArgs, lamps]{Name: "lamp off", Role: api.Operator, Changes: true, Summary: "darken it", Inverse: "lamp on"}
	smash   = api.Command[lampArgs, lamps]{Name: "lamp smash", Role: api.Admin, Changes: true, Summary: "break it"}
)

// house has lamps, and an audit log.
type house struct {
	*Ledger
	mu      sync.Mutex
	on      map[string]bool
	did     []string // as it happened
	records []audit.Record
	full    bool          // the disk of the log is
	fullOf  string        // for records of that kind
	fails   error         // what doing answers
	gone    bool          // what undoing finds
	slow    chan struct{} // what doing waits for
}

func (h *house) Append(r audit.Record) (audit.Head, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.full || h.fullOf == r.Kind {
		return audit.Head{}, errors.New("no space left")
	}
	r.Sequence, r.Time = uint64(len(h.records)+1), time.Now()
	h.records = append(h.records, r)
	h.did = append(h.did, fmt.Sprintf("%s %d", r.Kind, r.Sequence))
	return audit.Head{Sequence: r.Sequence, Hash: "h", Signature: "s"}, nil
}

func (h *house) plan(on bool, c api.Command[lampArgs, lamps]) func(context.Context, api.Caller, lampArgs) (api.Change[lamps], error) {
	return func(_ context.Context, _ api.Caller, a lampArgs) (change api.Change[lamps], err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.gone || a.Lamp == "" {
			return change, api.Failf(api.NotFound, "there is no such lamp")
		}
		change.Plan = api.Plan{Summary: "turn " + a.Lamp + " " + word(on), Before: word(h.on[a.Lamp]), After: word(on)}
		change.Result.On = []string{a.Lamp}
		switch c.Inverse {
		case "lamp on":
			change.Undo = api.StepOf(turnOn, a)
		case "lamp off":
			change.Undo = api.StepOf(turnOff, a)
		}
		if h.on[a.Lamp] == on {
			return change, nil
		}
		change.Do = func(ctx context.Context) (lamps, error) {
			if h.slow != nil {
				<-h.slow
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.did = append(h.did, change.Summary)
			if h.fails == nil {
				h.on[a.Lamp] = on
			}
			return change.Result, h.fails
		}
		return change, nil
	}
}

func word(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func newHouse(t *testing.T, folder string, before *house) *house {
	t.Helper()
	h := &house{on: make(map[string]bool)}
	var recent []audit.Record
	if before != nil {
		h.on, h.records, recent = before.on, before.records, before.records
	}
	var err error
	if h.Ledger, err = New(folder, h, recent, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	table, err := api.NewTable([]api.Declared{turnOn, turnOff, smash}, api.BindChange(turnOn, h.plan(true, turnOn)),
		api.BindChange(turnOff, h.plan(false, turnOff)), api.BindChange(smash, h.plan(true, smash)))
	if err != nil {
		t.Fatal(err)
	}
	h.Serve(table)
	return h
}

var (
	alice = api.Caller{Role: api.Operator, Name: "alice"}
	root  = api.Caller{Role: api.Admin, Name: "uid 0", Root: true}
)

func (h *house) ask(t *testing.T, who api.Caller, command, args string, how api.How) (o api.Outcome[lamps], err error) {
	t.Helper()
	d, ok := h.table.Find(command)
	if !ok {
		t.Fatal(command)
	}
	answer, err := h.Change(t.Context(), who, d, []byte(args), how)
	if err == nil {
		o = answer.(api.Outcome[lamps])
	}
	return o, err
}

// lit tells whether a lamp is on.
func (h *house) lit(lamp string) (on bool) {
	h.let(func() { on = h.on[lamp] })
	return on
}

func (h *house) record(i int) (r audit.Record) {
	h.let(func() { r = h.records[i] })
	return r
}

// let has f have the house for itself.
func (h *house) let(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// events are what happened, in order, and forgets them.
func (h *house) events() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.Join(h.did, ", ")
	h.did = nil
	return s
}

func TestAChangeIsWrittenBeforeAndAfter(t *testing.T) {
	h := newHouse(t, t.TempDir(), nil)
	o, err := h.ask(t, alice, "lamp on", `{"lamp":"hall","code":"sesame"}`, api.How{})
	if got := h.events(); got != "attempt 1, turn hall on, outcome 2" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	want := api.Outcome[lamps]{Plan: api.Plan{Summary: "turn hall on", Before: "off", After: "on"}, Change: 1,
		Audit: api.AuditHead{Sequence: 2, Hash: "h", Signature: "s"}, Result: &lamps{[]string{"hall"}}}
	if got, wanted := asJSON(o), asJSON(want); got != wanted {
		t.Errorf("%s\nwant %s", got, wanted)
	}
	if all := asJSON(h.records); strings.Contains(all, "sesame") || !strings.Contains(all, `"code":"(secret)"`) {
		t.Errorf("%s", all)
	}
	if o, err = h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{}); err != nil || h.events() != "attempt 3, outcome 4" || h.records[3].Result != "nothing" {
		t.Errorf("what is so already: %+v, %v, %+v", o, err, h.records[3])
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestWhatIsNotDoneIsWritten(t *testing.T) {
	for name, c := range map[string]struct {
		command, args string
		how           api.How
		fails         error
		kind          api.Kind
		events        string
	}{
		"dry run":            {"lamp on", `{"lamp":"hall"}`, api.How{DryRun: true}, nil, "", "dry-run 1"},
		"bad argument":       {"lamp on", `{"lampe":"hall"}`, api.How{}, nil, api.BadArgument, "refused 1"},
		"bad dry run":        {"lamp on", `{"lampe":"hall"}`, api.How{DryRun: true}, nil, api.BadArgument, "refused 1"},
		"not there":          {"lamp on", ``, api.How{}, nil, api.NotFound, "refused 1"},
		"fails":              {"lamp on", `{"lamp":"hall"}`, api.How{}, api.Failf(api.Unavailable, "fuse"), api.Unavailable, "attempt 1, turn hall on, outcome 2"},
		"no inverse":         {"lamp smash", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Minute}, nil, api.BadArgument, "refused 1"},
		"too short":          {"lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Second}, nil, api.BadArgument, "refused 1"},
		"too long":           {"lamp on", `{"lamp":"hall"}`, api.How{ConfirmWithin: 25 * time.Hour}, nil, api.BadArgument, "refused 1"},
		"a key of two words": {"lamp on", `{"lamp":"hall"}`, api.How{Key: "a b"}, nil, api.BadArgument, "refused 1"},
		"a long key":         {"lamp on", `{"lamp":"hall"}`, api.How{Key: strings.Repeat("k", 65)}, nil, api.BadArgument, "refused 1"},
		"an odd key":         {"lamp on", `{"lamp":"hall"}`, api.How{Key: "\x1b"}, nil, api.BadArgument, "refused 1"},
	} {
		h := newHouse(t, t.TempDir(), nil)
		h.fails = c.fails
		o, err := h.ask(t, root, c.command, c.args, c.how)
		if (err != nil) != (c.kind != "") || err != nil && api.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
		if got := h.events(); got != c.events || h.on["hall"] || len(h.Pending()) > 0 {
			t.Errorf("%s: %s, want %s", name, got, c.events)
		}
		if last := h.records[len(h.records)-1]; last.Key == "\x1b" || c.kind != "" && (last.Result != string(c.kind) || last.Error == "") {
			t.Errorf("%s: %+v", name, last)
		}
		if c.how.DryRun && err == nil && (!o.DryRun || o.Result != nil || o.Before != "off" || o.After != "on" || o.Change != 0) {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// Where nothing can be written, nothing is changed, but by root who has to end something.
func TestAnUnwritableLog(t *testing.T) {
	for name, c := range map[string]struct {
		who     api.Caller
		command string
		done    bool
	}{
		"operator":                     {alice, "lamp off", false},
		"operator, urgent":             {alice, "lamp on", false},
		"admin from elsewhere, urgent": {api.Caller{Role: api.Admin, Name: "certificate root"}, "lamp on", false},
		"root, not urgent":             {root, "lamp off", false},
		"root, urgent":                 {root, "lamp on", true},
		"root, urgent, for a while":    {root, "lamp on", false},
	} {
		var log bytes.Buffer
		h := newHouse(t, t.TempDir(), nil)
		h.log = slog.New(slog.NewTextHandler(&log, nil))
		h.full, h.on["hall"] = true, c.command == "lamp off"
		how := api.How{}
		if strings.Contains(name, "while") { // which would not end
			how.ConfirmWithin = time.Minute
		}
		_, err := h.ask(t, c.who, c.command, `{"lamp":"hall","code":"sesame"}`, how)
		if done := h.events() != ""; done != c.done || c.done != (err == nil) || err != nil && api.KindOf(err) != api.Unavailable {
			t.Errorf("%s: done %v, %v", name, done, err)
		}
		if told := strings.Contains(log.String(), "without a record"); told != c.done || strings.Contains(log.String(), "sesame") {
			t.Errorf("%s: the system log says %q", name, log.String())
		}
	}
	h := newHouse(t, t.TempDir(), nil)
	h.fullOf = audit.Outcome
	if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{}); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "it was done") || !h.on["hall"] {
		t.Errorf("an outcome that cannot be written: %v", err)
	}
}

func TestAChangeIsMadeOnceByItsKey(t *testing.T) {
	folder := t.TempDir()
	h := newHouse(t, folder, nil)
	ask := func(who api.Caller, command, args, key string) (api.Outcome[lamps], error) {
		return h.ask(t, who, command, args, api.How{Key: key})
	}
	first, err := ask(alice, "lamp on", `{"lamp":"hall"}`, "k1")
	if err != nil {
		t.Fatal(err)
	}
	h.on["hall"] = false // somebody else
	h.events()
	again, err := ask(alice, "lamp on", `{"lamp":"hall"}`, "k1")
	if first.Replayed = true; err != nil || asJSON(again) != asJSON(first) || h.events() != "" {
		t.Errorf("%s, %v; want %s", asJSON(again), err, asJSON(first))
	}
	for _, other := range []string{`{"lamp":"attic"}`, ``} {
		if _, err := ask(alice, "lamp on", other, "k1"); api.KindOf(err) != api.Conflict {
			t.Errorf("the key with %s: %v", other, err)
		}
	}
	if o, err := ask(root, "lamp on", `{"lamp":"hall"}`, "k1"); err != nil || o.Replayed || h.events() == "" {
		t.Errorf("somebody else's key: %+v, %v", o, err)
	}
	for _, login := range []string{"session/1", "session/2"} { // both by links of one, and perhaps of other roles
		guest := api.Caller{Role: api.Operator, Name: "link of alice", Login: login}
		if o, err := ask(guest, "lamp off", `{"lamp":"porch"}`, "k1"); err != nil || o.Replayed != (login == "session/2") || (o.Result == nil) != o.Replayed {
			t.Errorf("%s, who is called the same: %+v, %v", login, o, err)
		}
	}
	if _, err := ask(alice, "lamp on", ``, "k2"); api.KindOf(err) != api.NotFound {
		t.Error(err)
	}
	if o, err := ask(alice, "lamp off", `{"lamp":"hall"}`, "k2"); api.KindOf(err) == api.Conflict || o.Replayed {
		t.Errorf("a key of what was never attempted counts: %+v, %v", o, err)
	}
	h.fails = api.Failf(api.Unavailable, "fuse")
	for range 2 {
		if _, err := ask(alice, "lamp on", `{"lamp":"attic"}`, "k3"); api.KindOf(err) != api.Unavailable {
			t.Error(err)
		}
	}
	if n := strings.Count(h.events(), "turn attic on"); n != 1 {
		t.Errorf("what failed was tried %d times", n)
	}

	// Over a restart the audit log remembers: what was done, what failed, and what nobody knows.
	h.records = append(h.records, audit.Record{Kind: audit.Attempt, Sequence: 99, Time: time.Now(), Caller: "alice", Command: "lamp on", Args: json.RawMessage(`{"lamp":"cellar"}`), Key: "k4"})
	h = newHouse(t, folder, h)
	o, err := ask(alice, "lamp on", `{"lamp":"hall"}`, "k1")
	if err != nil || !o.Replayed || o.Change != first.Change || o.Summary != first.Summary || o.Result != nil {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := ask(alice, "lamp on", `{"lamp":"attic"}`, "k3"); api.KindOf(err) != api.Unavailable || err.Error() != "fuse" {
		t.Error(err)
	}
	if _, err := ask(alice, "lamp on", `{"lamp":"cellar"}`, "k4"); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "record 99") {
		t.Error(err)
	}
	if h.events() != "" {
		t.Error("something was done again")
	}
}

// Who asks twice at the same time has one answer.
func TestTheSameKeyAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		h.slow = make(chan struct{})
		var answers sync.WaitGroup
		for range 3 {
			answers.Go(func() {
				if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{Key: "k"}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Change(ctx, alice, turnOn.Declaration(), []byte(`{"lamp":"hall"}`), api.How{Key: "k"}); api.KindOf(err) != api.Unavailable {
			t.Errorf("while it is made: %v", err)
		}
		close(h.slow)
		answers.Wait()
		if n := strings.Count(h.events(), "turn hall on"); n != 1 {
			t.Errorf("done %d times", n)
		}
	})
}

func TestOldKeysAreForgotten(t *testing.T) {
	var r replays
	for i := range 3 * maxReplays {
		_, err := r.once(t.Context(), fmt.Sprint(i), asked{written: "x"}, "", func() (outcome, error) { return outcome{Change: 1}, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(r.known) != maxReplays || len(r.order) != maxReplays {
		t.Errorf("%d keys, %d in order", len(r.known), len(r.order))
	}
	if _, first := r.find(fmt.Sprint(3*maxReplays-1), asked{written: "x"}, ""); first {
		t.Error("the newest is forgotten")
	}
	if _, first := r.find("0", asked{written: "x"}, ""); !first {
		t.Error("the oldest is remembered")
	}
}

// One change is made at a time, except for those that cannot wait.
func TestChangesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		h.on["hall"], h.slow = true, make(chan struct{})
		var both sync.WaitGroup
		both.Go(func() { _, _ = h.ask(t, alice, "lamp off", `{"lamp":"hall"}`, api.How{}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Change(ctx, alice, turnOff.Declaration(), []byte(`{"lamp":"attic"}`), api.How{}); api.KindOf(err) != api.Unavailable {
			t.Errorf("meanwhile: %v", err)
		}
		both.Go(func() { _, _ = h.ask(t, alice, "lamp on", `{"lamp":"attic"}`, api.How{}) })
		synctest.Wait()
		if got := h.events(); !slices.Equal(strings.Split(got, ", "), []string{"attempt 1", "attempt 2"}) {
			t.Errorf("%s: an urgent one waits", got)
		}
		close(h.slow)
		both.Wait()
	})
}

// While another process takes over nothing is changed or undone; afterwards it is, if that one failed.
func TestNothingIsChangedWhileItIsFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		defer h.running(t)()
		confirmIn(t, h, time.Minute)
		h.slow = make(chan struct{})
		var late sync.WaitGroup
		late.Go(func() { _, _ = h.ask(t, alice, "lamp on", `{"lamp":"attic"}`, api.How{}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if h.Freeze(ctx) == nil {
			t.Error("it does not wait for a change that is being made")
		}
		close(h.slow)
		late.Wait()
		if err := h.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.events()
		for _, command := range []string{"lamp on", "lamp off"} { // an urgent one, too
			if _, err := h.ask(t, root, command, `{"lamp":"hall"}`, api.How{}); api.KindOf(err) != api.Unavailable {
				t.Errorf("%s: %v", command, err)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := h.events(); got != "" || !h.lit("hall") {
			t.Errorf("%s", got)
		}
		h.Thaw()
		time.Sleep(slowestRetry)
		synctest.Wait()
		if h.lit("hall") {
			t.Error("what nobody confirmed is not undone afterwards")
		}
	})
}

// A panic in a command is nobody's success: who waits for the same key, and who asks again, is told to look.
func TestAPanicIsNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r replays
		begun, going := make(chan struct{}), make(chan struct{})
		go func() {
			defer func() { _ = recover() }()
			_, _ = r.once(t.Context(), "k", asked{written: "x"}, "", func() (outcome, error) {
				close(begun)
				<-going
				panic("a bug")
			})
		}()
		<-begun
		waited := make(chan error, 1)
		go func() {
			_, err := r.once(t.Context(), "k", asked{written: "x"}, "", nil)
			waited <- err
		}()
		synctest.Wait()
		close(going)
		if err := <-waited; api.KindOf(err) != api.Internal || err == nil {
			t.Errorf("who waited: %v", err)
		}
		if _, err := r.once(t.Context(), "k", asked{written: "x"}, "", nil); api.KindOf(err) != api.Internal || err == nil {
			t.Errorf("who asks again: %v", err)
		}
	})
}

// However many keys come meanwhile, that of a change that is being made is not forgotten, or it would be made twice.
func TestAKeyInUseIsNotForgotten(t *testing.T) {
	var r replays
	_, err := r.once(t.Context(), "slow", asked{written: "x"}, "", func() (outcome, error) {
		for i := range 2 * maxReplays {
			if _, err := r.once(t.Context(), fmt.Sprint(i), asked{written: "x"}, "", func() (outcome, error) { return outcome{Change: 1}, nil }); err != nil {
				t.Fatal(err)
			}
		}
		return outcome{Change: 2}, nil
	})
	if err != nil || len(r.known) != maxReplays || len(r.order) != maxReplays {
		t.Errorf("%d keys, %d in order, %v", len(r.known), len(r.order), err)
	}
	if p, first := r.find("slow", asked{written: "x"}, ""); first || p.outcome.Change != 2 {
		t.Errorf("%+v", p)
	}
}

// Nobody but root pushes what was done out of the audit log.
func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		tries := func(who api.Caller, n int) (done int) {
			for range n {
				switch _, err := h.ask(t, who, "lamp on", `{"lamp":"hall"}`, api.How{}); {
				case err == nil:
					done++
				case api.KindOf(err) != api.TooMany:
					t.Fatal(err)
				}
			}
			return done
		}
		if n := tries(alice, attemptBurst+50); n != attemptBurst {
			t.Errorf("%d at once", n)
		}
		if last := h.record(len(h.records) - 1); last.Kind != audit.Refused || last.Result != string(api.TooMany) {
			t.Errorf("it is not written: %+v", last)
		}
		if n := tries(root, attemptBurst+50); n != attemptBurst+50 {
			t.Errorf("%d of root", n)
		}
		if n := tries(api.Caller{Role: api.Operator, Name: "bob"}, 10); n != 10 {
			t.Errorf("%d of somebody else", n)
		}
		carol, replayed := api.Caller{Role: api.Operator, Name: "carol"}, 0
		for range attemptBurst + 50 { // each that is answered may be a line in the system's log
			if _, err := h.ask(t, carol, "lamp on", `{"lamp":"hall"}`, api.How{Key: "k"}); err == nil {
				replayed++
			}
			if _, err := h.ask(t, carol, "lamp smash", `{"lamp":"hall"}`, api.How{ConfirmWithin: time.Minute}); api.KindOf(err) == api.BadArgument {
				replayed++
			}
		}
		if replayed != attemptBurst {
			t.Errorf("%d replays and bad requests", replayed)
		}
		time.Sleep(time.Minute)
		if n := tries(alice, 50); n != 10 {
			t.Errorf("%d a minute later", n)
		}
	})
	var p paces
	now := time.Now()
	for i := range 10 * maxPaced {
		p.admit(fmt.Sprint(i), now)
	}
	if len(p.done) > maxPaced+1 {
		t.Errorf("%d callers are remembered", len(p.done))
	}
}

// However many changes come one after the other, a newer process can take over.
func TestChangesWithoutEndDoNotKeepItFromFreezing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, t.TempDir(), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var refused atomic.Int32
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 250 * time.Millisecond)
				for ctx.Err() == nil {
					leave, err := h.enter(ctx, api.Declaration{Urgent: true})
					if err != nil {
						refused.Add(1)
						return
					}
					time.Sleep(time.Second)
					leave()
				}
			})
		}
		time.Sleep(10 * time.Second)
		if err := h.Freeze(ctx); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		if refused.Load() != 4 {
			t.Errorf("%d of 4 are told", refused.Load())
		}
		h.Thaw()
		if _, err := h.ask(t, alice, "lamp on", `{"lamp":"hall"}`, api.How{}); err != nil {
			t.Error(err)
		}
	})
}
