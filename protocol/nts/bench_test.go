package nts

import (
	"bytes"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

func TestNoAllocations(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	for id, forced := range map[aead.ID]float64{
		aead.AESSIVCMAC256: 0,
		aead.AESSIVCMAC512: 0,
		aead.AES128GCMSIV:  1, // a cipher for each nonce
	} {
		key := testKey(t, id)
		nonce := make([]byte, key.NonceSize())
		request := AppendRequest(header(4, ntp.ModeClient), uniqueID[4:], cookie[4:], 7, key, nonce)
		plaintext := bytes.Repeat(cookie, 8)
		scratch, buf := make([]byte, ntp.MaxPacket), make([]byte, 0, ntp.MaxPacket)
		r, err := ParseRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name   string
			forced float64
			f      func()
		}{
			{"ParseRequest", 0, func() { _, err = ParseRequest(request) }},
			{"Verify", forced, func() { _, err = r.Verify(key, scratch) }},
			{"answer", forced, func() {
				buf = AppendUniqueID(append(buf[:0], request[:ntp.HeaderLen]...), r.UniqueID)
				buf = AppendAuthenticator(buf, key, nonce, plaintext, len(request))
			}},
			{"NAK", 0, func() { buf = AppendNAK(buf[:0], ntp.Header{}, r.UniqueID) }},
		} {
			if n := testing.AllocsPerRun(100, tt.f); n != tt.forced || err != nil {
				t.Errorf("%v, %s: %v allocations, want %v (%v)", id, tt.name, n, tt.forced, err)
			}
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	key := testKey(b, aead.AESSIVCMAC256)
	request := AppendRequest(header(4, ntp.ModeClient), uniqueID[4:], cookie[4:], 0, key, make([]byte, 16))
	scratch := make([]byte, ntp.MaxPacket)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseRequest(request); err != nil {
				b.Fatal(err)
			}
		}
	})
	r, err := ParseRequest(request)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Verify(key, scratch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	key := testKey(b, aead.AESSIVCMAC256)
	nonce, buf := make([]byte, 16), make([]byte, 0, ntp.MaxPacket)
	server := header(4, ntp.ModeServer)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendUniqueID(append(buf[:0], server...), uniqueID[4:])
		buf = AppendAuthenticator(buf, key, nonce, cookie, 0)
	}
}
