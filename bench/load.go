package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const (
	burst       = 64 // datagrams under way at once
	answerWait  = 200 * time.Millisecond
	handshakers = 4 // key exchanges under way at once
	keTimeout   = 10 * time.Second
)

// udpLoad sends the same request over and over from one socket, a burst at a time, and counts answers of that length.
func udpLoad(addr string, request []byte, answer int) (func(n int) (int, error), error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 2048)
	return func(n int) (int, error) {
		answered := 0
		for sent := 0; sent < n; sent += burst {
			for range burst {
				if _, err := conn.Write(request); err != nil {
					return answered, err
				}
			}
			if err := conn.SetReadDeadline(time.Now().Add(answerWait)); err != nil {
				return answered, err
			}
			for range burst {
				size, err := conn.Read(buf)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				if err != nil {
					return answered, err
				}
				if size != answer {
					return answered, fmt.Errorf("an answer of %d octets, want %d", size, answer)
				}
				answered++
			}
		}
		return answered, nil
	}, nil
}

// handshake is one TLS 1.3 connection that sends request and reads the whole answer.
func handshake(addr string, roots *x509.CertPool, request []byte) (tls.ConnectionState, []byte, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: keTimeout}, Config: &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ntske.ALPN}, RootCAs: roots, ServerName: "localhost",
		SessionTicketsDisabled: true,
		CurvePreferences:       []tls.CurveID{tls.X25519}, // one group for all: chronyd's GnuTLS has no X25519MLKEM768
	}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(keTimeout)); err != nil {
		return tls.ConnectionState{}, nil, err
	}
	if _, err := c.Write(request); err != nil {
		return tls.ConnectionState{}, nil, err
	}
	b, err := ntske.ReadMessage(c, nil, 65536)
	return c.(*tls.Conn).ConnectionState(), b, err
}

func keRequest() []byte {
	r := ntske.Request{Protocols: []uint16{0}, AEADs: []aead.ID{aead.AESSIVCMAC256}}
	return r.AppendTo(nil)
}

// keLoad runs n key exchanges, a few at once.
func keLoad(addr string, roots *x509.CertPool) func(n int) (int, error) {
	request := keRequest()
	return func(n int) (int, error) {
		var answered atomic.Int64
		var next atomic.Int64
		errs := make([]error, handshakers)
		var wg sync.WaitGroup
		for i := range handshakers {
			wg.Go(func() {
				for next.Add(1) <= int64(n) {
					if _, _, err := handshake(addr, roots, request); err != nil {
						errs[i] = err
						return
					}
					answered.Add(1)
				}
			})
		}
		wg.Wait()
		return int(answered.Load()), errors.Join(errs...)
	}
}

// plainRequest is what a client sends without NTS.
func plainRequest() []byte {
	return ntp.Header{Version: 4, Mode: ntp.ModeClient, Transmit: 0x0123456789abcdef}.AppendTo(nil)
}

// ntsRequest is a request under a cookie of the key exchange at addr. The same one may be sent again and again: the
// server keeps nothing.
func ntsRequest(addr string, roots *x509.CertPool) ([]byte, error) {
	state, b, err := handshake(addr, roots, keRequest())
	if err != nil {
		return nil, err
	}
	resp, err := ntske.ParseResponse(b)
	if err != nil {
		return nil, err
	}
	c2s, _, err := ntske.ExportKeys(&state, aead.AESSIVCMAC256, false)
	if err != nil {
		return nil, err
	}
	key, err := aead.New(aead.AESSIVCMAC256, c2s)
	if err != nil {
		return nil, err
	}
	var random [32 + 16]byte
	rand.Read(random[:])
	return nts.AppendRequest(plainRequest(), random[:32], resp.Cookies[0], 0, key, random[32:]), nil
}
