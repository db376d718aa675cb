package keyring

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// nextDoor is a daemon that reads the neighbour's file of a world when it is told to, or when it starts.
type nextDoor struct {
	*world
	deaf   bool  // it reads at its start only, as NTPsec does
	stuck  bool  // it says that it has read the file, and has not
	away   error // what telling it answers
	knows  []uint32
	told   int
	proofs []time.Duration // running time of each for the newest key
	asked  atomic.Int32    // the same for who looks on from outside
}

var errNAK = errors.New("the time server does not know the key (NTS NAK)")

func (n *nextDoor) start() {
	h, err := parseFormat(n.ring.KeySet().dialect, []byte(n.neighbourText()))
	if err != nil {
		n.Fatal(err)
	}
	n.knows = nil
	for _, k := range h.keys {
		n.knows = append(n.knows, k.id)
	}
}

func (n *nextDoor) Rekey(context.Context) error {
	n.told++
	switch {
	case n.deaf:
		return errors.ErrUnsupported
	case n.away != nil:
		return n.away
	}
	if !n.stuck {
		n.start()
	}
	return nil
}

func (n *nextDoor) Prove(_ context.Context, k *cookie.Key) error {
	if n.ring != nil && n.ring.KeySet().newest().id == k.ID() {
		n.proofs = append(n.proofs, n.running)
	}
	n.asked.Add(1)
	if n.away != nil {
		return n.away
	}
	if !slices.Contains(n.knows, k.ID()) {
		return errNAK
	}
	return nil
}

// proving is a world with a neighbour that can be asked.
func proving(t testing.TB, k config.KeyRing) (*world, *nextDoor) {
	k.NeighbourServer = "127.0.0.1:123"
	if k.Dialect == "chrony" {
		k.NeighbourSocket = cmp.Or(k.NeighbourSocket, "/run/chrony/chronyd.sock")
	}
	w := beside(t, k, "-")
	n := &nextDoor{world: w, deaf: w.cfg.KeyRing.NeighbourSocket == "" || w.cfg.KeyRing.NeighbourSocket == config.None}
	w.reader = n
	return w, n
}

func TestTheNextKeyIsProvedBeforeItMints(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	w.mustStart()
	for i := range 4 {
		if n.told != i+1 || len(n.proofs) != 60*i+1 { // and once more each minute
			t.Fatalf("after %d rotations told %d times, %d proofs", i, n.told, len(n.proofs))
		}
		if !w.record().set.published {
			t.Error("the record does not know of the proof")
		}
		ids := w.ids()
		w.live(hour - time.Minute)
		ids = w.wantSteps(ids, 0)
		w.live(time.Minute)
		w.wantSteps(ids, 1)
	}
	wantMetric(t, w.ring, "ntptsd_keyring_proofs_total", 241)
	wantMetric(t, w.ring, "ntptsd_keyring_unproved", 0)
}

// The interval of the next key runs from its proof on; until then the old key mints.
func TestAProofThatFails(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	w.mustStart()
	n.stuck = true
	w.live(hour)
	ids, c := w.ids(), mint(t, w.ring.KeySet())
	w.live(5 * hour)
	w.wantSteps(ids, 0)
	if w.record().set.published {
		t.Error("the record calls the key published")
	}
	wantMetric(t, w.ring, "ntptsd_keyring_unproved", 1)
	wantMetric(t, w.ring, "ntptsd_keyring_cookies_refused", 0)
	wantMetric(t, w.ring, "ntptsd_keyring_next_rotation_timestamp_seconds", 0)
	if v := w.ring.View(); v.NextRotation != nil || !strings.Contains(v.Problem, "the current one goes on: the time server does not know the key") {
		t.Errorf("it is said: %+v", v)
	}
	if n := w.logged("does not prove to know"); n != 1 {
		t.Errorf("logged %d times: %s", n, w.log)
	}
	n.stuck = false
	w.live(time.Minute)
	w.wantSteps(ids, 0)
	wantMetric(t, w.ring, "ntptsd_keyring_unproved", 0)
	if v := w.ring.View(); v.NextRotation == nil || !v.NextRotation.Equal(w.wall.Add(hour)) || v.Problem != "" {
		t.Errorf("after the proof it is said: %+v", v)
	}
	if w.logged("over: the neighbour does not prove to know") != 1 {
		t.Errorf("its end is not logged: %s", w.log)
	}
	w.live(hour - time.Minute)
	w.wantSteps(ids, 0)
	w.live(time.Minute)
	w.wantSteps(ids, 1)
	if err := opens(w.ring.KeySet(), c); err != nil {
		t.Error(err)
	}
}

func TestProofsBackOff(t *testing.T) {
	for _, tt := range []struct {
		dialect string
		want    []time.Duration // in seconds after the start
	}{
		{"chrony", []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183}},
		{"ntpsec", []time.Duration{0, 60, 120, 180}}, // it logs each cookie that it cannot open
	} {
		w, n := proving(t, config.KeyRing{Dialect: tt.dialect, RotateEvery: config.Duration(24 * hour)})
		n.away = errNAK
		w.mustStart()
		for range 200 {
			w.pass(time.Second)
		}
		for i := range n.proofs {
			n.proofs[i] /= time.Second
		}
		if !slices.Equal(n.proofs, tt.want) {
			t.Errorf("%s is asked at %d, want %d", tt.dialect, n.proofs, tt.want)
		}
		if n.told != len(n.proofs) {
			t.Errorf("%s was told %d times: it may have been restarted in between", tt.dialect, n.told)
		}
	}
}

// Run waits as long as the back-off says, and no longer.
func TestRunAsksInTime(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	n.away = errNAK
	synctest.Test(t, func(t *testing.T) {
		_, stop := running(t, w.cfg, w)
		defer stop()
		for i, after := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
			time.Sleep(after)
			synctest.Wait()
			if asked := int(n.asked.Load()); asked != 2*(i+1) { // about the next key, and about the current one
				t.Errorf("%d proofs when %d are due", asked, 2*(i+1))
			}
		}
	})
}

// NTPsec must be restarted for each new key: the log asks for it once, the proof finds out when it has happened.
func TestNTPsecIsToBeRestarted(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "ntpsec", Keep: 3})
	w.mustStart()
	n.start()
	w.live(time.Minute)
	for i := range 3 {
		if v := w.ring.View(); v.Problem != "" {
			t.Errorf("problem: %s", v.Problem)
		}
		w.live(hour)
		ids, asked := w.ids(), len(n.proofs)
		if v := w.ring.View(); !strings.HasPrefix(v.Problem, "restart ntpd when you can") || v.NextRotation != nil {
			t.Errorf("at the change it is said: %+v", v)
		}
		if h, err := parseNTPsec(w.neighbourText()); err != nil || !h.stopped || h.keys[len(h.keys)-2].id != ids[1] {
			t.Errorf("the file is not T: 0 with the next key in the second place: %v\n%s", err, w.neighbourText())
		}
		w.live(3 * hour)
		w.wantSteps(ids, 0)
		if n := len(n.proofs) - asked; n > 180 {
			t.Errorf("asked %d times in three hours", n)
		}
		if n := w.logged(`msg="restart ntpd when you can`); n != i+2 { // the first one came at the start
			t.Errorf("logged %d times at change %d: %s", n, i, w.log)
		}
		n.start()
		w.live(time.Minute)
		w.wantSteps(ids, 0)
	}
}

// At a start the neighbour may know the keys or not, whatever the record says: it is asked before anything rotates.
func TestAStartAsks(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	w.mustStart()
	w.live(59 * time.Minute)
	ids := w.ids()
	n.away = errNAK
	w.mustStart()
	w.live(3 * hour)
	w.wantSteps(ids, 0)
	n.away = nil
	w.live(time.Minute)
	w.wantSteps(ids, 1) // its interval was over

	w.synchronised = false // and the neighbour wants our keys whatever the time
	n.knows = nil
	told := n.told
	w.mustStart()
	if n.told != told+1 || len(n.knows) != 4 {
		t.Errorf("told %d times more, it knows %d keys", n.told-told, len(n.knows))
	}
}

func TestForcedRotationBesideWhoProves(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	w.mustStart()
	ids := w.ids()
	n.away = errNAK
	if err := w.rotate(); err != nil { // the next key is proved: it need not wait
		t.Fatal(err)
	}
	ids = w.wantSteps(ids, 1)
	if err := w.rotate(); !errors.Is(err, ErrUnpublished) || !strings.Contains(err.Error(), "NTS NAK") {
		t.Errorf("unproved: %v", err)
	}
	w.wantSteps(ids, 0)
	n.away = nil // it is asked again at once, back-off or not
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	w.wantSteps(ids, 1)
	if err := w.rotate(); !errors.Is(err, ErrPromised) {
		t.Errorf("a third one: %v", err)
	}

	w, n = proving(t, config.KeyRing{Dialect: "ntpsec"})
	w.mustStart()
	asked := len(n.proofs)
	for range 5 {
		if err := w.rotate(); !errors.Is(err, ErrUnpublished) || !strings.Contains(err.Error(), "restart ntpd") {
			t.Errorf("ntpsec: %v", err)
		}
	}
	if len(n.proofs) != asked {
		t.Error("NTPsec is asked more often than it may be")
	}
}

// Without a proof the neighbour is told all the same, and what is written counts as known.
func TestToldWithoutAProof(t *testing.T) {
	w, n := proving(t, config.KeyRing{Dialect: "chrony"})
	w.cfg.KeyRing.NeighbourServer = config.None
	w.mustStart()
	ids := w.ids()
	n.away = errors.New("no such socket")
	w.live(hour)
	ids = w.wantSteps(ids, 1)
	if v := w.ring.View(); !strings.Contains(v.Problem, "cannot be told to read its key file: no such socket") || v.NextRotation == nil {
		t.Errorf("it is said: %+v", v)
	}
	w.live(hour)
	w.wantSteps(ids, 1)
	n.away = nil
	w.live(time.Minute)
	if v := w.ring.View(); v.Problem != "" || len(n.proofs) != 0 {
		t.Errorf("it is said: %+v; %d proofs", v, len(n.proofs))
	}
	told := n.told
	w.live(30 * time.Minute)
	if n.told != told {
		t.Error("told again and again")
	}
}

// hung answers nothing.
type hung struct{}

func (hung) Rekey(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (hung) Prove(ctx context.Context, _ *cookie.Key) error {
	<-ctx.Done()
	return ctx.Err()
}

// A neighbour that hangs blocks nobody else, and is waited for a few seconds.
func TestAHungNeighbourBlocksNobody(t *testing.T) {
	w, _ := proving(t, config.KeyRing{Dialect: "chrony"})
	w.reader = hung{}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r, stop := running(t, w.cfg, w)
		if v := r.View(); len(v.Keys) != 4 {
			t.Errorf("view %+v", v)
		}
		if _, err := r.Prepare(w.cfg); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("blocked for %v", d)
		}
		time.Sleep(rekeyWithin + 2*proveWithin)
		synctest.Wait()
		if v := r.View(); v.Problem == "" {
			t.Error("it is not noticed")
		}
		began = time.Now()
		stop()
		if d := time.Since(began); d != 0 {
			t.Errorf("stopping took %v", d)
		}
	})
}

// Who stops while the neighbour is asked has not learnt anything of it.
func TestStoppedWhileAsking(t *testing.T) {
	w, _ := proving(t, config.KeyRing{Dialect: "chrony"})
	w.reader = hung{}
	synctest.Test(t, func(t *testing.T) {
		r, stop := running(t, w.cfg, w)
		stop()
		if v := r.View(); v.Problem != "" || w.logged("does not prove") > 0 {
			t.Errorf("problem %q: %s", v.Problem, w.log)
		}
	})
}

// An answer that comes after the next rotation says nothing about the key that is next by now.
func TestALateAnswer(t *testing.T) {
	w, _ := proving(t, config.KeyRing{Dialect: "chrony"})
	w.mustStart()
	q := &question{newest: w.ring.KeySet().next().sealer}
	if err := w.rotate(); err != nil {
		t.Fatal(err)
	}
	w.ring.conclude(w.ring.policy.Load(), q, false, nil, "")
	if w.ring.proof.done {
		t.Error("it was taken for the new one's")
	}
}
