package aead

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var _ cipher.AEAD = (*AEAD)(nil)

var algorithms = []ID{AESSIVCMAC256, AESSIVCMAC384, AESSIVCMAC512, AES128GCMSIV}

// counting returns n octets that differ from their neighbours.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + n)
	}
	return b
}

func eachAlgorithm(t *testing.T, run func(t *testing.T, a *AEAD, nonce []byte)) {
	for _, id := range algorithms {
		t.Run(id.String(), func(t *testing.T) {
			run(t, mustNew(t, id, counting(id.KeyLen())), counting(id.NonceLen()))
		})
	}
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		id         ID
		key, nonce int
		name       string
	}{
		{0, 0, 0, "AEAD 0"},
		{AESSIVCMAC256, 32, 16, "AES-SIV-CMAC-256"},
		{AESSIVCMAC384, 48, 16, "AES-SIV-CMAC-384"},
		{AESSIVCMAC512, 64, 16, "AES-SIV-CMAC-512"},
		{AES128GCMSIV, 16, 12, "AES-128-GCM-SIV"},
		{31, 0, 0, "AEAD 31"},
	} {
		if c.id.KeyLen() != c.key || c.id.NonceLen() != c.nonce || c.id.Known() != (c.key > 0) || c.id.String() != c.name {
			t.Errorf("%d: key %d, nonce %d, known %v, %v", uint16(c.id), c.id.KeyLen(), c.id.NonceLen(), c.id.Known(), c.id)
		}
	}
}

func TestFlippedBitsAreRefused(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, nonce []byte) {
		plaintext, data, key := counting(37), counting(21), counting(a.ID().KeyLen())
		sealed := a.Seal(nil, nonce, plaintext, data)
		for what, b := range map[string][]byte{"sealed": sealed, "data": data, "nonce": nonce, "key": key} {
			for bit := range 8 * len(b) {
				b[bit/8] ^= 1 << (bit % 8)
				got, err := mustNew(t, a.ID(), key).Open(nil, nonce, sealed, data)
				if err != ErrOpen || got != nil {
					t.Errorf("bit %d of %s flipped: opened", bit, what)
				}
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
		opened(t, plaintext)(a.Open(nil, nonce, sealed, data))
	})
}

func TestTruncatedIsRefused(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, nonce []byte) {
		sealed := a.Seal(nil, nonce, counting(20), nil)
		for n := range len(sealed) {
			refused(t)(a.Open(nil, nonce, sealed[:n], nil))
			if a.siv != nil {
				refused(t)(a.OpenVector(nil, sealed[:n], nil, nonce))
			}
		}
	})
}

func TestNonceLengths(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, own []byte) {
		sealed := a.Seal(nil, own, counting(20), nil)
		for n := range 300 {
			nonce := counting(n)
			legal := n > 0 && a.ID() != AES128GCMSIV || n == 12
			if legal {
				opened(t, counting(20))(a.Open(nil, nonce, a.Seal(nil, nonce, counting(20), nil), nil))
			} else {
				refused(t)(a.Open(nil, nonce, sealed, nil))
				panics(t, "Seal", func() { a.Seal(nil, nonce, counting(20), nil) })
			}
		}
	})
}

func TestComponents(t *testing.T) {
	a := mustNew(t, AESSIVCMAC256, counting(32))
	most := make([][]byte, MaxComponents)
	for _, components := range [][][]byte{nil, {nil}, {nil, nil}, most} {
		sealed := a.SealVector(nil, counting(20), components...)
		opened(t, counting(20))(a.OpenVector(nil, sealed, components...))
		if len(components) < MaxComponents {
			refused(t)(a.OpenVector(nil, sealed, append(components, nil)...))
		}
	}
	beyond := append(most, nil)
	panics(t, "too many", func() { a.SealVector(nil, nil, beyond...) })
	refused(t)(a.OpenVector(nil, counting(20), beyond...))

	g := mustNew(t, AES128GCMSIV, counting(16))
	panics(t, "AES-GCM-SIV", func() { g.SealVector(nil, nil, nil, counting(12)) })
	refused(t)(g.OpenVector(nil, counting(20), nil, counting(12)))
}

func TestWithoutKey(t *testing.T) {
	var a AEAD
	panics(t, "Seal", func() { a.Seal(nil, counting(16), nil, nil) })
	panics(t, "SealVector", func() { a.SealVector(nil, nil) })
	refused(t)(a.Open(nil, counting(16), counting(32), nil))
	refused(t)(a.Open(nil, counting(12), counting(32), nil))
	refused(t)(a.OpenVector(nil, counting(32)))
	if a.NonceSize() != 0 || a.ID() != 0 {
		t.Errorf("ID %v, nonce %d", a.ID(), a.NonceSize())
	}
}

func TestSetKeyTakesTheNewKeyOrNone(t *testing.T) {
	a := new(AEAD)
	for _, id := range append(algorithms, algorithms...) {
		key, nonce := counting(id.KeyLen()), counting(id.NonceLen())
		if err := a.SetKey(id, key); err != nil {
			t.Fatal(err)
		}
		if a.ID() != id || a.NonceSize() != len(nonce) || a.Overhead() != Overhead {
			t.Errorf("%v: ID %v, nonce %d", id, a.ID(), a.NonceSize())
		}
		want := mustNew(t, id, key).Seal(nil, nonce, counting(20), counting(3))
		clear(key)
		equal(t, "sealed", a.Seal(nil, nonce, counting(20), counting(3)), want)

		for n := range MaxKeyLen + 2 {
			if n != id.KeyLen() && a.SetKey(id, make([]byte, n)) == nil {
				t.Errorf("%v takes a key of %d octets", id, n)
			}
		}
		refused(t)(a.Open(nil, nonce, want, counting(3)))
	}
	for _, id := range []ID{0, 1, 31, 65535} {
		if _, err := New(id, counting(32)); err == nil || !strings.Contains(err.Error(), fmt.Sprint(id)) {
			t.Errorf("New(%v): %v", id, err)
		}
	}
}

// Any placing of dst in the buffer that holds the arguments, which covers what cipher.AEAD promises and more.
func TestOverlap(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, _ []byte) {
		for _, n := range []int{0, 5, 16, 37, 200} {
			nonce, data, plaintext := counting(12), counting(30), counting(n)
			sealed := a.Seal(nil, nonce, plaintext, data)
			for at := range 80 + n {
				// text, then data, then nonce, some room between, and room for dst behind
				buffer := make([]byte, 500)
				place := func(text []byte) (inText, inData, inNonce []byte) {
					copy(buffer[20:], text)
					copy(buffer[20+n+Overhead+4:], data)
					copy(buffer[20+n+Overhead+40:], nonce)
					return buffer[20:][:len(text)], buffer[20+n+Overhead+4:][:30], buffer[20+n+Overhead+40:][:12]
				}
				inText, inData, inNonce := place(plaintext)
				got := a.Seal(buffer[at:at], inNonce, inText, inData)
				equal(t, fmt.Sprintf("%d octets sealed at %d", n, at), got, sealed)

				inText, inData, inNonce = place(sealed)
				got, err := a.Open(buffer[at:at], inNonce, inText, inData)
				if err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%d octets opened at %d: %x, %v", n, at, got, err)
				}
			}
		}
	})
}

func TestAppends(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, nonce []byte) {
		bare := a.Seal(nil, nonce, counting(20), nil)
		for _, spare := range []int{0, 10, 100} {
			dst := append(make([]byte, 0, 3+spare), "dst"...)
			equal(t, "sealed", a.Seal(dst, nonce, counting(20), nil), append([]byte("dst"), bare...))
			opened(t, append([]byte("dst"), counting(20)...))(a.Open(dst, nonce, bare, nil))
		}
	})
}

func TestForgedPlaintextIsZeroed(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, nonce []byte) {
		sealed := a.Seal(nil, nonce, counting(40), nil)
		sealed[3] ^= 1
		buffer := bytes.Repeat([]byte{0xee}, 60)
		refused(t)(a.Open(buffer[:5], nonce, sealed, nil))
		want := slices.Concat(bytes.Repeat([]byte{0xee}, 5), make([]byte, 40), bytes.Repeat([]byte{0xee}, 15))
		equal(t, "buffer", buffer, want)
	})
}

func TestConcurrentUse(t *testing.T) {
	eachAlgorithm(t, func(t *testing.T, a *AEAD, nonce []byte) {
		// Sealed by another one: what a makes at its first use is made by all at once.
		want := mustNew(t, a.ID(), counting(a.ID().KeyLen())).Seal(nil, nonce, counting(200), counting(50))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 100 {
					equal(t, "sealed", a.Seal(nil, nonce, counting(200), counting(50)), want)
					opened(t, counting(200))(a.Open(nil, nonce, want, counting(50)))
				}
			})
		}
		group.Wait()
	})
}

func TestPrintsAsItsName(t *testing.T) {
	addresses := regexp.MustCompile(`0x[0-9a-f]+`)
	printed := func(id ID, key []byte) string {
		a := mustNew(t, id, key)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			for _, value := range []any{a, *a} {
				if got := fmt.Sprintf(verb, value); got != id.String() {
					t.Errorf("%s of %T prints %q", verb, value, got)
				}
			}
		}
		var out bytes.Buffer
		type hidden struct {
			value   AEAD
			pointer *AEAD
		}
		inside := hidden{*a, a}
		fmt.Fprintf(&out, "%v %+v %#v", inside, inside, &inside)
		noTime := &slog.HandlerOptions{ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		}}
		slog.New(slog.NewTextHandler(&out, noTime)).Info("key", "pointer", a, "value", *a, "inside", inside)
		slog.New(slog.NewJSONHandler(&out, noTime)).Info("key", "pointer", a, "value", *a, "inside", inside)
		return addresses.ReplaceAllString(out.String(), "")
	}
	for _, id := range algorithms {
		if one, other := printed(id, counting(id.KeyLen())), printed(id, make([]byte, id.KeyLen())); one != other {
			t.Errorf("what prints depends on the key:\n%s\n%s", one, other)
		}
	}
}
