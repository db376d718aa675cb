package aead

import (
	"bytes"
	"testing"
)

// Whatever is sealed opens again, and no longer once a bit of it, of the nonce or of the data is flipped.
func FuzzSealOpen(f *testing.F) {
	for i := range uint8(4) {
		f.Add(i, counting(MaxKeyLen), counting(12), counting(68), counting(4), uint16(0))
		f.Add(i, counting(MaxKeyLen), counting(12), []byte{}, []byte{}, uint16(127))
		f.Add(i, counting(MaxKeyLen), counting(12), counting(200), counting(188), uint16(3000))
	}
	f.Fuzz(func(t *testing.T, i uint8, key, nonce, plaintext, data []byte, flip uint16) {
		a := fuzzed(t, i, key)
		if a.ID() == AES128GCMSIV && len(nonce) != 12 || len(nonce) == 0 {
			refused(t)(a.Open(nil, nonce, bytes.Join([][]byte{plaintext, make([]byte, Overhead)}, nil), data))
			return
		}
		sealed := a.Seal(nil, nonce, plaintext, data)
		opened(t, plaintext)(a.Open(nil, nonce, sealed, data))
		if a.siv != nil {
			equal(t, "SealVector", a.SealVector(nil, plaintext, data, nonce), sealed)
		}
		// The fuzzer's own slices must not be changed.
		all := bytes.Join([][]byte{sealed, nonce, data}, nil)
		all[int(flip)/8%len(all)] ^= 1 << (flip % 8)
		s, n := all[:len(sealed)], all[len(sealed):][:len(nonce)]
		refused(t)(a.Open(nil, n, s, all[len(s)+len(n):]))
	})
}

// Random octets do not panic, and what does open is what Seal makes.
func FuzzOpen(f *testing.F) {
	for i, id := range algorithms {
		nonce := counting(id.NonceLen())
		sealed := mustNew(f, id, counting(id.KeyLen())).Seal(nil, nonce, counting(68), counting(4))
		f.Add(uint8(i), counting(id.KeyLen()), nonce, sealed, counting(4))
		f.Add(uint8(i), counting(id.KeyLen()), []byte{}, []byte{}, []byte{})
		f.Add(uint8(i), counting(id.KeyLen()), counting(13), counting(15), []byte{})
	}
	f.Fuzz(func(t *testing.T, i uint8, key, nonce, sealed, data []byte) {
		a := fuzzed(t, i, key)
		plaintext, err := a.Open(nil, nonce, sealed, data)
		if err == nil {
			equal(t, "sealed again", a.Seal(nil, nonce, plaintext, data), sealed)
		}
		plaintext, err = a.OpenVector(nil, sealed, data, nonce, data)
		if err == nil {
			equal(t, "sealed again", a.SealVector(nil, plaintext, data, nonce, data), sealed)
		}
	})
}

// fuzzed is one of the algorithms, under a key cut or filled up with zeros to its length.
func fuzzed(t *testing.T, i uint8, key []byte) *AEAD {
	id := algorithms[int(i)%len(algorithms)]
	whole := make([]byte, id.KeyLen())
	copy(whole, key)
	return mustNew(t, id, whole)
}
