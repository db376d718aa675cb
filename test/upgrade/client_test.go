package upgrade

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
	"sync"
	"testing"
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
	errNAK  = errors.New("NAK")
	errLost = errors.New("no answer")
)

// association is what a client keeps of a key exchange.
type association struct {
	c2s, s2c *aead.AEAD
	cookies  [][]byte
}

// exchangeKeys makes one connection and never another.
func exchangeKeys(at string, roots *x509.CertPool) (*association, error) {
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

func newAssociation(state *tls.ConnectionState, r ntske.Response) (*association, error) {
	c2s, s2c, err := ntske.ExportKeys(state, r.AEADs[0], r.Compliant)
	if err != nil {
		return nil, err
	}
	a := &association{}
	if a.c2s, err = aead.New(r.AEADs[0], c2s); err != nil {
		return nil, err
	}
	a.s2c, err = aead.New(r.AEADs[0], s2c)
	for _, c := range r.Cookies {
		a.cookies = append(a.cookies, slices.Clone(c))
	}
	return a, err
}

// ask spends a cookie of the association, or none if that is nil, and sends once. nil: an answer that counts has come.
func ask(conn net.Conn, a *association) error {
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
			return errLost
		}
		if err != nil {
			return err
		}
		h, err := ntp.ParseHeader(b[:n])
		if err != nil || h.Origin != transmit {
			continue
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
			return errNAK
		case !bytes.Equal(r.UniqueID, unique):
			continue
		}
		for _, c := range r.Cookies {
			a.cookies = append(a.cookies, slices.Clone(c))
		}
		return nil
	}
}

// load is clients that ask without pause, until stopped.
type load struct {
	mu       sync.Mutex
	done     map[string]int
	failures []string
	slowest  map[string]time.Duration

	stop    chan struct{}
	running sync.WaitGroup
}

// maxFailures bounds what a failed test shows.
const maxFailures = 10

// newLoad begins: key exchanges, requests of a few long associations, plain requests. Each is one of several clients.
func newLoad(t *testing.T, s *server) *load {
	l := &load{done: map[string]int{}, slowest: map[string]time.Duration{}, stop: make(chan struct{})}
	for range 2 {
		l.loop("key exchange", 5*time.Millisecond, func() error {
			_, err := exchangeKeys(s.ke(), s.roots)
			return err
		})
	}
	for range 3 {
		a, err := exchangeKeys(s.ke(), s.roots)
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, s.ntp())
		l.loop("NTS request", time.Millisecond, func() error { return ask(conn, a) })
	}
	conn := dial(t, s.ntp())
	l.loop("request", time.Millisecond, func() error { return ask(conn, nil) })
	l.loop("request of a new client", 2*time.Millisecond, func() error { // the kernel may choose any of the sockets
		conn, err := net.Dial("udp", s.ntp())
		if err != nil {
			return err
		}
		defer conn.Close()
		return ask(conn, nil)
	})
	t.Cleanup(l.end)
	return l
}

func dial(t *testing.T, at string) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (l *load) loop(what string, pause time.Duration, once func() error) {
	l.running.Go(func() {
		for {
			began := time.Now()
			err := once()
			l.note(what, time.Since(began), err)
			select {
			case <-l.stop:
				return
			case <-time.After(pause):
			}
		}
	})
}

func (l *load) note(what string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[what]++
	l.slowest[what] = max(l.slowest[what], took)
	if err != nil && len(l.failures) < maxFailures {
		l.failures = append(l.failures, fmt.Sprintf("%s at %s after %v: %v", what, time.Now().Format("05.000"), took, err))
	}
}

// count is how many exchanges of all kinds are done.
func (l *load) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.done {
		n += d
	}
	return n
}

// more waits until so many more exchanges are done.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := l.count() + n
	eventually(t, func() error {
		if have := l.count(); have < want {
			return fmt.Errorf("the load stands still: %d exchanges of %d", have, want)
		}
		return nil
	})
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.running.Wait()
}

// mustBeWhole ends the load and wants that every single one was served.
func (l *load) mustBeWhole(t *testing.T) {
	t.Helper()
	l.end()
	for _, f := range l.failures {
		t.Error(f)
	}
	for what, n := range l.done {
		if n == 0 {
			t.Errorf("no %s: the test tests nothing", what)
		}
		t.Logf("%6d %-25s slowest %v", n, what, l.slowest[what].Round(time.Millisecond/10))
	}
}
