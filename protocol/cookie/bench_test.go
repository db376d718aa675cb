package cookie

import (
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

func BenchmarkSeal(b *testing.B) {
	k := newKey(b, Native, aead.AESSIVCMAC256)
	s, nonce, buf := newSession(b, aead.AESSIVCMAC256), make([]byte, 16), make([]byte, 0, 104)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = k.Seal(buf, nonce, s)
	}
}

func BenchmarkOpen(b *testing.B) {
	k := newKey(b, Native, aead.AESSIVCMAC256)
	s := newSession(b, aead.AESSIVCMAC256)
	c, err := k.Seal(nil, make([]byte, 16), s)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = k.Open(s, c)
	}
}
