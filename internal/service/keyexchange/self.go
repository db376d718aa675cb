package keyexchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// ErrNoTarget tells that the only thing wrong is that no target is fit.
var ErrNoTarget = errNoneFit

// Prove makes one exchange with ourselves, without a socket: with the certificate, the keys and the targets that a client would
// get. nil: it would be served, or there is no section [keyexchange].
func (s *Server) Prove(ctx context.Context) error {
	if len(s.listeners) == 0 {
		return nil
	}
	here, there := net.Pipe()
	defer there.Close()
	stop := context.AfterFunc(ctx, func() { there.Close() })
	defer stop()
	type end struct {
		verdict Verdict
		err     error
	}
	ended := make(chan end, 1)
	go func() {
		v, err := s.serve(&exchange{Conn: here, from: netip.IPv6Loopback(), settings: s.settings.Load(), accepted: time.Now()})
		ended <- end{v, err}
	}()
	err := s.askOurselves(ctx, there)
	there.Close()
	is := <-ended
	switch {
	case is.verdict == NoneFit:
		return ErrNoTarget
	case err == nil && is.verdict != Served:
		err = is.err
	}
	if err != nil {
		return fmt.Errorf("keyexchange: a client of ours would get no keys: %w", errors.Join(err, is.err))
	}
	return nil
}

// askOurselves is the client. Whether the certificate convinces anybody is judged by those who read it.
func (s *Server) askOurselves(ctx context.Context, conn net.Conn) error {
	client := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ntske.ALPN}, InsecureSkipVerify: true, SessionTicketsDisabled: true,
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return err
	}
	request := ntske.Request{
		Protocols: []uint16{ntske.NTPv4},
		AEADs:     []aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512, aead.AES128GCMSIV},
	}
	if _, err := client.Write(request.AppendTo(nil)); err != nil {
		return err
	}
	b, err := ntske.ReadMessage(client, nil, maxResponse)
	if err != nil {
		return err
	}
	response, err := ntske.ParseResponse(b)
	if err == nil && len(response.Cookies) == 0 {
		err = errors.New("no cookies")
	}
	return err
}
