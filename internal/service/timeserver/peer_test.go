package timeserver

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/clockstate"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

var (
	noon     = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	stranger = netip.MustParseAddrPort("192.0.2.55:40123")
	transmit = ntp.Timestamp(0x1122334455667788) // of every request here
)

// fixedKeys and fixedClock are Keys and Clock that never change.
type fixedKeys struct{ set *keyring.KeySet }

func (k fixedKeys) KeySet() *keyring.KeySet { return k.set }

type fixedClock struct{ state clockstate.State }

func (c *fixedClock) State() *clockstate.State { return &c.state }

func goodClock() *fixedClock {
	return &fixedClock{clockstate.State{
		Synchronised:   true,
		Stratum:        2,
		ReferenceID:    ntp.ReferenceID{192, 0, 2, 1},
		RootDelay:      10 * time.Millisecond,
		RootDispersion: 2 * time.Millisecond,
		ReferenceTime:  noon.Add(-time.Minute),
		Precision:      -24,
		At:             noon,
	}}
}

func newKeySet(t testing.TB, d cookie.Dialect) *keyring.KeySet {
	t.Helper()
	set, err := keyring.NewTestKeySet(d)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// server is a responder whose clock stands at noon, a millisecond after every request came in.
func server(t testing.TB, c config.TimeServer, keys *keyring.KeySet) *Responder {
	t.Helper()
	if keys == nil {
		keys = newKeySet(t, cookie.Native)
	}
	r := NewResponder(&c, []Keys{fixedKeys{keys}}, goodClock())
	r.now = func() time.Time { return noon }
	return r
}

var received = noon.Add(-time.Millisecond)

// ask gives the answer its own memory, since the responder reuses it.
func ask(r *Responder, request []byte, from netip.AddrPort) ([]byte, Verdict) {
	answer, v := r.Respond(make([]byte, 0, ntp.MaxPacket), request, from, received)
	return answer, v
}

// head is a request's header: leap, version and mode in one octet.
func head(first byte) []byte {
	b := make([]byte, ntp.HeaderLen)
	b[0] = first
	b[2] = 6
	binary.BigEndian.PutUint64(b[40:], uint64(transmit))
	return b
}

func version4() []byte { return head(0x23) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// field is one extension field, its length chosen freely.
func field(typ, length uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, typ)
	b = binary.BigEndian.AppendUint16(b, length)
	return append(b, body...)
}

func full(typ uint16, body []byte) []byte { return ntp.AppendField(nil, typ, body) }

// client has a session and a cookie for it.
type client struct {
	c2s, s2c *aead.AEAD
	uniqueID []byte
	cookie   []byte
}

func newClient(t testing.TB, keys *keyring.KeySet, id aead.ID) *client {
	t.Helper()
	c2s, s2c := make([]byte, id.KeyLen()), make([]byte, id.KeyLen())
	rand.Read(c2s)
	rand.Read(s2c)
	return clientOf(t, keys, id, c2s, s2c)
}

func clientOf(t testing.TB, keys *keyring.KeySet, id aead.ID, c2s, s2c []byte) *client {
	t.Helper()
	var session cookie.Session
	if err := session.Set(id, c2s, s2c); err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, keys.NonceLen())
	rand.Read(nonce)
	sealed, err := keys.Seal(nil, nonce, &session)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{uniqueID: bytes.Repeat([]byte{0xa5}, nts.UniqueIDLen), cookie: sealed}
	if c.c2s, err = aead.New(id, c2s); err != nil {
		t.Fatal(err)
	}
	if c.s2c, err = aead.New(id, s2c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) id() []byte          { return full(nts.TypeUniqueID, c.uniqueID) }
func (c *client) cookieField() []byte { return full(nts.TypeCookie, c.cookie) }
func (c *client) placeholder() []byte {
	return full(nts.TypePlaceholder, make([]byte, len(c.cookie)))
}

// nonce is of the length that the session's algorithm prefers.
func (c *client) nonce() []byte { return bytes.Repeat([]byte{7}, c.c2s.NonceSize()) }

// seal ends a packet with the client's authenticator over what is there.
func (c *client) seal(packet, nonce, plaintext []byte) []byte {
	return nts.AppendAuthenticator(packet, c.c2s, nonce, plaintext, 0)
}

// request is an ordinary one.
func (c *client) request(placeholders int) []byte {
	return nts.AppendRequest(version4(), c.uniqueID, c.cookie, placeholders, c.c2s, c.nonce())
}

// wantCookies judges an authenticated answer.
func (c *client) wantCookies(t *testing.T, r *Responder, request, answer []byte, cookies int) {
	t.Helper()
	if len(answer) != len(request) {
		t.Errorf("answer of %d octets to a request of %d: both ways should take equally long", len(answer), len(request))
	}
	got, err := nts.ParseResponse(answer, c.s2c)
	if err != nil || got.NAK {
		t.Fatalf("NAK %v, %v\n%x", got.NAK, err, answer)
	}
	if len(got.Cookies) != cookies {
		t.Errorf("%d cookies, want %d", len(got.Cookies), cookies)
	}
	for i, sealed := range got.Cookies {
		for _, other := range append(got.Cookies[:i:i], c.cookie) {
			if bytes.Equal(sealed, other) {
				t.Error("a cookie was given twice")
			}
		}
		var session cookie.Session
		if err := r.rings[0].KeySet().Open(&session, sealed); err != nil || session.AEAD() != c.c2s.ID() {
			t.Errorf("cookie %d: %v, %v", i, session.AEAD(), err)
		}
	}
}

func parse(t *testing.T, answer []byte) ntp.Header {
	t.Helper()
	h, err := ntp.ParseHeader(answer)
	if err != nil {
		t.Fatalf("%v: %x", err, answer)
	}
	return h
}
