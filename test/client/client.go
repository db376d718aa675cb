// Package client is a client of key exchange and time as simple as can be, for tests that want to know of every single answer: it
// asks nothing twice.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// How long a client of ours waits. Real ones wait longer; nobody here is to wait at all but over a restart, and nothing is asked
// twice.
const (
	exchangeWithin = 10 * time.Second
	answerWithin   = 3 * time.Second
)

var (
	ErrNAK  = errors.New("NAK")
	ErrLost = errors.New("no answer")
)

// Association is what a client keeps of a key exchange.
type Association struct {
	c2s, s2c *aead.AEAD
	cookies  [][]byte
}

// Exchange makes one connection and never another.
func Exchange(at string, roots *x509.CertPool) (*Association, error) {
	ctx, cancel := context.WithTimeout(context.Background(), exchangeWithin)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{ntske.ALPN}, RootCAs: roots}}
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	conn := c.(*tls.Conn)
	if err := conn.SetDeadline(time.Now().Add(exchangeWithin)); err != nil {
		return nil, err
	}
	request := ntske.Request{Protocols: []uint16{ntske.NTPv4}, AEADs: []aead.ID{aead.AESSIVCMAC256}}
	if _, err := conn.Write(request.AppendTo(nil)); err != nil {
		return nil, err
	}
	b, err := ntske.ReadMessage(conn, nil, 65536)
	if err != nil {
		return nil, err
	}
	response, err := ntske.ParseResponse(b)
	if err != nil || len(response.Cookies) == 0 {
		return nil, fmt.Errorf("no cookies: %w", err)
	}
	state := conn.ConnectionState()
	return newAssociation(&state, response)
}

func newAssociation(state *tls.ConnectionState, r ntske.Response) (*Association, error) {
	c2s, s2c, err := ntske.ExportKeys(state, r.AEADs[0], r.Compliant)
	if err != nil {
		return nil, err
	}
	a := &Association{}
	if a.c2s, err = aead.New(r.AEADs[0], c2s); err != nil {
		return nil, err
	}
	a.s2c, err = aead.New(r.AEADs[0], s2c)
	for _, c := range r.Cookies {
		a.cookies = append(a.cookies, slices.Clone(c))
	}
	return a, err
}

// Keys are the ids of the keys that its cookies are sealed with.
func (a *Association) Keys() (ids []uint32) {
	for _, c := range a.cookies {
		if id := binary.BigEndian.Uint32(c); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Ask spends a cookie of the association, or none if that is nil, and sends once. nil: an answer that counts has come.
func Ask(conn net.Conn, a *Association) error {
	var random [8 + 32 + 16]byte
	_, _ = rand.Read(random[:])
	transmit, unique := ntp.Timestamp(binary.BigEndian.Uint64(random[:])), random[8:40]
	packet := ntp.Header{Version: 4, Mode: ntp.ModeClient, Transmit: transmit}.AppendTo(nil)
	if a != nil {
		cookie := a.cookies[0]
		a.cookies = a.cookies[1:]
		packet = nts.AppendRequest(packet, unique, cookie, 0, a.c2s, random[40:][:a.c2s.NonceSize()])
	}
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	var b [2048]byte
	for {
		n, err := conn.Read(b[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ErrLost
		}
		if err != nil {
			return err
		}
		h, err := ntp.ParseHeader(b[:n])
		if err != nil || h.Origin != transmit {
			continue
		}
		if h.Kiss() == "NTSN" { // RFC 8915 section 5.7; it says that it is unsynchronised, too
			return ErrNAK
		}
		if h.Leap == ntp.LeapUnknown {
			return fmt.Errorf("unsynchronised: stratum %d, %q", h.Stratum, h.Kiss())
		}
		if a == nil {
			return nil
		}
		r, err := nts.ParseResponse(b[:n], a.s2c)
		switch {
		case err != nil:
			return err
		case r.NAK:
			return ErrNAK
		case !bytes.Equal(r.UniqueID, unique):
			continue
		}
		for _, c := range r.Cookies {
			a.cookies = append(a.cookies, slices.Clone(c))
		}
		return nil
	}
}
