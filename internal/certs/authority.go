package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	authorityYears = 10
	// LeafLife is the longest that browsers take; nothing renews these, so shorter would only mean more work.
	LeafLife = 397 * 24 * time.Hour
	// backdate lets a certificate be used by clients whose clock is a little behind: this is a time service.
	backdate = time.Hour
	// maxCommonName is ub-common-name, RFC 5280 appendix A.1; strict clients refuse longer ones.
	maxCommonName = 64
)

// Use is what a certificate is for.
type Use int

const (
	ForServer Use = iota
	ForClient
)

// Authority is a private certificate authority, as "ntptsd init" makes it.
type Authority struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain []byte // PEM: itself and what is above it but for the root, which clients have
}

// Issued is a certificate and its key, both PEM.
type Issued struct {
	Certificate []byte
	Key         []byte
}

// NewAuthority makes a root: it signs leaf certificates, and authorities that sign nothing else.
func NewAuthority(name string, now time.Time) (*Authority, Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, Issued{}, err
	}
	template := authorityTemplate(name, now, now.AddDate(authorityYears, 0, 0))
	template.MaxPathLen = 1
	issued, cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, Issued{}, err
	}
	return &Authority{cert: cert, key: key}, issued, nil
}

// ServerAuthority makes an authority below this one that can do nothing but certify servers of these names and of names below
// them (RFC 5280 section 4.2.1.10): the daemon that holds its key can be no other server, and make no operator, even if
// it falls into wrong hands.
func (a *Authority) ServerAuthority(name string, names []string, now time.Time) (Issued, error) {
	if err := a.mayDelegate(); err != nil {
		return Issued{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	template := authorityTemplate(name, now, a.cert.NotAfter)
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.PermittedDNSDomainsCritical = true
	for _, n := range names {
		if addr, err := netip.ParseAddr(n); err == nil {
			ip := net.IP(addr.Unmap().AsSlice())
			template.PermittedIPRanges = append(template.PermittedIPRanges, &net.IPNet{IP: ip, Mask: net.CIDRMask(len(ip)*8, len(ip)*8)})
		} else {
			template.PermittedDNSDomains = append(template.PermittedDNSDomains, strings.TrimPrefix(n, "*."))
		}
	}
	if len(template.PermittedDNSDomains) == 0 { // or every name would do
		template.ExcludedDNSDomains = []string{""}
	}
	if len(template.PermittedIPRanges) == 0 {
		template.ExcludedIPRanges = []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
	}
	issued, _, err := sign(template, a.cert, key, a.key)
	return issued, err
}

// ClientAuthority makes an authority below this one that can do nothing but certify clients: the daemon that holds its key
// lets people in, and can be no server.
func (a *Authority) ClientAuthority(name string, now time.Time) (Issued, error) {
	if err := a.mayDelegate(); err != nil {
		return Issued{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	template := authorityTemplate(name, now, a.cert.NotAfter)
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	issued, _, err := sign(template, a.cert, key, a.key)
	return issued, err
}

func (a *Authority) mayDelegate() error {
	if a.cert.MaxPathLenZero {
		return fmt.Errorf("%s may have no authority below it, as those of earlier versions: make another with ntptsd init", a.cert.Subject)
	}
	return nil
}

// Certifies tells whether clients or servers believe what it says of such a one.
func (a *Authority) Certifies(use Use) bool {
	usage := x509.ExtKeyUsageServerAuth
	if use == ForClient {
		usage = x509.ExtKeyUsageClientAuth
	}
	return len(a.cert.ExtKeyUsage) == 0 || slices.Contains(a.cert.ExtKeyUsage, usage) || slices.Contains(a.cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func authorityTemplate(name string, now, until time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: commonName(name)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// ParseAuthority takes the PEM of an authority: its certificate, perhaps with those above it, and its key.
func ParseAuthority(certificate, key []byte) (*Authority, error) {
	c, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key are no pair: %w", err)
	}
	signer, ok := c.PrivateKey.(crypto.Signer)
	switch {
	case !ok:
		return nil, errors.New("the key cannot sign")
	case !c.Leaf.IsCA || c.Leaf.KeyUsage != 0 && c.Leaf.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, errors.New("the first certificate is no authority's")
	}
	a := &Authority{cert: c.Leaf, key: signer}
	for _, der := range c.Certificate {
		above, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(above.RawIssuer, above.RawSubject) { // a root is with the clients
			a.chain = append(a.chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
	}
	return a, nil
}

// Issue makes a leaf certificate for LeafLife. The names are DNS names or addresses; the first one is the subject's common name.
func (a *Authority) Issue(use Use, names []string, now time.Time) (Issued, error) {
	return a.IssueFor(use, names, now.Add(-backdate), now.Add(LeafLife))
}

// IssueFor makes a leaf certificate that is good from one moment until another, but not longer than the authority itself.
func (a *Authority) IssueFor(use Use, names []string, from, until time.Time) (Issued, error) {
	if len(names) == 0 {
		return Issued{}, fmt.Errorf("certs: a certificate needs a name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: commonName(names[0])},
		NotBefore:             from,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if use == ForClient {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, n := range names {
		if addr, err := netip.ParseAddr(n); err == nil {
			template.IPAddresses = append(template.IPAddresses, net.IP(addr.Unmap().AsSlice()))
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	issued, _, err := sign(template, a.cert, key, a.key)
	issued.Certificate = slices.Concat(issued.Certificate, a.chain)
	return issued, err
}

func sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey, signer crypto.Signer) (Issued, *x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return Issued{}, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Issued{}, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Issued{}, nil, err
	}
	return Issued{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, cert, nil
}

// commonName is for people's eyes; clients look at the alternative names.
func commonName(s string) string { return s[:min(len(s), maxCommonName)] }

// newSerial is 127 random bits and positive, RFC 5280 section 4.1.2.2.
func newSerial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}
