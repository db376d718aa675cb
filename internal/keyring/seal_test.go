package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

const passphrase = "the cat sat on the clock\n"

// randomSeal is no text, and the same in every run.
func randomSeal() []byte { return bytes.Repeat([]byte{0x00, 0xff, 0x10, 0x80}, 8) }

// sealWith writes a seal beside the record, and names it.
func (w *world) sealWith(content []byte) {
	w.Helper()
	path := filepath.Join(w.cfg.StateDirectory, "seal")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.Fatal(err)
	}
	w.cfg.KeyRing.Seal = path
}

func (w *world) disk() []byte {
	w.Helper()
	b, err := os.ReadFile(w.cfg.KeyRing.File)
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// hides tells whether no secret of the ring, in any form, is in the file.
func (w *world) hides() error {
	text := w.disk()
	for i := range w.ring.KeySet().keys {
		k := &w.ring.KeySet().keys[i]
		if bytes.Contains(text, []byte(k.secret.hex())) || bytes.Contains(text, k.secret.bytes()) || bytes.Contains(text, []byte(k.fingerprint())) {
			return fmt.Errorf("%v can be read", *k)
		}
	}
	return nil
}

// A ring lives through starts and rotations with either kind of seal, and never writes a key that can be read.
func TestSealedRecord(t *testing.T) {
	for name, content := range map[string][]byte{"random": randomSeal(), "passphrase": []byte(passphrase)} {
		for _, dialect := range []string{"native", "chrony"} {
			t.Run(name+" "+dialect, func(t *testing.T) {
				w := newWorld(t, config.KeyRing{Dialect: dialect})
				w.sealWith(content)
				w.mustStart()
				for range 3 {
					before := w.disk()
					w.pass(hour)
					if bytes.Equal(before, w.disk()) {
						t.Fatal("nothing was written")
					}
					if err := w.hides(); err != nil {
						t.Fatal(err)
					}
					want := w.ids()
					if w.mustStart(); fmt.Sprint(w.ids()) != fmt.Sprint(want) {
						t.Fatalf("after a start %x, want %x", w.ids(), want)
					}
				}
			})
		}
	}
}

// Switching on and off keeps every key; in between the record is opened by its seal alone.
func TestSealingAndOpening(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	want := fmt.Sprint(w.ids())
	w.sealWith([]byte(passphrase))
	w.mustStart()
	if err := w.hides(); err != nil || fmt.Sprint(w.ids()) != want || !strings.Contains(w.log.String(), "is sealed from now on") {
		t.Errorf("sealed: %v, %x, want %s; %s", err, w.ids(), want, w.log)
	}
	seal := w.cfg.KeyRing.Seal
	w.cfg.KeyRing.Seal = ""
	if err := w.start(); err == nil || !strings.Contains(err.Error(), w.cfg.KeyRing.File+" is sealed: name its seal by the key seal") {
		t.Errorf("without a seal: %v", err)
	}
	w.cfg.KeyRing.Seal, w.cfg.KeyRing.Sealed = seal, new(bool)
	w.mustStart()
	if fmt.Sprint(w.ids()) != want || !strings.Contains(w.log.String(), "is sealed no more") {
		t.Errorf("opened: %x, want %s; %s", w.ids(), want, w.log)
	}
	w.cfg.KeyRing.Seal, w.cfg.KeyRing.Sealed = "", nil
	if w.mustStart(); fmt.Sprint(w.ids()) != want {
		t.Errorf("afterwards %x, want %s", w.ids(), want)
	}
}

// A record that cannot be written anew as the configuration wants it ends the start, with the old one in its place.
func TestSealingNeedsTheDisk(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.mustStart()
	before := w.disk()
	w.sealWith(randomSeal())
	w.full = errors.New("no space left")
	if err := w.start(); err == nil || !strings.Contains(err.Error(), "keyring.sealed: the record cannot be written anew: no space left") {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(before, w.disk()) {
		t.Error("the record changed")
	}
}

// Whatever is wrong with the seal, the record stays as it is and the error tells what to do.
func TestWrongSeals(t *testing.T) {
	for name, c := range map[string]struct {
		made   []byte
		change func(path string) error
		want   string
	}{
		"another passphrase":    {[]byte(passphrase), write([]byte("the dog sat on the clock")), "cannot be opened by this seal"},
		"another secret":        {randomSeal(), write(bytes.Repeat([]byte{1, 2}, 16)), "cannot be opened by this seal"},
		"another kind":          {randomSeal(), write([]byte(passphrase)), "cannot be opened by this seal"},
		"the other kind":        {[]byte(passphrase), write(randomSeal()), "cannot be opened by this seal"},
		"short":                 {randomSeal(), write([]byte("too short\n")), "neither 32 random octets nor a passphrase of 16 characters"},
		"empty":                 {randomSeal(), write(nil), "head -c 32 /dev/urandom"},
		"gone":                  {randomSeal(), os.Remove, "keyring.seal: open "},
		"readable to all":       {randomSeal(), func(p string) error { return os.Chmod(p, 0o604) }, "has mode 0604, so other users may know the keys"},
		"large":                 {randomSeal(), func(p string) error { return os.Truncate(p, maxSeal+1) }, "more than any file of keys"},
		"a folder":              {randomSeal(), func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "is not a regular file"},
		"a group, as it should": {randomSeal(), func(p string) error { return os.Chmod(p, 0o640) }, ""},
		"without a line's end":  {[]byte(passphrase), write([]byte(strings.TrimSpace(passphrase))), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config.KeyRing{})
			w.sealWith(c.made)
			w.mustStart()
			before := w.disk()
			if err := c.change(w.cfg.KeyRing.Seal); err != nil {
				t.Fatal(err)
			}
			err := w.start()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimSpace(passphrase)) {
				t.Errorf("the passphrase is told: %v", err)
			}
			if !bytes.Equal(before, w.disk()) {
				t.Error("the record changed")
			}
		})
	}
}

func write(content []byte) func(path string) error {
	return func(path string) error { return os.WriteFile(path, content, 0o600) }
}

func TestCredentials(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.cfg.KeyRing.Seal = "credential:cookies"
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	err := w.start()
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "LoadCredentialEncrypted=") {
		t.Errorf("without credentials: %v", err)
	}
	_, wrong := Check(w.cfg)
	if len(wrong) != 1 || !errors.Is(wrong[0], fs.ErrPermission) { // check by hand cannot know
		t.Errorf("check: %v", wrong)
	}
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if err := os.WriteFile(filepath.Join(dir, "cookies"), randomSeal(), 0o440); err != nil {
		t.Fatal(err)
	}
	w.mustStart()
	if err := w.hides(); err != nil {
		t.Error(err)
	}
	if bearable, wrong := Check(w.cfg); len(bearable)+len(wrong) > 0 {
		t.Errorf("check: %v, %v", bearable, wrong)
	}
}

// Every octet of a sealed record counts. What is damaged is torn; what somebody changed on purpose, sum and all, is not opened.
func TestChangedSealedRecords(t *testing.T) {
	for name, content := range map[string][]byte{"random": randomSeal(), "passphrase": []byte(passphrase)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config.KeyRing{})
			w.sealWith(content)
			w.mustStart()
			good := w.disk()
			s, err := readSeal(w.cfg.KeyRing.Seal)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.open(good); err != nil {
				t.Fatal(err)
			}
			body, _ := checkSum(good)
			step := 1
			if s.random == nil {
				step = len(body) / 5 // each costs an Argon2id where the salt is hit
			}
			for i := range good {
				changed := bytes.Clone(good)
				changed[i] ^= 1
				if isSealed(changed) {
					if _, err := s.open(changed); !errors.Is(err, errTorn) {
						t.Fatalf("octet %d of %d: %v", i, len(good), err)
					}
				} else if _, err := parseRecord(changed); err == nil {
					t.Fatalf("octet %d is taken for a record", i)
				}
				if _, err := s.open(good[:i]); err == nil {
					t.Fatalf("%d of %d octets are taken", i, len(good))
				}
			}
			for i := len(recordMagic) + 2; i < len(body); i += step {
				changed := bytes.Clone(body)
				changed[i] ^= 1
				if b, err := s.open([]byte(summed(string(changed)))); err == nil {
					t.Fatalf("octet %d changed with its sum: %q", i, b)
				}
			}
			if _, err := s.open(good); err != nil {
				t.Errorf("the good one afterwards: %v", err)
			}
		})
	}
}

// A file of somebody else's may not make us compute for minutes or take all memory.
func TestCostlySealsAreRefused(t *testing.T) {
	for _, line := range []string{"argon2id 17 65536 4", "argon2id 3 262145 4", "argon2id 3 65536 17", "argon2id 0 65536 4", "argon2id 3 65536",
		"argon2id 03 65536 4", "argon2id -3 65536 4", "argon2id 3 65536 4 4", "scrypt 1 2 3", "", "hkdf-sha256 "} {
		text := summed(fmt.Sprintf("ntptsd-keys 3\ncipher aes-256-gcm\nkdf %s\nsalt %032x\nbox AAAA\n", line, 1))
		if _, err := (&seal{passphrase: []byte(passphrase)}).open([]byte(text)); err == nil || !strings.Contains(err.Error(), "kdf") && !strings.Contains(err.Error(), "other words") {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// The format is settled: testdata/keys-3 is never written anew.
func TestRecordOfVersion3(t *testing.T) {
	b, err := os.ReadFile("testdata/keys-3")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := (&seal{passphrase: []byte(strings.TrimSpace(passphrase))}).open(b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/keys-1")
	if err != nil || !bytes.Equal(inner, want) {
		t.Errorf("it holds %q, %v; want keys-1", inner, err)
	}
}

// The largest ring fits, sealed.
func TestLargestSealedRecord(t *testing.T) {
	s := mustSet(t, cookie.Native, 0)
	for len(s.keys) < nativeMaxKeys {
		k, err := s.freshKey(15, epoch)
		if err != nil {
			t.Fatal(err)
		}
		s.keys = append(s.keys, k)
	}
	box := &seal{random: randomSeal()}
	b, err := box.close(record{saved: epoch, set: s}.appendTo(nil))
	if err != nil || len(b) > maxRecord {
		t.Errorf("%d octets, %v; at most %d are read", len(b), err, maxRecord)
	}
}

// A reload changes no seal.
func TestReloadOfSeals(t *testing.T) {
	w := newWorld(t, config.KeyRing{})
	w.sealWith(randomSeal())
	w.mustStart()
	if err := os.Remove(w.cfg.KeyRing.Seal); err != nil { // it is not needed any more
		t.Fatal(err)
	}
	if _, err := w.ring.Prepare(w.cfg); err != nil {
		t.Errorf("the same: %v", err)
	}
	for want, change := range map[string]func(k *config.KeyRing){
		"keyring.seal: restart ntptsd":   func(k *config.KeyRing) { k.Seal = "/another" },
		"keyring.sealed: restart ntptsd": func(k *config.KeyRing) { k.Sealed = new(bool) },
	} {
		other := *w.cfg
		change(&other.KeyRing)
		if _, err := w.ring.Prepare(&other); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A seal tells nobody what it is.
func TestSealsPrintTheirName(t *testing.T) {
	s := &seal{passphrase: []byte(passphrase), random: randomSeal(), from: "credential:cookies"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "seal credential:cookies" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

// FuzzSealed: no input panics or costs much; what is parsed comes out again octet for octet; nothing is opened that was not
// sealed.
func FuzzSealed(f *testing.F) {
	for _, s := range []*seal{{random: randomSeal()}, {random: bytes.Repeat([]byte{3}, 32)}} {
		b, err := s.close(record{saved: epoch, set: mustSet(f, cookie.Native, 1)}.appendTo(nil))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	if b, err := os.ReadFile("testdata/keys-3"); err == nil {
		f.Add(b)
	}
	f.Add([]byte("ntptsd-keys 3\n"))
	ours := &seal{random: bytes.Repeat([]byte{9}, 32)}
	f.Fuzz(func(t *testing.T, b []byte) {
		body, ok := checkSum(b)
		if !ok {
			body = b
		}
		for _, text := range []string{string(b), summed(string(body))} {
			x, err := parseSealed([]byte(text))
			if err != nil {
				continue
			}
			again := summed(fmt.Sprintf("%sbox %s\n", sealedHead(x.kdf, x.salt), boxText().EncodeToString(x.box)))
			if again != text {
				t.Errorf("%q comes out as %q", text, again)
			}
			if _, err := ours.open([]byte(text)); err == nil {
				t.Errorf("%q was opened", text)
			}
		}
	})
}
