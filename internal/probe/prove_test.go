package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

func newKey(t *testing.T, d cookie.Dialect) *cookie.Key {
	t.Helper()
	secret := make([]byte, aead.AESSIVCMAC256.KeyLen())
	rand.Read(secret)
	k, err := cookie.NewKey(d, 7, aead.AESSIVCMAC256, secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// request is what a time server made of a datagram.
type request struct {
	t       *testing.T
	header  ntp.Header // of an answer
	id      []byte
	session cookie.Session
}

// answer is an authentic one, unless its id or key are changed.
func (q request) answer(change func(h *ntp.Header, id, s2c []byte)) []byte {
	h, id, s2c := q.header, bytes.Clone(q.id), bytes.Clone(q.session.S2C())
	change(&h, id, s2c)
	key, err := aead.New(q.session.AEAD(), s2c)
	if err != nil {
		q.t.Error(err)
	}
	nonce := make([]byte, key.NonceSize())
	return nts.AppendAuthenticator(nts.AppendUniqueID(h.AppendTo(nil), id), key, nonce, nil, 0)
}

func (q request) nak(change func(id []byte)) []byte {
	id := bytes.Clone(q.id)
	change(id)
	return nts.AppendNAK(nil, q.header, id)
}

// serve answers requests whose cookie opens under k, each with all datagrams of answers.
func serve(t *testing.T, k *cookie.Key, answers func(request) [][]byte) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		b := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			q := understand(t, k, b[:n])
			for _, a := range answers(q) {
				if _, err := conn.WriteTo(a, from); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	return conn.LocalAddr().String()
}

func understand(t *testing.T, k *cookie.Key, b []byte) request {
	h, err := ntp.ParseHeader(b)
	if err != nil {
		t.Error(err)
	}
	r, err := nts.ParseRequest(b)
	if err != nil {
		t.Errorf("the request: %v", err)
	}
	q := request{t: t, id: bytes.Clone(r.UniqueID), header: ntp.Header{
		Version: 4, Mode: ntp.ModeServer, Stratum: 2, Origin: h.Transmit, RootDelay: ntp.ShortOf(20 * time.Millisecond),
		Receive: ntp.TimestampOf(time.Now()), Transmit: ntp.TimestampOf(time.Now()),
	}}
	if err := k.Open(&q.session, r.Cookie); err != nil {
		t.Errorf("the cookie: %v", err)
		return q
	}
	c2s, err := aead.New(q.session.AEAD(), q.session.C2S())
	if err != nil {
		t.Error(err)
	} else if _, err := r.Verify(c2s, nil); err != nil {
		t.Errorf("the authenticator: %v", err)
	}
	return q
}

func TestProve(t *testing.T) {
	good := func(q request) []byte { return q.answer(func(*ntp.Header, []byte, []byte) {}) }
	same := func([]byte) {}
	other := func(id []byte) { id[0]++ }
	tests := []struct {
		name    string
		answers func(request) [][]byte
		err     error
		advice  string
		check   func(Exchange) bool
	}{
		{"an answer", func(q request) [][]byte { return [][]byte{good(q)} }, nil, "", func(e Exchange) bool {
			return e.Authenticated && e.Synchronised && e.Stratum == 2 && e.RootDelay > 0.019 && e.Cookie == "minted" && e.Attempts == 1
		}},
		{"a kiss proves the key", func(q request) [][]byte {
			return [][]byte{q.answer(func(h *ntp.Header, _, _ []byte) { h.SetKiss(ntp.KissInit) })}
		}, nil, "", func(e Exchange) bool { return e.Authenticated && !e.Synchronised && e.ReferenceID == "INIT" }},
		{"forgeries before the answer", func(q request) [][]byte {
			return [][]byte{
				q.answer(func(_ *ntp.Header, _, s2c []byte) { s2c[0]++ }),
				q.answer(func(_ *ntp.Header, id, _ []byte) { id[0]++ }),
				q.answer(func(h *ntp.Header, _, _ []byte) { h.Origin++ }),
				q.header.AppendTo(nil),
				q.nak(other),
				good(q),
			}
		}, nil, "", func(e Exchange) bool { return e.Authenticated && e.Attempts == 1 }},
		{"a NAK", func(q request) [][]byte { return [][]byte{q.nak(same)} }, ErrNAK, "key file", nil},
		{"forgeries only", func(q request) [][]byte {
			return [][]byte{q.nak(other), q.header.AppendTo(nil), q.answer(func(_ *ntp.Header, _, s2c []byte) { s2c[0]++ })}
		}, ErrNoAnswer, "allow", nil},
	}
	for _, id := range []aead.ID{aead.AESSIVCMAC256, aead.AES128GCMSIV} {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				k := newKey(t, cookie.Chrony)
				server := serve(t, k, test.answers)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.err == ErrNoAnswer {
					ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
					defer cancel()
				}
				e, err := Prove(ctx, server, k, id)
				if !errors.Is(err, test.err) || err != nil && !strings.Contains(err.Error(), test.advice) {
					t.Errorf("got %v, want %v that says %q", err, test.err, test.advice)
				}
				if test.check != nil && !test.check(e) {
					t.Errorf("got %+v", e)
				}
			})
		}
	}
}

// Each attempt has a cookie and a question of its own: whoever lost the first one knows nothing of the second.
func TestProveAsksAgainAnew(t *testing.T) {
	requests := make(chan request, attempts)
	k := newKey(t, cookie.NTPsec)
	server := serve(t, k, func(q request) [][]byte {
		if requests <- q; len(requests) == 1 {
			return nil
		}
		return [][]byte{q.answer(func(*ntp.Header, []byte, []byte) {})}
	})
	e, err := Prove(t.Context(), server, k, aead.AESSIVCMAC512)
	if err != nil || e.Attempts != 2 || len(requests) != 2 {
		t.Fatalf("%+v after %d requests: %v", e, len(requests), err)
	}
	if first, second := <-requests, <-requests; bytes.Equal(first.id, second.id) || first.header.Origin == second.header.Origin {
		t.Error("the second attempt repeats the first")
	}
}

func TestProveSaysWhyItCannotAsk(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.LocalAddr().String()
	closed.Close()
	native, ntpsec := newKey(t, cookie.Native), newKey(t, cookie.NTPsec)
	for _, test := range []struct {
		name, server string
		key          *cookie.Key
		session      aead.ID
		err          error
		text         string
	}{
		{"a port without a server", port, native, 15, syscall.ECONNREFUSED, "allow 127.0.0.1"},
		{"no port", "127.0.0.1", native, 15, nil, "HOST:PORT"},
		{"no number", "127.0.0.1:ntp", native, 15, nil, "HOST:PORT"},
		{"an AEAD that nobody knows", port, native, 31, nil, "31"},
		{"an AEAD that the dialect does not carry", port, ntpsec, 30, cookie.ErrSession, "no cookie"},
	} {
		_, err := Prove(t.Context(), test.server, test.key, test.session)
		if err == nil || !strings.Contains(err.Error(), test.text) || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v and %q", test.name, err, test.err, test.text)
		}
	}
}
