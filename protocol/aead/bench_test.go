package aead

import "testing"

// sizes are what the daemon seals: a native cookie, and libraries' usual yardstick.
var sizes = []struct {
	name            string
	plaintext, data int
}{
	{"cookie", 68, 4},
	{"100+100", 100, 100},
}

func BenchmarkSeal(b *testing.B) {
	eachSize(b, func(b *testing.B, a *AEAD, nonce, plaintext, data []byte) {
		dst := make([]byte, 0, len(plaintext)+Overhead)
		for b.Loop() {
			a.Seal(dst, nonce, plaintext, data)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	eachSize(b, func(b *testing.B, a *AEAD, nonce, plaintext, data []byte) {
		sealed := a.Seal(nil, nonce, plaintext, data)
		dst := make([]byte, 0, len(plaintext))
		for b.Loop() {
			if _, err := a.Open(dst, nonce, sealed, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSetKey(b *testing.B) {
	for _, id := range algorithms {
		b.Run(id.String(), func(b *testing.B) {
			key := make([]byte, id.KeyLen())
			var a AEAD
			b.ReportAllocs()
			for b.Loop() {
				if err := a.SetKey(id, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPolyvalBlock(b *testing.B) {
	var p polyval
	p.reset(&[hashKeyLen]byte{1, 2, 3})
	block := make([]byte, 16)
	b.SetBytes(16)
	for b.Loop() {
		p.absorb(block)
	}
}

func eachSize(b *testing.B, run func(b *testing.B, a *AEAD, nonce, plaintext, data []byte)) {
	for _, id := range algorithms {
		for _, size := range sizes {
			b.Run(id.String()+"/"+size.name, func(b *testing.B) {
				a, err := New(id, make([]byte, id.KeyLen()))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				run(b, a, make([]byte, id.NonceLen()), make([]byte, size.plaintext), make([]byte, size.data))
			})
		}
	}
}
