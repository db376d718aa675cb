package timeserver

import (
	"net/netip"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

// FuzzRespond sends random octets, and the same as the inside of an authentic request: fields before the authenticator
// and inside it, with a cookie that is good unless damage says otherwise. Whatever comes, an answer is no longer than
// its request, of mode 4, and echoes the transmit timestamp.
func FuzzRespond(f *testing.F) {
	for _, e := range captures(f)[:8] {
		f.Add([]byte(e.Request), []byte{}, []byte{}, uint16(0), uint16(40000))
	}
	for _, first := range []byte{0x23, 0x1b, 0x0b, 0x08, 0xe3, 0x24, 0x16, 0x2b} {
		f.Add(head(first), []byte{}, []byte{}, uint16(0), uint16(123))
	}
	f.Add(version4(), full(nts.TypePlaceholder, make([]byte, 104)), full(nts.TypePlaceholder, make([]byte, 104)), uint16(0), uint16(1))
	f.Add(version4(), full(nts.TypeUniqueID, make([]byte, 32)), []byte{0, 1, 0, 4}, uint16(9), uint16(0))
	f.Add(version4(), full(nts.TypeCookie, make([]byte, 104)), full(0x2001, nil), uint16(100), uint16(65535))

	keys := newKeySet(f, cookie.Native)
	r := server(f, config.TimeServer{}, keys)
	clients := []*client{newClient(f, keys, aead.AESSIVCMAC256), newClient(f, keys, aead.AESSIVCMAC512), newClient(f, keys, aead.AES128GCMSIV)}
	f.Fuzz(func(t *testing.T, raw, before, inside []byte, damage, port uint16) {
		from := netip.AddrPortFrom(stranger.Addr(), port)
		judge(t, r, raw, from)
		if len(raw) < ntp.HeaderLen {
			return
		}
		for _, c := range clients {
			packet := join(raw[:ntp.HeaderLen], c.id(), c.cookieField(), before)
			packet = c.seal(packet, c.nonce(), inside)
			if damage != 0 {
				packet[int(damage)%len(packet)] ^= byte(damage>>8) | 1
			}
			judge(t, r, packet, from)
		}
	})
}

func judge(t *testing.T, r *Responder, request []byte, from netip.AddrPort) {
	t.Helper()
	answer, v := ask(r, request, from)
	if v == TooLong || len(answer) > len(request) {
		t.Fatalf("%v: %d octets for %d", v, len(answer), len(request))
	}
	if answers := v <= AnsweredRate; answers != (len(answer) > 0) {
		t.Fatalf("%v with %d octets", v, len(answer))
	}
	if len(answer) == 0 {
		return
	}
	asked, h := parse(t, request), parse(t, answer)
	if h.Mode != ntp.ModeServer || h.Version != asked.Version || h.Origin != asked.Transmit || h.Transmit == h.Receive {
		t.Fatalf("%+v to %+v", h, asked)
	}
}
