package keyring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// owner is a neighbour that rotates its own keys, as its daemon does.
type owner struct {
	testing.TB
	dialect cookie.Dialect
	path    string
	h       held
}

func newOwner(t testing.TB, dialect, path string) *owner {
	o := &owner{TB: t, path: path}
	o.dialect, _ = cookie.ParseDialect(dialect)
	for range map[cookie.Dialect]int{cookie.Chrony: 4, cookie.NTPsec: 1, cookie.NTPDRS: 1}[o.dialect] {
		o.add()
	}
	return o
}

// add is one rotation.
func (o *owner) add() {
	k := key{id: uint32(len(o.h.keys)) + 77, alg: usual(o.dialect), secret: newSecret(usual(o.dialect))}
	if n := len(o.h.keys); n > 0 {
		k.id = o.h.keys[n-1].id + 1
	}
	o.h.keys = append(o.h.keys, k)
	if most := map[cookie.Dialect]int{cookie.Chrony: 4, cookie.NTPsec: 10, cookie.NTPDRS: 8}[o.dialect]; len(o.h.keys) > most {
		o.h.keys = o.h.keys[1:]
	}
	o.h.primary = len(o.h.keys) - 1
	if o.dialect == cookie.Chrony {
		o.h.primary = 2
	}
}

func (o *owner) text() []byte {
	switch o.dialect {
	case cookie.Chrony:
		return appendFormat(nil, nks1, o.h.keys)
	case cookie.NTPDRS:
		return appendNTPDRS(nil, &o.h)
	}
	b := []byte("T: 1790000000\nL: 32\n")
	for _, k := range slices.Backward(o.h.keys) {
		b = fmt.Appendf(b, "I: %d\nK: %s\n", k.id, k.secret.hex())
	}
	return b
}

// rename writes a new file over the old one, as chronyd and NTPsec do.
func (o *owner) rename(text []byte) {
	o.Helper()
	if err := errors.Join(os.WriteFile(o.path+"-tmp", text, 0o600), os.Rename(o.path+"-tmp", o.path)); err != nil {
		o.Fatal(err)
	}
}

// inPlace writes into the file, as ntpd-rs does.
func (o *owner) inPlace(text []byte) {
	o.Helper()
	if err := os.WriteFile(o.path, text, 0o600); err != nil {
		o.Fatal(err)
	}
}

func (o *owner) remove() {
	o.Helper()
	if err := os.Remove(o.path); err != nil {
		o.Fatal(err)
	}
}

var owners = []string{"chrony", "ntpsec", "ntpdrs"}

// following is a world whose neighbour owns the keys, before the neighbour has written any.
func following(t testing.TB, dialect string) (*world, *owner) {
	w := beside(t, config.KeyRing{Dialect: dialect, Owner: ownerNeighbour}, "-")
	return w, newOwner(t, dialect, w.cfg.KeyRing.NeighbourFile)
}

// polls are the next two: the second reads what was written in place.
func (w *world) polls() {
	for range 2 {
		w.ring.poll()
	}
}

func (w *world) wantMirror(o *owner) {
	w.Helper()
	s := w.ring.KeySet()
	if !s.mirrors(&o.h) {
		w.Fatalf("%v: the ring is not what the neighbour has", o.dialect)
	}
	for i := range s.keys {
		c := mint(w, &KeySet{dialect: s.dialect, keys: []key{s.keys[i], s.keys[i]}})
		if err := opens(s, c); err != nil {
			w.Errorf("%v: key %d of %d: %v", o.dialect, i, len(s.keys), err)
		}
	}
	if id, _ := s.dialect.KeyID(mint(w, s)); id != o.h.keys[o.h.primary].id {
		w.Errorf("%v: mints under %08x, the neighbour under %08x", o.dialect, id, o.h.keys[o.h.primary].id)
	}
	if r := w.record(); !r.set.mirrors(&o.h) {
		w.Errorf("%v: the record is another one", o.dialect)
	}
}

func TestFollows(t *testing.T) {
	for _, dialect := range owners {
		w, o := following(t, dialect)
		o.rename(o.text())
		w.mustStart()
		w.wantMirror(o)
		for i := range 12 {
			o.add()
			if o.dialect == cookie.NTPDRS {
				o.inPlace(o.text())
			} else {
				o.rename(o.text())
			}
			w.polls()
			w.wantMirror(o)
			if i%3 == 0 {
				w.mustStart()
				w.wantMirror(o)
			}
		}
		w.live(3 * hour) // nothing rotates by us
		w.wantMirror(o)
		v := w.ring.View()
		if v.Owner != "neighbour" || v.NextRotation != nil || v.RotateEverySeconds != 0 || v.Problem != "" || len(v.Keys) != len(o.h.keys) ||
			v.Keys[o.h.primary].State != "current" || v.Keys[0].State == v.Keys[o.h.primary].State {
			t.Errorf("view %+v", v)
		}
		if err := w.rotate(); !errors.Is(err, ErrFollowed) || !strings.Contains(err.Error(), o.path) {
			t.Errorf("rotate: %v", err)
		}
	}
}

// A key of any place may mint, and those behind it are accepted.
func TestFollowsAnyPrimary(t *testing.T) {
	w, o := following(t, "ntpdrs")
	for range 4 {
		o.add()
	}
	for i := range o.h.keys {
		o.h.primary = i
		o.rename(o.text())
		w.mustStart()
		w.wantMirror(o)
		for j, k := range w.ring.View().Keys {
			want := "current"
			if j < i {
				want = "old"
			} else if j > i {
				want = "next"
			}
			if k.State != want {
				t.Errorf("primary %d: key %d is %s", i, j, k.State)
			}
		}
	}
}

// The neighbour may start after us: until then there are no keys, and that is no reason to end.
func TestTheFileComesLater(t *testing.T) {
	for _, dialect := range owners {
		w, o := following(t, dialect)
		w.mustStart()
		s := w.ring.KeySet()
		if err := opens(s, []byte("a cookie of somebody")); s != nil || !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a set of %v: %v", s, err)
		}
		if v := w.ring.View(); !strings.Contains(v.Problem, "is missing or empty") || v.Keys == nil || len(v.Keys) != 0 {
			t.Errorf("view %+v", v)
		}
		if _, err := w.ring.Prepare(w.cfg); err != nil {
			t.Error(err)
		}
		wantMetric(t, w.ring, "ntptsd_keyring_keys", 0)
		wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 1)
		w.live(hour)
		o.inPlace(nil)
		w.polls()
		o.inPlace(o.text())
		w.polls()
		w.wantMirror(o)
		if v := w.ring.View(); v.Problem != "" {
			t.Errorf("problem: %s", v.Problem)
		}
		if !w.ring.KeySet().current().mintFrom.Equal(w.wall) {
			t.Error("its time is not that of its coming")
		}
		wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 0)
		if n := w.logged("cannot be followed"); n != 2 { // began, over
			t.Errorf("logged %d times: %s", n, w.log)
		}
	}
}

// The record makes a start possible while the neighbour's file is missing.
func TestARestartWithoutTheFile(t *testing.T) {
	for _, dialect := range owners {
		w, o := following(t, dialect)
		o.rename(o.text())
		w.mustStart()
		o.remove()
		w.polls()
		w.wantMirror(o)
		w.mustStart()
		w.wantMirror(o)
		if v := w.ring.View(); !strings.Contains(v.Problem, "is missing or empty") {
			t.Errorf("problem: %s", v.Problem)
		}
		o.add()
		o.rename(o.text())
		w.polls()
		w.wantMirror(o)
	}
}

// spoil are files that must not replace good keys.
var spoil = map[string]func(o *owner) error{
	"removed": func(o *owner) error { return os.Remove(o.path) },
	"empty":   func(o *owner) error { return os.Truncate(o.path, 0) },
	"link": func(o *owner) error {
		return errors.Join(os.Rename(o.path, o.path+"2"), os.Symlink(o.path+"2", o.path))
	},
	"folder":                  func(o *owner) error { return errors.Join(os.Remove(o.path), os.Mkdir(o.path, 0o700)) },
	"pipe":                    func(o *owner) error { return errors.Join(os.Remove(o.path), syscall.Mkfifo(o.path, 0o600)) },
	"large":                   func(o *owner) error { return os.Truncate(o.path, maxNeighbourFile+1) },
	"public":                  func(o *owner) error { return os.Chmod(o.path, 0o644) },
	"in the hands of a group": func(o *owner) error { return os.Chmod(o.path, 0o660) },
	"unreadable": func(o *owner) error {
		if os.Geteuid() != 0 {
			return os.Chmod(o.path, 0)
		}
		dir := filepath.Dir(o.path) // root reads all, but not what lies below a file
		return errors.Join(os.Rename(dir, dir+"-away"), os.WriteFile(dir, nil, 0o600))
	},
	"in no folder": func(o *owner) error { return os.Rename(filepath.Dir(o.path), filepath.Dir(o.path)+"-away") },
	"zeros":        func(o *owner) error { return os.WriteFile(o.path, make([]byte, 84), 0o600) },
	"a record":     func(o *owner) error { return os.WriteFile(o.path, []byte(recordMagic+"1\n"), 0o600) },
	"half":         func(o *owner) error { return os.Truncate(o.path, int64(len(o.text())/2)) },
	"cut":          func(o *owner) error { return os.Truncate(o.path, int64(len(o.text())-2)) },
	"another daemon's": func(o *owner) error {
		d := map[cookie.Dialect]string{cookie.Chrony: "ntpdrs", cookie.NTPsec: "chrony", cookie.NTPDRS: "ntpsec"}[o.dialect]
		return os.WriteFile(o.path, newOwner(o, d, "").text(), 0o600)
	},
	"twice the same key": func(o *owner) error {
		o.add()
		o.add()
		last := len(o.h.keys) - 1
		o.h.keys[last].id = o.h.keys[last-1].id
		if o.dialect == cookie.NTPDRS { // has no ids that could be equal
			return os.WriteFile(o.path, o.text()[1:], 0o600)
		}
		return os.WriteFile(o.path, o.text(), 0o600)
	},
}

func TestABadFileReplacesNothing(t *testing.T) {
	for _, dialect := range owners {
		for name, bad := range spoil {
			t.Run(dialect+" "+name, func(t *testing.T) {
				w, o := following(t, dialect)
				o.rename(o.text())
				w.mustStart()
				good := *o
				o.h.keys = append([]key(nil), o.h.keys...)
				if err := bad(o); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					w.polls()
					w.live(hour)
				}
				w.wantMirror(&good)
				v := w.ring.View()
				if !strings.Contains(v.Problem, "neighbour-file") || !strings.Contains(v.Problem, o.path) {
					t.Errorf("problem: %s", v.Problem)
				}
				if !w.ring.seen.unsettled {
					t.Error("it is not tried again")
				}
				wantMetric(t, w.ring, "ntptsd_keyring_neighbour_failing", 1)
				if n := w.logged("cannot be followed"); n != 1 {
					t.Errorf("logged %d times: %s", n, w.log)
				}
				for _, k := range o.h.keys {
					if w.logged(k.secret.hex()) > 0 || strings.Contains(strings.ToLower(v.Problem), k.secret.hex()[:16]) {
						t.Error("a secret is told")
					}
				}
				w.mustStart()
				w.wantMirror(&good)
			})
		}
	}
}

// What is wrong with a file of ntpd-rs, one thing at a time.
func TestBadNTPDRS(t *testing.T) {
	o := newOwner(t, "ntpdrs", "")
	o.add()
	good := o.text()
	word := func(at int, n uint32) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[at:], n)
		return b
	}
	for name, tt := range map[string]struct {
		b    []byte
		want string
	}{
		"head":           {good[:19], "cut off in its head"},
		"no key":         {word(16, 0)[:20], "has 0 keys"},
		"more than fit":  {append(word(16, nativeMaxKeys+1), make([]byte, 127*64)...), "has 129 keys"},
		"very many":      {word(16, 1<<31), "has 2147483648 keys"},
		"wraps in bytes": {word(16, 1<<26), "has 67108864 keys"},
		"one more":       {word(16, 3), "128 octets follow its head, not 192"},
		"one less":       {word(16, 1), "128 octets follow its head, not 64"},
		"an octet less":  {good[:len(good)-1], "127 octets"},
		"an octet more":  {append(bytes.Clone(good), 0), "129 octets"},
		"primary behind": {word(12, 2), "key 2 of 2 is to mint"},
		"primary far":    {word(12, 1<<31), "is to mint"},
	} {
		if h, err := parseNTPDRS(tt.b); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v", name, h, err)
		}
	}
	h, err := parseNTPDRS(word(8, 1<<32-1))
	if err != nil || h.keys[0].id != 1<<32-1 || h.keys[1].id != 0 {
		t.Errorf("ids that wrap: %v, %v", h, err)
	}
}

// What is half written in place stays unread until the writer has finished, though it could be taken for a whole file.
func TestAFileInTheMiddleOfBeingWritten(t *testing.T) {
	w, o := following(t, "ntpsec")
	for range 4 {
		o.add()
	}
	o.rename(o.text())
	w.mustStart()
	w.polls()
	good := *o
	good.h.keys = append([]key(nil), o.h.keys...)
	o.add()
	pairs := strings.SplitAfter(string(o.text()), "\nI: ")
	for n := range len(pairs) {
		o.inPlace([]byte(strings.TrimSuffix(strings.Join(pairs[:n+1], ""), "I: ")))
		w.ring.poll()
		w.wantMirror(&good)
	}
	w.ring.poll()
	w.wantMirror(o)
	if w.logged("level=ERROR") > 0 {
		t.Errorf("log: %s", w.log)
	}
}

// A change is in use within a second of the rename, and so is one that is written in place.
func TestFollowsWithinASecond(t *testing.T) {
	for _, dialect := range owners {
		w, o := following(t, dialect)
		synctest.Test(t, func(t *testing.T) {
			r, stop := running(t, w.cfg, w)
			defer stop()
			for _, write := range []func([]byte){o.rename, o.rename, o.inPlace, o.rename} {
				o.add()
				write(o.text())
				time.Sleep(time.Second - time.Millisecond)
				synctest.Wait()
				if !r.KeySet().mirrors(&o.h) {
					t.Fatalf("%s: not in use", dialect)
				}
			}
		})
	}
}

// A full disk keeps nobody from following; the record is saved later.
func TestFollowsOnAFullDisk(t *testing.T) {
	w, o := following(t, "chrony")
	o.rename(o.text())
	w.mustStart()
	w.full = errFull
	o.add()
	o.rename(o.text())
	w.polls()
	if !w.ring.KeySet().mirrors(&o.h) || w.record().set.mirrors(&o.h) {
		t.Error("not in use, or in the record")
	}
	wantMetric(t, w.ring, "ntptsd_keyring_save_failing", 1)
	w.full = nil
	w.live(time.Minute)
	w.wantMirror(o)
	wantMetric(t, w.ring, "ntptsd_keyring_save_failing", 0)
}

// From ntptsd to the neighbour and back, with the same record and file: no key is lost, and no announced end.
func TestTheOwnerChangesThereAndBack(t *testing.T) {
	for _, k := range neighbours {
		for _, away := range []bool{false, true} { // the neighbour's file, at the way back
			w := beside(t, k, "-")
			w.mustStart()
			w.live(3 * hour)
			cookies := [][]byte{mint(t, w.ring.KeySet())}
			before := w.ring.KeySet()

			w.cfg.KeyRing.Owner = ownerNeighbour
			w.mustStart()
			s := w.ring.KeySet()
			if len(s.keys) != len(before.keys) || s.current().id != before.current().id || !s.followed {
				t.Fatalf("%s: other keys", k.Dialect)
			}
			if stopped := strings.Contains(w.ring.View().Problem, "sed -i 's/^T: 0/T: 1/' "); stopped != (k.Dialect == "ntpsec") {
				t.Errorf("%s: problem %q", k.Dialect, w.ring.View().Problem)
			}
			cookies = append(cookies, mint(t, s))
			w.live(10 * time.Minute)
			if away {
				if err := os.Remove(w.cfg.KeyRing.NeighbourFile); err != nil {
					t.Fatal(err)
				}
			}

			w.cfg.KeyRing.Owner = ownerNtptsd
			w.mustStart()
			s = w.ring.KeySet()
			if s.followed || s.current().id != before.current().id {
				t.Errorf("%s: mints under %08x, before under %08x", k.Dialect, s.current().id, before.current().id)
			}
			for i := range before.keys {
				old := &before.keys[i]
				now := s.find(*old)
				if now == nil {
					t.Fatalf("%s: key %d is lost", k.Dialect, i)
				}
				if now.acceptUntil.Before(old.acceptUntil) || !now.created.Equal(old.created) {
					t.Errorf("%s: key %d was promised until %v, now until %v", k.Dialect, i, old.acceptUntil, now.acceptUntil)
				}
			}
			for _, c := range cookies {
				if err := opens(s, c); err != nil {
					t.Errorf("%s: %v", k.Dialect, err)
				}
			}
			w.wantNeighbour()
			ids := w.ids()
			w.live(59 * time.Minute)
			w.wantSteps(ids, 0)
			w.live(15 * 24 * hour) // chronyd's own promises are longer
			if w.current() == ids[0] {
				t.Errorf("%s: nothing rotates any more: %s", k.Dialect, w.log)
			}
		}
	}
}

// Ends that were announced under a longer interval stay, too.
func TestTheWayBackKeepsLongPromises(t *testing.T) {
	w := beside(t, config.KeyRing{Dialect: "ntpsec", RotateEvery: config.Duration(1000 * hour)}, "-")
	w.mustStart()
	promised := *w.ring.KeySet().current()
	w.cfg.KeyRing.Owner = ownerNeighbour
	w.mustStart()
	w.cfg.KeyRing.Owner, w.cfg.KeyRing.RotateEvery = ownerNtptsd, config.Duration(hour)
	w.mustStart()
	if now := w.ring.KeySet().find(promised); now == nil || now.acceptUntil.Before(promised.acceptUntil) {
		t.Errorf("promised until %v, now %+v", promised.acceptUntil, now.acceptUntil)
	}
}

// What the neighbour rotated meanwhile comes along.
func TestBackFromANeighbourThatRotated(t *testing.T) {
	for _, dialect := range []string{"chrony", "ntpsec"} {
		w, o := following(t, dialect)
		w.cfg.KeyRing.NeighbourFormat = map[string]string{"chrony": nks1, "ntpsec": ntpsecKeys}[dialect]
		o.rename(o.text())
		w.mustStart()
		o.add()
		o.rename(o.text()) // while we are off
		w.cfg.KeyRing.Owner = ownerNtptsd
		w.mustStart()
		s := w.ring.KeySet()
		for i, k := range o.h.keys {
			if s.find(k) == nil {
				t.Errorf("%s: key %d is lost", dialect, i)
			}
		}
		if s.current().id != o.h.keys[o.h.primary].id {
			t.Errorf("%s: mints under %08x", dialect, s.current().id)
		}
		w.wantNeighbour()
	}
}
