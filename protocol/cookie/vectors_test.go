package cookie

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// A vector is a cookie that a real daemon accepted (of ntpd-rs: one computed from its source), and its key file.
type vector struct {
	Name   string
	AEADID aead.ID `json:"aead_id"`
	C2S    string
	S2C    string
	Cookie string
	Key    struct {
		Line  int // of a chrony file
		Entry int // of an NTPsec file
		Index int // in a file of ntpd-rs
		ID    uint32
		Nonce string
	}
}

func readVectors(t testing.TB) (files map[string]string, vectors []vector) {
	t.Helper()
	b, err := os.ReadFile("testdata/cookies.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Files   map[string]string
		Cookies []vector
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Cookies) < 26 {
		t.Fatalf("only %d vectors", len(all.Cookies))
	}
	return all.Files, all.Cookies
}

// key finds the key of a vector in the files; just enough of a parser for these files.
func (v *vector) key(t testing.TB, files map[string]string) *Key {
	t.Helper()
	var d Dialect
	var id uint32
	var alg aead.ID
	var secret string
	var err error
	switch {
	case strings.HasPrefix(v.Name, "chrony43-"):
		d, alg = Chrony, aead.AESSIVCMAC256
		line := strings.Split(files["chrony_NKS0"], "\n")[1+v.Key.Line]
		_, err = fmt.Sscanf(line, "%x %s", &id, &secret)
	case strings.HasPrefix(v.Name, "chrony48-k30-"):
		d = Chrony
		line := strings.Split(files["chrony_NKS1_alg30"], "\n")[1+v.Key.Line]
		_, err = fmt.Sscanf(line, "%x %s %d", &id, &secret, &alg)
	case strings.HasPrefix(v.Name, "ntpsec"):
		d, alg = NTPsec, aead.AESSIVCMAC256
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			t.Skip("the vectors were made on little-endian machines")
		}
		pair := strings.Join(strings.Split(files["ntpsec_nts_keys"], "\n")[2*v.Key.Entry:], "\n")
		_, err = fmt.Sscanf(pair, "I: %d\nK: %s", &id, &secret)
	case strings.HasPrefix(v.Name, "ntpdrs-"):
		d, id, alg = NTPDRS, v.Key.ID, aead.AESSIVCMAC512
		secret = files["ntpdrs_hex"][2*(20+64*v.Key.Index):][:128]
	default:
		t.Fatalf("%s: no key file", v.Name)
	}
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	k, err := NewKey(d, id, alg, unhex(t, secret))
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	files, vectors := readVectors(t)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			k := v.key(t, files)
			cookie := unhex(t, v.Cookie)

			var s Session
			if err := k.Open(&s, cookie); err != nil {
				t.Fatal(err)
			}
			if s.AEAD() != v.AEADID || hex.EncodeToString(s.C2S()) != v.C2S || hex.EncodeToString(s.S2C()) != v.S2C {
				t.Errorf("opened to %v %x %x, want %v %s %s", s.AEAD(), s.C2S(), s.S2C(), v.AEADID, v.C2S, v.S2C)
			}

			var want Session
			if err := want.Set(v.AEADID, unhex(t, v.C2S), unhex(t, v.S2C)); err != nil {
				t.Fatal(err)
			}
			got, err := k.Seal([]byte("before"), unhex(t, v.Key.Nonce), &want)
			if err != nil || !bytes.Equal(got, append([]byte("before"), cookie...)) {
				t.Errorf("sealed to %x, %v, want %x after the prefix", got, err, cookie)
			}
			if k.Len(v.AEADID) != len(cookie) {
				t.Errorf("Len is %d for a cookie of %d octets", k.Len(v.AEADID), len(cookie))
			}
			testDamage(t, k, cookie)
		})
	}
}

// testDamage opens the cookie cut off, extended, with each bit flipped, and under another id and secret.
func testDamage(t *testing.T, k *Key, cookie []byte) {
	t.Helper()
	refuse := func(k *Key, c []byte, what string, n int) {
		t.Helper()
		s := dirty(t)
		if err := k.Open(&s, c); !errors.Is(err, ErrOpen) {
			t.Fatalf("%s %d: error is %v, want ErrOpen", what, n, err)
		}
		if s != (Session{}) {
			t.Fatalf("%s %d: session is not zero after a failure", what, n)
		}
	}
	for n := range cookie {
		refuse(k, cookie[:n], "cut to", n)
	}
	for n := 1; n <= 300; n++ {
		long := append(bytes.Clone(cookie), make([]byte, n)...)
		if k.dialect != NTPDRS {
			refuse(k, long, "extended by", n)
		} else if err := k.Open(new(Session), long); err != nil { // that is its padding
			t.Fatalf("padded by %d: %v", n, err)
		}
	}
	for i := range 8 * len(cookie) {
		c := bytes.Clone(cookie)
		c[i/8] ^= 1 << (i % 8)
		refuse(k, c, "bit", i)
	}
	secret := make([]byte, k.alg.KeyLen())
	for _, id := range []uint32{k.id, k.id + 4} {
		other, err := NewKey(k.dialect, id, k.alg, secret)
		if err != nil {
			t.Fatal(err)
		}
		refuse(other, cookie, "other key", int(id))
	}
}

// dirty is a session as it lies about from the cookie before.
func dirty(t testing.TB) (s Session) {
	t.Helper()
	if err := s.Set(aead.AESSIVCMAC512, bytes.Repeat([]byte{1}, 64), bytes.Repeat([]byte{2}, 64)); err != nil {
		t.Fatal(err)
	}
	return s
}
