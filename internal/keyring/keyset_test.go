package keyring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

var dialects = []cookie.Dialect{cookie.Native, cookie.Chrony, cookie.NTPsec, cookie.NTPDRS}

func TestCookiesUnderEveryKeyOpen(t *testing.T) {
	for _, d := range dialects {
		s := mustSet(t, d, 3)
		for i := range s.keys {
			sealer := &KeySet{dialect: d, keys: []key{s.keys[i], s.keys[i]}}
			want := testSession(t, aead.AESSIVCMAC256)
			c, err := sealer.Seal(nil, random(sealer.NonceLen()), want)
			if err != nil {
				t.Fatal(err)
			}
			if len(c) != s.CookieLen(aead.AESSIVCMAC256) {
				t.Errorf("%v: CookieLen %d, cookie has %d", d, s.CookieLen(aead.AESSIVCMAC256), len(c))
			}
			var got cookie.Session
			if err := s.Open(&got, c); err != nil || got != *want {
				t.Errorf("%v, key %d of %d: %v", d, i, len(s.keys), err)
			}
		}
	}
}

// TestOpenedKeysHaveAnAge: each rotation makes a cookie's key one older, until it is dropped; who has rotated before us mints
// under what is our next key.
func TestOpenedKeysHaveAnAge(t *testing.T) {
	for _, d := range dialects {
		before := mustSet(t, d, 0)
		s := before
		c := mint(t, s)
		for want := 0; ; want++ {
			age, err := s.OpenAged(new(cookie.Session), c)
			if errors.Is(err, ErrUnknownKey) && want > s.keep {
				break
			}
			if err != nil || age != want {
				t.Fatalf("%v: after %d rotations its age is %d, %v", d, want, age, err)
			}
			s = mustStep(t, s, s.next().mintFrom)
			if want == 0 {
				if age, err := before.OpenAged(new(cookie.Session), mint(t, s)); err != nil || age != -1 {
					t.Errorf("%v: the age of the next key is %d, %v", d, age, err)
				}
			}
		}
		followed := *s
		followed.followed, followed.primary = true, 0
		if age, err := followed.OpenAged(new(cookie.Session), mint(t, &followed)); err != nil || age != 0 {
			t.Errorf("%v: the current key of a followed set has age %d, %v", d, age, err)
		}
	}
}

func TestMintsUnderCurrent(t *testing.T) {
	for _, d := range dialects {
		s := mustSet(t, d, 1)
		if id, _ := d.KeyID(mint(t, s)); id != s.current().id {
			t.Errorf("%v: minted under %08x, current is %08x", d, id, s.current().id)
		}
	}
}

func TestOpenTellsUnknownFromBroken(t *testing.T) {
	for _, d := range dialects {
		s, other := mustSet(t, d, 0), mustSet(t, d, 0)
		c := mint(t, s)
		if err := opens(other, c); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%v, another set's: %v", d, err)
		}
		c[len(c)-1] ^= 1
		for _, c := range [][]byte{c, c[:20], c[:4], c[:3], nil} {
			if err := opens(s, c); !errors.Is(err, cookie.ErrOpen) {
				t.Errorf("%v, %d octets: %v", d, len(c), err)
			}
		}
	}
}

func TestCarries(t *testing.T) {
	for _, d := range dialects {
		s, err := NewTestKeySet(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range []aead.ID{15, 16, 17, 30, 99} {
			if s.Carries(alg) != d.Carries(alg) || s.Carries(alg) != (s.CookieLen(alg) > 0) {
				t.Errorf("%v, %v: carries %v, length %d", d, alg, s.Carries(alg), s.CookieLen(alg))
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, d := range dialects {
		s := mustSet(t, d, 3)
		c, nonce, session := mint(t, s), random(s.NonceLen()), testSession(t, aead.AESSIVCMAC256)
		buf := make([]byte, 0, 256)
		allocs := testing.AllocsPerRun(100, func() {
			_, _ = s.Seal(buf, nonce, session)
			_ = s.Open(session, c)
		})
		if allocs != 0 && !raceEnabled {
			t.Errorf("%v: %v allocations", d, allocs)
		}
	}
}

func TestSecretsPrintAsTheirName(t *testing.T) {
	s := mustSet(t, cookie.Chrony, 1)
	k := s.keys[0]
	secrets := []string{k.secret.hex(), strings.ToUpper(k.secret.hex()), fmt.Sprint(k.secret.bytes()), string(k.secret.bytes()),
		strings.Trim(fmt.Sprint(k.secret.bytes()[:8]), "[]")}
	out := new(bytes.Buffer)
	for _, v := range []any{s, *s, k, &k, s.keys, k.secret, &k.secret, map[string]any{"x": k.secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
			fmt.Fprintf(out, verb+"\n", v)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(out, nil), slog.NewJSONHandler(out, nil)} {
			slog.New(h).Info("it", "v", v, slog.Group("g", "v", v))
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	for _, secret := range secrets {
		if strings.Contains(out.String(), secret) {
			t.Errorf("a secret is printed: %s", out)
		}
	}
	for _, name := range []string{secretName, "keyring.KeySet(chrony)", k.fingerprint()} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("%q is not printed", name)
		}
	}
}

func TestFingerprint(t *testing.T) {
	text := strings.Repeat("00", 32)
	a := key{alg: 15}
	a.secret, _ = parseSecret(15, text)
	if got := a.fingerprint(); got != "5cd8e7f6" {
		t.Errorf("fingerprint %s", got)
	}
	b := a
	b.id = 4711 // another machine may count differently
	if a.fingerprint() != b.fingerprint() {
		t.Error("the id is in the fingerprint")
	}
	b.secret.octets[31] = 1
	if a.fingerprint() == b.fingerprint() {
		t.Error("the secret is not in the fingerprint")
	}
}

func BenchmarkOpen(b *testing.B) {
	s := mustSet(b, cookie.Native, 3)
	c := mint(b, s)
	session := new(cookie.Session)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Open(session, c); err != nil {
			b.Fatal(err)
		}
	}
}
