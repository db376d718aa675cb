package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

const (
	authorityYears = 10
	// leafLife is the longest that browsers take; nothing renews these, so shorter would only mean more work.
	leafLife = 397 * 24 * time.Hour
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
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issued is a certificate and its key, both PEM.
type Issued struct {
	Certificate []byte
	Key         []byte
}

// NewAuthority makes an authority that may sign leaf certificates only.
func NewAuthority(name string, now time.Time) (*Authority, Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, Issued{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: commonName(name)},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	issued, cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, Issued{}, err
	}
	return &Authority{cert, key}, issued, nil
}

// Issue makes a leaf certificate. The names are DNS names or addresses; the first one is the subject's common name.
func (a *Authority) Issue(use Use, names []string, now time.Time) (Issued, error) {
	if len(names) == 0 {
		return Issued{}, fmt.Errorf("certs: a certificate needs a name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: commonName(names[0])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(leafLife),
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
	return issued, err
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (Issued, *x509.Certificate, error) {
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
