package acme

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	lookEvery   = 2 * time.Second
	lookTimeout = 5 * time.Second // for one server's answer
	maxServers  = 16              // addresses of name servers that are asked; a zone has two to eight
)

// everywhere tells whether each name server of the zone has the record. Where that cannot be told, it is not.
func (u *updater) everywhere(ctx context.Context, name, text string) bool {
	servers := u.servers(ctx)
	return len(servers) > 0 && !slices.ContainsFunc(servers, func(server string) bool { return !has(ctx, server, name, text) })
}

// servers are the addresses of the zone's name servers, as the primary tells them and, where it does not, the system's resolver.
func (u *updater) servers(ctx context.Context) (addresses []string) {
	answer, err := lookFor(ctx, u.server, u.zone, dns.TypeNS)
	if err != nil {
		return nil
	}
	for _, r := range answer.Answer {
		ns, ok := r.(*dns.NS)
		if !ok {
			continue
		}
		known := glue(answer.Extra, ns.Ns)
		if len(known) == 0 {
			known, err = net.DefaultResolver.LookupHost(ctx, strings.TrimSuffix(ns.Ns, "."))
			if err != nil {
				return nil // a server that is not known may be the one that is asked
			}
		}
		for _, a := range known {
			addresses = append(addresses, net.JoinHostPort(a, u.port))
		}
	}
	return addresses[:min(len(addresses), maxServers)]
}

// glue are the addresses of a name that stand beside an answer.
func glue(extra []dns.RR, name string) (addresses []string) {
	for _, r := range extra {
		if !strings.EqualFold(r.Header().Name, name) {
			continue
		}
		switch a := r.(type) {
		case *dns.A:
			addresses = append(addresses, a.A.String())
		case *dns.AAAA:
			addresses = append(addresses, a.AAAA.String())
		}
	}
	return addresses
}

func has(ctx context.Context, server, name, text string) bool {
	answer, err := lookFor(ctx, server, name, dns.TypeTXT)
	return err == nil && slices.ContainsFunc(answer.Answer, func(r dns.RR) bool {
		txt, ok := r.(*dns.TXT)
		return ok && strings.Join(txt.Txt, "") == text
	})
}

func lookFor(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	m.RecursionDesired = false
	return ask(ctx, server, m, nil)
}
