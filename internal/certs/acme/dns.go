package acme

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Dynamic updates, RFC 2136: a message of opcode 5 whose question is the zone, and whose authority section says what to add
// and what to remove.
const (
	opcodeUpdate = 5
	classNone    = 254 // of a record to remove, RFC 2136 section 2.5.4
	recordTTL    = 60

	updateTimeout = 20 * time.Second
	cleanTimeout  = 10 * time.Second
	maxMessage    = 4096 // octets of an answer: it repeats nothing but the question
)

// updater writes TXT records into one zone.
type updater struct {
	server, zone string
	key          tsigKey
	propagation  time.Duration
}

func newUpdater(c *config.DNSUpdate) (*updater, error) {
	secret, err := readSecret("certs.acme.dns.tsig-file", c.TSIGFile)
	if err != nil {
		return nil, err
	}
	key, err := newTSIGKey(c.TSIGName, c.TSIGAlgorithm, secret)
	if err != nil {
		return nil, fmt.Errorf("certs.acme.dns.tsig-file: %s: %w", c.TSIGFile, err)
	}
	return &updater{c.Server, dotted(c.Zone), key, time.Duration(c.Propagation)}, nil
}

// dotted is a name as it stands in a message: lower case, with its last dot.
func dotted(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) + "." }

// update adds a TXT record, or removes it.
func (u *updater) update(ctx context.Context, name, text string, remove bool) error {
	name = dotted(name)
	if name != u.zone && !strings.HasSuffix(name, "."+u.zone) {
		return fmt.Errorf("%s is not in the zone %s of certs.acme.dns", name, u.zone)
	}
	message, id, err := u.message(name, text, remove)
	if err != nil {
		return err
	}
	message, mac := u.key.sign(message, time.Now())
	answer, err := exchange(ctx, u.server, message)
	if err == nil {
		err = u.key.check(answer, id, mac, time.Now())
	}
	if err != nil {
		return fmt.Errorf("the name server %s did not take the update of %s: %w", u.server, name, err)
	}
	return nil
}

func (u *updater) message(name, text string, remove bool) (message []byte, id uint16, err error) {
	var random [2]byte
	rand.Read(random[:])
	id = binary.BigEndian.Uint16(random[:])
	zone, zoneErr := dnsmessage.NewName(u.zone)
	owner, ownerErr := dnsmessage.NewName(name)
	if err := errors.Join(zoneErr, ownerErr); err != nil {
		return nil, 0, err
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, OpCode: opcodeUpdate})
	head := dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: recordTTL}
	if remove {
		head.Class, head.TTL = classNone, 0
	}
	err = errors.Join(b.StartQuestions(), b.Question(dnsmessage.Question{Name: zone, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET}),
		b.StartAuthorities(), b.TXTResource(head, dnsmessage.TXTResource{TXT: []string{text}}))
	if err != nil {
		return nil, 0, err
	}
	message, err = b.Finish()
	return message, id, err
}

// exchange sends a message by TCP, which every name server speaks (RFC 7766) and nobody can answer for another.
func exchange(ctx context.Context, server string, message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(length[:]))
	if len(answer) > maxMessage {
		return nil, fmt.Errorf("its answer of %d octets is none to an update", len(answer))
	}
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

type dnsSolver struct{ *updater }

func (s dnsSolver) Present(ctx context.Context, c acme.Challenge) error {
	return s.update(ctx, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization(), false)
}

// Wait gives the zone's other servers time to fetch it.
func (s dnsSolver) Wait(ctx context.Context, _ acme.Challenge) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.propagation):
		return nil
	}
}

// CleanUp removes the record also where the attempt was given up.
func (s dnsSolver) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	return s.update(ctx, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization(), true)
}
