package neighbour

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// partTimeout is for one part of the list of clients, of which a lost datagram costs no more than a smaller part.
const partTimeout = 300 * time.Millisecond

// NTPD is classic ntpd or NTPsec. It implements Daemon and Changer. What it reads needs no key, and has none: a read with one
// would clear the daemon's counts of events.
type NTPD struct {
	address netip.AddrPort
	sec     atomic.Bool // it is NTPsec, as far as is known
	control controlKey

	memory
	tracking memo[api.Tracking]
	sources  memo[[]api.Source]
	clients  memo[population]
}

// NewNTPD makes the client; nothing is opened until somebody asks.
func NewNTPD(address netip.AddrPort) *NTPD {
	return &NTPD{address: address, tracking: newMemo[api.Tracking](), sources: newMemo[[]api.Source](), clients: newMemo[population]()}
}

// Name implements Daemon: ntpd until it has said that it is NTPsec.
func (n *NTPD) Name() string {
	if n.sec.Load() {
		return "ntpsec"
	}
	return "ntpd"
}

// Via implements Daemon: there is one way.
func (n *NTPD) Via() string { return "udp " + n.address.String() }

// ask lets f ask over a fresh socket, whose port stays the same for the nonce of a list of clients.
func (n *NTPD) ask(f func(*control) error) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(n.address))
	if err != nil {
		return fmt.Errorf("ntpd at %s: %w", n.address, err)
	}
	defer func() { _ = conn.Close() }()
	err = f(&control{Conn: conn, sequence: uint16(rand.Uint32())})
	switch {
	case err == nil:
		return nil
	case tooLate(err):
		return fmt.Errorf("ntpd does not answer mode 6 at %s: it hangs, or its restrict lines say noquery for this host "+
			"(add: restrict %s), or it is no ntpd (%w)", n.address, n.address.Addr(), err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("ntpd does not answer at %s: connection refused: it does not run, or listens on other addresses: "+
			"start it, or name one of these in clock.ntpd-address", n.address)
	}
	return fmt.Errorf("ntpd at %s: %w", n.address, err)
}

// ConverseMode6 lets talk ask what it likes, over one socket and without a key: ask gives the status word and the data of the
// answer, which are the caller's, or an error with the mode6.ErrorCode that ntpd refuses with. Nothing of it is remembered here.
func (n *NTPD) ConverseMode6(ctx context.Context, talk func(ask func(mode6.Request) (uint16, []byte, error)) error) error {
	return n.ask(func(c *control) error {
		return talk(func(q mode6.Request) (uint16, []byte, error) {
			var data []byte
			var err error
			if q.Op == mode6.OpReadMRU { // who walks asks for less when something is lost
				data, err = c.attempt(ctx, q, partTimeout)
			} else {
				data, err = c.read(ctx, q)
			}
			if err != nil {
				return 0, nil, err
			}
			return c.answer.Status(), bytes.Clone(data), nil
		})
	})
}

// control is a socket to ntpd for a few questions.
type control struct {
	net.Conn
	sequence uint16
	answer   mode6.Assembly
	room     [mode6.MaxDatagram + 1]byte
}

// read gives the data of an answer, valid until the next question.
func (c *control) read(ctx context.Context, q mode6.Request) (data []byte, err error) {
	err = again(ctx, func(limit time.Duration) error {
		data, err = c.attempt(ctx, q, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%v: %w", q.Op, err)
	}
	return data, nil
}

func (c *control) attempt(ctx context.Context, q mode6.Request, limit time.Duration) ([]byte, error) {
	return c.attemptWith(ctx, q, nil, limit)
}

// attemptWith signs the request, and takes no answer that is not signed, unless there is no key.
func (c *control) attemptWith(ctx context.Context, q mode6.Request, k *mode6.Key, limit time.Duration) (data []byte, err error) {
	c.sequence++
	q.Sequence = c.sequence
	var b []byte
	if k != nil {
		b, err = q.AppendSigned(nil, k, mode6.Align8)
	} else {
		b, err = q.AppendTo(nil)
	}
	if err != nil {
		return nil, err
	}
	if err := until(ctx, c, limit); err != nil {
		return nil, err
	}
	c.answer.Expect(q, k)
	if _, err := c.Write(b); err != nil {
		return nil, bare(err)
	}
	err = receive(c, c.room[:], func(b []byte) error {
		whole, err := c.answer.Add(b)
		if errors.Is(err, mode6.ErrForeign) || err == nil && !whole {
			return errForeign
		}
		return err
	})
	return c.answer.Data(), err
}

// variables reads the default set of the system (association 0) or of one association, or the named ones.
func (c *control) variables(ctx context.Context, association uint16, names string) (mode6.Variables, error) {
	data, err := c.read(ctx, mode6.Request{Op: mode6.OpReadVariables, Association: association, Data: []byte(names)})
	if err != nil {
		return nil, err
	}
	return mode6.ParseVariables(data)
}

// isNTPsec tells by the version.
func isNTPsec(v mode6.Variables) bool {
	version, _ := v.Text("version")
	return strings.Contains(version, "ntpsec-")
}
