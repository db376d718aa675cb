package cookie

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

var (
	dialects = []Dialect{Native, Chrony, NTPsec, NTPDRS}
	unknown  = aead.ID(31) // AES-256-GCM-SIV, as long a key as AES-SIV-CMAC-256
)

func newKey(t testing.TB, d Dialect, alg aead.ID) *Key {
	t.Helper()
	k, err := NewKey(d, 0x01020304, alg, bytes.Repeat([]byte{0xa5}, alg.KeyLen()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// usual is the AEAD of the dialect's keys unless somebody wants another one.
func usual(d Dialect) aead.ID {
	if d == NTPDRS {
		return aead.AESSIVCMAC512
	}
	return aead.AESSIVCMAC256
}

// newSession has keys without a repeated octet.
func newSession(t testing.TB, id aead.ID) *Session {
	t.Helper()
	var keys [2 * aead.MaxKeyLen]byte
	for i := range keys {
		keys[i] = byte(i)
	}
	s := new(Session)
	if err := s.Set(id, keys[:id.KeyLen()], keys[aead.MaxKeyLen:][:id.KeyLen()]); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLen(t *testing.T) {
	for _, test := range []struct {
		d    Dialect
		key  aead.ID
		want [4]int // for sessions of 15, 16, 17, 30
	}{
		{Native, aead.AESSIVCMAC256, [4]int{104, 136, 168, 72}},
		{Chrony, aead.AESSIVCMAC256, [4]int{100, 0, 0, 68}},
		{Chrony, aead.AES128GCMSIV, [4]int{96, 0, 0, 64}},
		{NTPsec, aead.AESSIVCMAC256, [4]int{104, 136, 168, 0}},
		{NTPsec, aead.AESSIVCMAC384, [4]int{104, 136, 168, 0}},
		{NTPsec, aead.AESSIVCMAC512, [4]int{104, 136, 168, 0}},
		{NTPDRS, aead.AESSIVCMAC512, [4]int{104, 0, 168, 0}},
	} {
		k := newKey(t, test.d, test.key)
		for i, id := range sessions {
			n := k.Len(id)
			if n != test.want[i] || n%4 != 0 || (n != 0) != test.d.Carries(id) {
				t.Errorf("%v key of %v: a cookie for %v has %d octets, want %d", test.d, test.key, id, n, test.want[i])
			}
			if n == 0 {
				continue
			}
			c, err := k.Seal(nil, make([]byte, k.NonceLen()), newSession(t, id))
			if err != nil || len(c) != n {
				t.Errorf("%v key of %v: sealed %v to %d octets, %v", test.d, test.key, id, len(c), err)
			}
		}
		if k.Len(unknown) != 0 || k.Len(0) != 0 {
			t.Errorf("%v carries what nobody knows", test.d)
		}
	}
}

// TestNative draws the native cookie by hand from its layout.
func TestNative(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	siv, err := aead.New(aead.AESSIVCMAC256, secret)
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKey(Native, 0x01020304, aead.AESSIVCMAC256, secret)
	if err != nil {
		t.Fatal(err)
	}
	nonce := []byte("sixteen octets !")
	for _, id := range sessions {
		s := newSession(t, id)
		plain := binary.BigEndian.AppendUint16(nil, uint16(id))
		plain = append(plain, 0, 0)
		plain = append(append(plain, s.C2S()...), s.S2C()...)
		want := append([]byte{1, 2, 3, 4}, nonce...)
		want = siv.Seal(want, nonce, plain, []byte{1, 2, 3, 4})
		if got, err := k.Seal(nil, nonce, s); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: sealed to %x, %v, want %x", id, got, err, want)
		}
	}
}

// TestOpenInside seals plaintexts that no Seal makes: Open refuses them although the key is right.
func TestOpenInside(t *testing.T) {
	for _, test := range []struct {
		name   string
		d      Dialect
		prefix []byte
		keys   int
		opens  bool
	}{
		{"as it should be", Native, []byte{0, 15, 0, 0}, 64, true},
		{"reserved not zero", Native, []byte{0, 15, 0, 1}, 64, false},
		{"reserved not zero", Native, []byte{0, 15, 128, 0}, 64, false},
		{"unknown AEAD of the same key length", Native, []byte{0, 31, 0, 0}, 64, false},
		{"AEAD of another key length", Native, []byte{0, 16, 0, 0}, 64, false},
		{"AEAD 0", Native, []byte{0, 0, 0, 0}, 64, false},
		{"as it should be", NTPsec, binary.NativeEndian.AppendUint32(nil, 15), 64, true},
		{"high half of the AEAD not zero", NTPsec, binary.NativeEndian.AppendUint32(nil, 0x1000f), 64, false},
		{"AEAD of another key length", NTPsec, binary.NativeEndian.AppendUint32(nil, 17), 64, false},
		{"AEAD that NTPsec does not know", NTPsec, binary.NativeEndian.AppendUint32(nil, 30), 32, false},
		{"as it should be", Chrony, nil, 64, true},
		{"as it should be", Chrony, nil, 32, true},
		{"keys of AES-SIV-CMAC-384", Chrony, nil, 96, false},
		{"as it should be", NTPDRS, []byte{0, 15}, 64, true},
		{"as it should be", NTPDRS, []byte{0, 17}, 128, true},
		{"AEAD of another key length", NTPDRS, []byte{0, 17}, 64, false},
		{"AEAD that ntpd-rs does not know", NTPDRS, []byte{0, 16}, 96, false},
		{"AEAD 0", NTPDRS, []byte{0, 0}, 64, false},
	} {
		k := newKey(t, test.d, usual(test.d))
		plain := append(test.prefix, make([]byte, test.keys)...)
		head := test.d.appendID(nil, k.id)
		if test.d == NTPDRS {
			head = binary.BigEndian.AppendUint16(head, uint16(aead.Overhead+len(plain)))
		}
		head = append(head, make([]byte, k.NonceLen())...)
		cookie := k.aead.Seal(head, head[test.d.nonceAt():], plain, test.d.associated(head))
		var s Session
		if err := k.Open(&s, cookie); (err == nil) != test.opens || err != nil && !errors.Is(err, ErrOpen) {
			t.Errorf("%v, %s: error is %v", test.d, test.name, err)
		}
	}
}

// TestPadding: whatever stands behind the cookie of ntpd-rs is not looked at; its length must be that of a cookie.
func TestPadding(t *testing.T) {
	k, want := newKey(t, NTPDRS, aead.AESSIVCMAC512), newSession(t, aead.AESSIVCMAC256)
	c, err := k.Seal(nil, make([]byte, 16), want)
	if err != nil {
		t.Fatal(err)
	}
	var got Session
	if err := k.Open(&got, append(bytes.Clone(c), "anything"...)); err != nil || got != *want {
		t.Errorf("padded: %v", err)
	}
	for _, length := range []uint16{0, 15, 16, uint16(len(c)) - 22 - 1, uint16(len(c)) - 22 + 1, 146, 0xffff} {
		long := append(bytes.Clone(c), make([]byte, 200)...)
		binary.BigEndian.PutUint16(long[4:], length)
		if err := k.Open(&got, long); !errors.Is(err, ErrOpen) || got != (Session{}) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	for _, d := range dialects {
		k := newKey(t, d, usual(d))
		s := newSession(t, aead.AESSIVCMAC256)
		for _, n := range []int{0, 12, 15, 17} {
			if b, err := k.Seal([]byte("x"), make([]byte, n), s); !errors.Is(err, ErrNonce) || string(b) != "x" {
				t.Errorf("%v, nonce of %d octets: %q, %v", d, n, b, err)
			}
		}
		for _, id := range sessions {
			if _, err := k.Seal(nil, make([]byte, 16), newSession(t, id)); (err == nil) != d.Carries(id) {
				t.Errorf("%v, session of %v: error is %v", d, id, err)
			}
		}
		if _, err := k.Seal(nil, make([]byte, 16), new(Session)); !errors.Is(err, ErrSession) {
			t.Errorf("%v, zero session: error is %v", d, err)
		}
	}
}

func TestNewKeyRefuses(t *testing.T) {
	for _, d := range append(dialects, 0, 5) {
		for _, alg := range append(sessions[:], 0, unknown) {
			_, err := NewKey(d, 1, alg, make([]byte, alg.KeyLen()))
			if (err == nil) != d.SealsWith(alg) {
				t.Errorf("%v, %v: error is %v", d, alg, err)
			}
			if _, err := NewKey(d, 1, alg, make([]byte, alg.KeyLen()+1)); err == nil {
				t.Errorf("%v, %v: takes a secret that is too long", d, alg)
			}
		}
	}
}

func TestSession(t *testing.T) {
	for _, id := range append(sessions[:], 0, unknown) {
		for _, n := range []int{0, 16, 32, 48, 64} {
			s := dirty(t)
			err := s.Set(id, make([]byte, n), make([]byte, n))
			if ok := n > 0 && n == id.KeyLen(); (err == nil) != ok || len(s.C2S()) != len(s.S2C()) {
				t.Errorf("%v, keys of %d octets: error is %v", id, n, err)
			}
		}
	}
	s := dirty(t)
	if s.Set(aead.AESSIVCMAC256, make([]byte, 32), make([]byte, 31)) == nil || s != (Session{}) {
		t.Error("took keys of different lengths, or kept the old ones")
	}
	if len(s.C2S()) != 0 || len(s.S2C()) != 0 || s.AEAD() != 0 {
		t.Error("a zero session has keys")
	}
}

func TestParseDialect(t *testing.T) {
	for _, d := range dialects {
		if got, err := ParseDialect(d.String()); err != nil || got != d {
			t.Errorf("%v parses to %v, %v", d, got, err)
		}
	}
	for _, name := range []string{"", "Native", "dialect 0", "ntpd-rs"} {
		if d, err := ParseDialect(name); err == nil {
			t.Errorf("%q parses to %v", name, d)
		}
	}
}

// TestKeyID: all but NTPsec have the id as a number on the wire, NTPsec has it as its host keeps it.
func TestKeyID(t *testing.T) {
	for _, d := range dialects {
		c, err := newKey(t, d, usual(d)).Seal(nil, make([]byte, 16), newSession(t, aead.AESSIVCMAC256))
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := d.KeyID(c); !ok || id != 0x01020304 {
			t.Errorf("%v: id %08x, %v", d, id, ok)
		}
		if _, ok := d.KeyID(c[:3]); ok {
			t.Errorf("%v: three octets have an id", d)
		}
	}
}

func TestPrintsNoSecret(t *testing.T) {
	s := newSession(t, aead.AESSIVCMAC256)
	k := newKey(t, Native, aead.AESSIVCMAC256)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("text", "session", s, "value", *s, "key", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "session", s, "value", *s, "key", k)
	for _, want := range []string{"session=cookie.Session value=cookie.Session", `key="cookie key 01020304"`,
		`"session":"cookie.Session","value":"cookie.Session","key":"cookie key 01020304"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s: %s", want, &log)
		}
	}
	for _, verb := range strings.Split("v +v #v s q x X d o b c U t T p e f g", " ") {
		if verb == "T" || verb == "p" {
			continue // fmt's own, they never look inside
		}
		verb = "%" + verb
		if got := fmt.Sprintf(verb+verb, *s, s); got != "cookie.Sessioncookie.Session" {
			t.Errorf("session under %s: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, k); got != "cookie key 01020304" {
			t.Errorf("key under %s: %s", verb, got)
		}
	}
	b, err := json.Marshal([]any{s, k})
	if err != nil || string(b) != "[{},{}]" {
		t.Errorf("JSON is %s, %v", b, err)
	}
}

func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, test := range []struct {
		d      Dialect
		alg    aead.ID
		allocs float64
	}{
		{Native, aead.AESSIVCMAC256, 0},
		{Chrony, aead.AESSIVCMAC256, 0},
		{NTPsec, aead.AESSIVCMAC512, 0},
		{NTPDRS, aead.AESSIVCMAC512, 0},
		{Chrony, aead.AES128GCMSIV, 1}, // the cipher under the key that AES-GCM-SIV derives for each nonce
	} {
		k := newKey(t, test.d, test.alg)
		s := newSession(t, aead.AESSIVCMAC256)
		nonce := make([]byte, k.NonceLen())
		buf := make([]byte, 0, k.Len(s.AEAD()))
		if n := testing.AllocsPerRun(100, func() { _, _ = k.Seal(buf, nonce, s) }); n > test.allocs {
			t.Errorf("%v, %v: Seal allocates %v times", test.d, test.alg, n)
		}
		cookie, err := k.Seal(nil, nonce, s)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() {
			var s Session
			if k.Open(&s, cookie) != nil {
				t.Error("does not open")
			}
		}); n > test.allocs {
			t.Errorf("%v, %v: Open allocates %v times", test.d, test.alg, n)
		}
		cookie[len(cookie)-1] ^= 1
		if n := testing.AllocsPerRun(100, func() { _ = k.Open(s, cookie) }); n > test.allocs {
			t.Errorf("%v, %v: failing Open allocates %v times", test.d, test.alg, n)
		}
	}
}
