package timeserver

import (
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

func BenchmarkRespondPlain(b *testing.B) {
	keys := newKeySet(b, cookie.Native)
	r := NewResponder(&config.TimeServer{}, []Keys{fixedKeys{keys}}, goodClock())
	respond(b, r, version4(), AnsweredPlain)
}

func BenchmarkRespondNTS(b *testing.B) {
	for _, id := range []aead.ID{aead.AESSIVCMAC256, aead.AES128GCMSIV} {
		b.Run(id.String(), func(b *testing.B) {
			keys := newKeySet(b, cookie.Native)
			r := NewResponder(&config.TimeServer{}, []Keys{fixedKeys{keys}}, goodClock())
			respond(b, r, newClient(b, keys, id).request(0), AnsweredNTS)
		})
	}
}

func BenchmarkRespondNAK(b *testing.B) {
	keys := newKeySet(b, cookie.Native)
	c := newClient(b, keys, aead.AESSIVCMAC256)
	c.cookie[len(c.cookie)-1] ^= 1
	respond(b, NewResponder(&config.TimeServer{}, []Keys{fixedKeys{keys}}, goodClock()), c.request(0), AnsweredNAK)
}

func respond(b *testing.B, r *Responder, request []byte, want Verdict) {
	reply := make([]byte, 0, ntp.MaxPacket)
	b.ReportAllocs()
	for b.Loop() {
		if _, v := r.Respond(reply, request, stranger, received); v != want {
			b.Fatal(v)
		}
	}
}
