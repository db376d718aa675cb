package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// proofTimeout bounds the handshake with ourselves, which takes a millisecond.
const proofTimeout = 10 * time.Second

// prove lets the pair serve a client of our own in memory, and tells what that client has against it: whether the key signs,
// the chain holds together and has all the names, at that moment. Which roots clients trust we cannot know, so the last
// certificate of the chain is believed. Without names only the handshake counts.
func prove(p *pair, want []string, at time.Time) error {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	deadline := time.Now().Add(proofTimeout)
	near.SetDeadline(deadline)
	far.SetDeadline(deadline)
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{*p.certificate}, MinVersion: tls.VersionTLS13,
		NextProtos: []string{ntske.ALPN}, SessionTicketsDisabled: true})
	served := make(chan error, 1)
	go func() { served <- server.Handshake() }()
	client := tls.Client(near, &tls.Config{
		InsecureSkipVerify: true, // judged below, by each of the names; a refusal in between could find the pipe full from both ends
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{ntske.ALPN},
	})
	err := client.Handshake()
	far.Close()
	if err := cmp.Or(err, <-served); err != nil {
		return err
	}
	state := client.ConnectionState()
	if state.NegotiatedProtocol != ntske.ALPN {
		return errors.New("the protocol was not agreed on")
	}
	return judge(state.PeerCertificates, want, at)
}

func judge(chain []*x509.Certificate, want []string, at time.Time) error {
	if len(want) == 0 {
		return nil
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, n := range want {
		if !hasName(chain[0], n) {
			return x509.HostnameError{Certificate: chain[0], Host: n}
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

// hasName tells whether the certificate has the name, which may be a wildcard, or an address.
func hasName(leaf *x509.Certificate, n string) bool {
	if parent, wild := strings.CutPrefix(n, "*."); wild {
		n = "any." + parent // x509 takes no wildcard for a host
	}
	return leaf.VerifyHostname(n) == nil
}
