package timeserver

import (
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// TestAllocations holds what an answer allocates: nothing when plain, and with NTS the key schedules that crypto/aes
// makes for the session's two keys: of AES-SIV one for a request that encrypts nothing and two for the answer, of
// AES-GCM-SIV two for each, since it has another key for each nonce.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	keys := newKeySet(t, cookie.Native)
	limit := config.TimeRateLimit{RateLimit: config.RateLimit{Interval: 1, Burst: 1 << 20}}
	r := server(t, config.TimeServer{RateLimit: &limit}, keys)
	other := newKeySet(t, cookie.NTPsec)
	r.rings = append(r.rings, fixedKeys{other})
	siv := newClient(t, keys, aead.AESSIVCMAC256)
	second := newClient(t, other, aead.AESSIVCMAC256)
	gcm := newClient(t, keys, aead.AES128GCMSIV)
	bad := newClient(t, keys, aead.AESSIVCMAC256)
	bad.cookie[len(bad.cookie)-1] ^= 1
	for _, c := range []struct {
		name    string
		request []byte
		want    Verdict
		allowed float64
	}{
		{"plain", version4(), AnsweredPlain, 0},
		{"malformed", head(0x26), WrongMode, 0},
		{"NTS, 1 cookie", siv.request(0), AnsweredNTS, 3},
		{"NTS, 8 cookies", siv.request(7), AnsweredNTS, 3},
		{"NTS, another ring", second.request(0), AnsweredNTS, 3},
		{"NTS, AES-GCM-SIV", gcm.request(0), AnsweredNTS, 4},
		{"NAK", bad.request(0), AnsweredNAK, 0},
	} {
		reply := make([]byte, 0, ntp.MaxPacket)
		got := testing.AllocsPerRun(500, func() {
			if _, v := r.Respond(reply, c.request, stranger, received); v != c.want {
				t.Fatalf("%s: %v", c.name, v)
			}
		})
		if got > c.allowed {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.allowed)
		}
	}
}
