package acme

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"github.com/ntptsd/ntptsd/internal/config"
)

const (
	recordTTL     = 60
	tsigFudge     = 300 // seconds that the clocks may differ, RFC 8945 section 10
	updateTimeout = 20 * time.Second
	cleanTimeout  = 30 * time.Second // of all records
)

// updater writes TXT records into one zone, by dynamic updates (RFC 2136) that are signed (RFC 8945).
type updater struct {
	server, zone   string
	key, algorithm string
	secret         string
	propagation    time.Duration
	port           string // of the zone's other servers
}

func newUpdater(c *config.DNSUpdate) (*updater, error) {
	secret, err := readSecret("certs.acme.dns.tsig-file", c.TSIGFile)
	if err != nil {
		return nil, err
	}
	if _, err := base64.StdEncoding.DecodeString(secret); err != nil {
		return nil, fmt.Errorf("certs.acme.dns.tsig-file: %s: the secret must be base64", c.TSIGFile)
	}
	return &updater{server: c.Server, zone: dns.CanonicalName(c.Zone), key: dns.CanonicalName(c.TSIGName), algorithm: dns.Fqdn(c.TSIGAlgorithm),
		secret: secret, propagation: time.Duration(c.Propagation), port: "53"}, nil
}

// update adds a TXT record, or removes it.
func (u *updater) update(ctx context.Context, name, text string, remove bool) error {
	name = dns.CanonicalName(name)
	if !dns.IsSubDomain(u.zone, name) {
		return fmt.Errorf("%s is not in the zone %s of certs.acme.dns", name, u.zone)
	}
	record := &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL}, Txt: []string{text}}
	m := new(dns.Msg).SetUpdate(u.zone)
	if remove {
		m.Remove([]dns.RR{record})
	} else {
		m.Insert([]dns.RR{record})
	}
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	if err := u.sendUpdate(ctx, m); err != nil {
		return fmt.Errorf("the name server %s did not take the update of %s: %w", u.server, name, err)
	}
	return nil
}

// sendUpdate believes a signed answer alone: anybody on the way could say yes.
func (u *updater) sendUpdate(ctx context.Context, m *dns.Msg) error {
	m.SetTsig(u.key, u.algorithm, tsigFudge, time.Now().Unix())
	answer, err := ask(ctx, u.server, m, map[string]string{u.key: u.secret})
	switch {
	case errors.Is(err, dns.ErrTime):
		return errors.New("its answer is of another time: compare the clocks of the two machines")
	case errors.Is(err, dns.ErrSig), errors.Is(err, dns.ErrSecret), errors.Is(err, dns.ErrKeyAlg):
		return errors.New("its answer is not signed with our key")
	case err != nil:
		return err
	case answer.Opcode != dns.OpcodeUpdate || !answer.Response:
		return errors.New("its answer is none to an update")
	case answer.Rcode != dns.RcodeSuccess:
		return errors.New(refusal(answer))
	case answer.IsTsig() == nil:
		return errors.New("its answer is not signed")
	}
	return nil
}

// refusal is what a name server's code means, and what to do.
func refusal(answer *dns.Msg) string {
	code := answer.Rcode
	if t := answer.IsTsig(); t != nil && t.Error != dns.RcodeSuccess {
		code = int(t.Error)
	}
	name := dns.RcodeToString[code]
	switch code {
	case dns.RcodeBadTime:
		return name + ": compare the clocks of the two machines"
	case dns.RcodeBadKey, dns.RcodeBadSig, dns.RcodeNotAuth:
		return name + ": the server must know tsig-name with this secret and algorithm, and be the primary of the zone"
	case dns.RcodeRefused:
		return name + ": the server's policy must let this key update TXT records of that name"
	case dns.RcodeNotZone:
		return name + ": zone must be the zone that the name is in"
	}
	if name == "" {
		name = fmt.Sprint("code ", code)
	}
	return name
}

// ask sends a message by TCP, which every name server speaks (RFC 7766) and nobody can answer for another.
func ask(ctx context.Context, server string, m *dns.Msg, secrets map[string]string) (*dns.Msg, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := dns.Client{TsigSecret: secrets, Timeout: updateTimeout}
	answer, _, err := c.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn})
	return answer, err
}

// dnsSolver is for one attempt, and belongs to its goroutine.
type dnsSolver struct {
	*updater
	presented time.Time // the last record
	cleanBy   time.Time // when all records must be gone, or stay; zero: none was to go yet
}

func (s *dnsSolver) Present(ctx context.Context, c acme.Challenge) error {
	err := s.update(ctx, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization(), false)
	s.presented, s.cleanBy = time.Now(), time.Time{}
	return err
}

// Wait gives the zone's other servers time to fetch the record: until all have it, or propagation is over. That counts from the last
// record, and so once for all names: a server that cannot be reached from here costs an attempt no more than that.
func (s *dnsSolver) Wait(ctx context.Context, c acme.Challenge) error {
	enough, cancel := context.WithDeadline(ctx, s.presented.Add(s.propagation))
	defer cancel()
	for !s.everywhere(enough, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization()) {
		select {
		case <-enough.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
	return nil
}

// CleanUp removes the record also where the attempt was given up. A name server that is gone costs no more time for many names.
func (s *dnsSolver) CleanUp(ctx context.Context, c acme.Challenge) error {
	if s.cleanBy.IsZero() {
		s.cleanBy = time.Now().Add(cleanTimeout)
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), s.cleanBy)
	defer cancel()
	return s.update(ctx, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization(), true)
}
