package keyexchange

import (
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// A server that could not serve must not replace one that does.
func TestProveFindsWhatAClientWouldFind(t *testing.T) {
	certs := &certificates{}
	certs.Store(issue(t))
	prove := func(rings Rings, c *certificates) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s, err := New(defaults(), []net.Listener{l}, rings, c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s.Prove(t.Context())
	}
	if err := prove(newRing(t, cookie.Native), certs); err != nil {
		t.Errorf("all is well: %v", err)
	}
	if err := prove(ring{}, certs); err == nil || errors.Is(err, ErrNoTarget) {
		t.Errorf("without keys: %v", err)
	}
	if err := prove(newRing(t, cookie.Native), &certificates{}); err == nil {
		t.Error("without a certificate")
	}
	s, err := New(defaults(), nil, newRing(t, cookie.Native), certs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prove(t.Context()); err != nil {
		t.Errorf("without a listener there is nothing to prove: %v", err)
	}
}
