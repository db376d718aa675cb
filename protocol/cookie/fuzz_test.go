package cookie

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func FuzzSealOpen(f *testing.F) {
	keys := bytes.Repeat([]byte{1, 2, 3, 4}, 32)
	for d := range byte(4) {
		f.Add(d, byte(0), byte(0), keys, keys[:16])
	}
	f.Add(byte(1), byte(3), byte(3), keys, keys[:12]) // chrony with AES-128-GCM-SIV twice
	f.Add(byte(2), byte(2), byte(1), keys, keys[:16])
	f.Add(byte(3), byte(2), byte(2), keys, keys[:16])
	f.Add(byte(0), byte(0), byte(0), keys, keys[:15])
	f.Fuzz(func(t *testing.T, dialect, keyAlg, sessionAlg byte, keys, nonce []byte) {
		d := dialects[int(dialect)%len(dialects)]
		alg, id := sessions[keyAlg%4], sessions[sessionAlg%4]
		n := id.KeyLen()
		if !d.SealsWith(alg) || !d.Carries(id) || len(keys) < 2*n {
			t.Skip()
		}
		var in, out Session
		if err := in.Set(id, keys[:n], keys[n:2*n]); err != nil {
			t.Fatal(err)
		}
		k := newKey(t, d, alg)
		c, err := k.Seal(nil, nonce, &in)
		if len(nonce) != k.NonceLen() {
			if !errors.Is(err, ErrNonce) {
				t.Fatalf("nonce of %d octets: %v", len(nonce), err)
			}
			return
		}
		if err != nil || len(c) != k.Len(id) {
			t.Fatalf("sealed to %d octets, %v", len(c), err)
		}
		if err := k.Open(&out, c); err != nil || in != out {
			t.Fatalf("%v: opened to other keys: %v", k, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	_, vectors := readVectors(f)
	for i, v := range vectors {
		f.Add(byte(i), unhex(f, v.Cookie))
	}
	f.Add(byte(0), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, dialect byte, cookie []byte) {
		for _, alg := range sessions {
			d := dialects[int(dialect)%len(dialects)]
			if !d.SealsWith(alg) {
				continue
			}
			secret := bytes.Repeat([]byte{0xa5}, alg.KeyLen())
			id, _ := d.KeyID(cookie) // so that the cookie's body is looked at
			k, err := NewKey(d, id, alg, secret)
			if err != nil {
				t.Fatal(err)
			}
			s := dirty(t)
			if err := k.Open(&s, cookie); !errors.Is(err, ErrOpen) || s != (Session{}) {
				t.Fatalf("%s opens: %v", hex.EncodeToString(cookie), err)
			}
		}
	})
}
