package timeserver

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

func TestNTSIsAnswered(t *testing.T) {
	for _, d := range []cookie.Dialect{cookie.Native, cookie.Chrony, cookie.NTPsec, cookie.NTPDRS} {
		keys := newKeySet(t, d)
		r := server(t, config.TimeServer{}, keys)
		for _, id := range []aead.ID{15, 16, 17, 30} {
			if !keys.Carries(id) {
				continue
			}
			for placeholders := range 8 {
				t.Run(fmt.Sprintf("%v, %v, %d placeholders", d, id, placeholders), func(t *testing.T) {
					c := newClient(t, keys, id)
					request := c.request(placeholders)
					answer, v := ask(r, request, stranger)
					if v != AnsweredNTS {
						t.Fatal(v)
					}
					c.wantCookies(t, r, request, answer, placeholders+1)
					if h := parse(t, answer); h.Stratum != 2 || h.Origin != transmit || h.Version != 4 {
						t.Errorf("%+v", h)
					}
				})
			}
		}
	}
}

// A ring whose neighbour has not told its keys yet knows no cookie.
func TestNoKeysYet(t *testing.T) {
	r := server(t, config.TimeServer{}, nil)
	r.rings = []Keys{fixedKeys{}}
	c := newClient(t, newKeySet(t, cookie.Native), aead.AESSIVCMAC256)
	if _, v := ask(r, c.request(0), stranger); v != AnsweredNAK {
		t.Errorf("verdict %v", v)
	}
}

// A time server with several rings opens the cookies of each, and mints the fresh ones for whoever opens those.
func TestEachRingIsServed(t *testing.T) {
	first := newKeySet(t, cookie.Native)
	r := server(t, config.TimeServer{}, first)
	rings := []*keyring.KeySet{first, nil, newKeySet(t, cookie.Native), newKeySet(t, cookie.Chrony), newKeySet(t, cookie.NTPsec), newKeySet(t, cookie.NTPDRS)}
	r.rings = nil
	for _, keys := range rings {
		r.rings = append(r.rings, fixedKeys{keys})
	}
	for i, keys := range rings {
		if keys == nil {
			continue // it has none yet
		}
		c := newClient(t, keys, aead.AESSIVCMAC256)
		answer, v := ask(r, c.request(2), stranger)
		got, err := nts.ParseResponse(answer, c.s2c)
		if v != AnsweredNTS || err != nil || len(got.Cookies) != 3 {
			t.Errorf("ring %d: %v with %d cookies, %v", i, v, len(got.Cookies), err)
		}
		for _, sealed := range got.Cookies {
			if err := keys.Open(new(cookie.Session), sealed); err != nil {
				t.Errorf("ring %d: its fresh cookie does not open: %v", i, err)
			}
		}
	}
	if _, v := ask(r, newClient(t, newKeySet(t, cookie.Native), aead.AESSIVCMAC256).request(0), stranger); v != AnsweredNAK {
		t.Errorf("a cookie of no ring: %v", v)
	}
}

// TestNTSRows has a row for each kind of NTS request that is known to be treated in more than one way.
func TestNTSRows(t *testing.T) {
	keys := newKeySet(t, cookie.Native)
	r := server(t, config.TimeServer{}, keys)
	c := newClient(t, keys, aead.AESSIVCMAC256)
	usual := func() []byte { return join(version4(), c.id(), c.cookieField()) }
	zeros := func(n int) []byte { return make([]byte, n) }
	damaged := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	withCookie := func(cookie []byte) []byte {
		return c.seal(join(version4(), c.id(), full(nts.TypeCookie, cookie)), c.nonce(), nil)
	}
	withID := func(n int) []byte {
		return c.seal(join(version4(), full(nts.TypeUniqueID, zeros(n)), c.cookieField()), c.nonce(), nil)
	}
	inMode := func(first byte) []byte { return c.seal(join(head(first), c.id(), c.cookieField()), c.nonce(), nil) }
	otherField := full(0x2001, zeros(24))
	good := c.request(0)
	for _, row := range []struct {
		name    string
		packet  []byte
		want    Verdict
		cookies int
	}{
		{"bad tag", damaged(good, len(good)-1), AnsweredNAK, 0},
		{"header changed on the way", damaged(good, 30), AnsweredNAK, 0},
		{"unknown key id", withCookie(damaged(c.cookie, 0)), AnsweredNAK, 0},
		{"cookie corrupted", withCookie(damaged(c.cookie, len(c.cookie)-1)), AnsweredNAK, 0},
		{"cookie truncated", withCookie(c.cookie[:len(c.cookie)-4]), AnsweredNAK, 0},
		{"cookie extended", withCookie(append(bytes.Clone(c.cookie), 0, 0, 0, 0)), AnsweredNAK, 0},
		{"cookie of a field's least length", withCookie(c.cookie[:12]), AnsweredNAK, 0},
		{"nonce of 8 octets without padding", c.seal(usual(), zeros(8), zeros(0)), Malformed, 0},
		{"nonce of no octets", join(usual(), full(nts.TypeAuthenticator, join([]byte{0, 0, 0, 16}, zeros(32)))), Malformed, 0},
		{"nonce of 12 octets with padding", nts.AppendAuthenticator(usual(), c.c2s, zeros(12), nil, len(good)), AnsweredNTS, 1},
		{"nonce of 13 octets", c.seal(usual(), zeros(13), nil), AnsweredNTS, 1},
		{"nonce of 32 octets", c.seal(usual(), zeros(32), nil), AnsweredNTS, 1},
		{"64 octets of extra padding", nts.AppendAuthenticator(usual(), c.c2s, c.nonce(), nil, len(good)+64), AnsweredNTS, 1},
		{"no unique id", c.seal(join(version4(), c.cookieField()), c.nonce(), nil), Malformed, 0},
		{"unique id of 16 octets", withID(16), AnsweredNTS, 1},
		{"unique id of 12 octets", withID(12), Malformed, 0},
		{"unique id of 128 octets", withID(128), AnsweredNTS, 1},
		{"unique id without bound", withID(1200), Malformed, 0},
		{"two unique ids", c.seal(join(version4(), c.id(), c.id(), c.cookieField()), c.nonce(), nil), Malformed, 0},
		{"two cookies", c.seal(join(usual(), c.cookieField()), c.nonce(), nil), Malformed, 0},
		{"two authenticators", c.seal(good, c.nonce(), nil), Malformed, 0},
		{"placeholder of another length", c.seal(join(usual(), full(nts.TypePlaceholder, zeros(len(c.cookie)+4))), c.nonce(), nil), Malformed, 0},
		{"placeholder not zero", c.seal(join(usual(), full(nts.TypePlaceholder, c.cookie)), c.nonce(), nil), AnsweredNTS, 2},
		{"placeholder before the cookie", c.seal(join(version4(), c.id(), c.placeholder(), c.cookieField()), c.nonce(), nil), AnsweredNTS, 2},
		{"encrypted placeholder", c.seal(usual(), c.nonce(), c.placeholder()), AnsweredNTS, 2},
		{"encrypted placeholder of another length", c.seal(usual(), c.nonce(), full(nts.TypePlaceholder, zeros(16))), Malformed, 0},
		{"encrypted unknown field", c.seal(usual(), c.nonce(), otherField), AnsweredNTS, 1},
		{"encrypted octets are no fields", c.seal(usual(), c.nonce(), []byte{1, 2, 3, 4}), Malformed, 0},
		{"cookie before the unique id", c.seal(join(version4(), c.cookieField(), c.id()), c.nonce(), nil), AnsweredNTS, 1},
		{"unknown field before the authenticator", c.seal(join(usual(), otherField), c.nonce(), nil), AnsweredNTS, 1},
		{"field after the authenticator", join(good, otherField), Malformed, 0},
		{"no authenticator", usual(), Malformed, 0},
		{"placeholder alone", join(version4(), c.id(), c.placeholder()), Malformed, 0},
		{"only the unique id", join(version4(), c.id()), AnsweredPlain, 0},
		{"15 placeholders", c.request(15), AnsweredNTS, 8},
		{"version 3", inMode(0x1b), WithMAC, 0},
		{"mode 1", inMode(0x21), WrongMode, 0},
		{"mode 4", inMode(0x24), WrongMode, 0},
		{"MAC behind", join(good, []byte{0, 0, 0, 9}, zeros(16)), WithMAC, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer, v := ask(r, row.packet, stranger)
			if v != row.want {
				t.Fatalf("%v, want %v", v, row.want)
			}
			switch v {
			case AnsweredNTS:
				c.wantCookies(t, r, row.packet, answer, row.cookies)
			case AnsweredNAK:
				wantNAK(t, answer, c.uniqueID)
			case AnsweredPlain:
			default:
				if len(answer) != 0 {
					t.Errorf("answered with %x", answer)
				}
			}
		})
	}
}

func wantNAK(t *testing.T, answer, uniqueID []byte) {
	t.Helper()
	h := parse(t, answer)
	if h.Kiss() != ntp.KissNTSN || h.Leap != ntp.LeapUnknown || h.Mode != ntp.ModeServer || h.Origin != transmit && uniqueID != nil {
		t.Errorf("%+v", h)
	}
	got, err := nts.ParseResponse(answer, nil)
	if err != nil || !got.NAK || uniqueID != nil && !bytes.Equal(got.UniqueID, uniqueID) || len(got.Cookies) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLongerCookiesAreGivenAsFarAsTheyFit(t *testing.T) {
	// A session of AEAD 17 in an answer that has less room than its cookies want: the presented cookie is cut short, so
	// that only a responder that trusts its length would overflow.
	keys := newKeySet(t, cookie.Native)
	r := server(t, config.TimeServer{}, keys)
	c := newClient(t, keys, aead.AESSIVCMAC512)
	length := keys.CookieLen(aead.AESSIVCMAC512)
	n := nts.Request{UniqueID: c.uniqueID, Cookie: c.cookie[:length-8]}
	if err := keys.Open(&r.session, c.cookie); err != nil {
		t.Fatal(err)
	}
	if err := r.s2c.SetKey(r.session.AEAD(), r.session.S2C()); err != nil {
		t.Fatal(err)
	}
	whole := len(c.request(3))
	for shorter, want := range map[int]int{0: 4, 4: 3, 4 + length: 3, 8 + length: 2, whole: 0} {
		q := question{packet: make([]byte, whole-shorter)}
		if got := r.fitting(keys, &q, &n); got != want {
			t.Errorf("request %d octets shorter than 4 cookies need: %d cookies, want %d", shorter, got, want)
		}
	}
}

func TestAnswerWithoutRoomForAllCookiesFits(t *testing.T) {
	// As after a change to keys that make longer cookies: the request is shorter than what it asks for needs.
	keys := newKeySet(t, cookie.Native)
	r := server(t, config.TimeServer{}, keys)
	c := newClient(t, keys, aead.AESSIVCMAC256)
	request := c.request(3)
	n, err := nts.ParseRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	q := question{Header: parse(t, request), packet: request[:len(request)-8], received: received, state: r.clock.State()}
	answer, v := r.answerNTS(nil, &q, &n)
	if v != AnsweredNTS {
		t.Fatal(v)
	}
	c.wantCookies(t, r, q.packet, answer, 3)
}

func TestSessionThatNewKeysCannotCarryIsAnsweredWithoutCookies(t *testing.T) {
	// As after a change of dialect: NTPsec's cannot carry AEAD 30.
	r := server(t, config.TimeServer{}, newKeySet(t, cookie.NTPsec))
	key := make([]byte, aead.AES128GCMSIV.KeyLen())
	if err := r.session.Set(aead.AES128GCMSIV, key, key); err != nil {
		t.Fatal(err)
	}
	if got := r.fitting(r.rings[0].KeySet(), &question{packet: make([]byte, 1000)}, &nts.Request{}); got != 0 {
		t.Errorf("%d cookies", got)
	}
}

func TestNoncesAndCookiesNeverRepeat(t *testing.T) {
	keys := newKeySet(t, cookie.Native)
	r := server(t, config.TimeServer{}, keys)
	c := newClient(t, keys, aead.AESSIVCMAC256)
	request := c.request(7)
	seen := map[string]bool{}
	for range 50 { // several times the pool of random octets
		answer, v := ask(r, request, stranger)
		if v != AnsweredNTS {
			t.Fatal(v)
		}
		got, err := nts.ParseResponse(answer, c.s2c)
		if err != nil {
			t.Fatal(err)
		}
		nonce := answer[ntp.HeaderLen+36+8:][:16]
		for _, sealed := range got.Cookies {
			got.Cookies = append(got.Cookies, sealed[4:20]) // the nonce follows the key id
		}
		for _, b := range append(got.Cookies, nonce) {
			if seen[string(b)] {
				t.Fatalf("%x came twice", b)
			}
			seen[string(b)] = true
		}
	}
}

func TestAnswerLongerThanItsRequestIsDropped(t *testing.T) {
	// No request leads there, so the one place that checks is asked directly.
	if answer, v := bounded(make([]byte, 49), version4(), AnsweredPlain); v != TooLong || len(answer) != 0 {
		t.Errorf("%v, %d octets", v, len(answer))
	}
}
