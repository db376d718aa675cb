// Package acme gets certificates from an authority that speaks ACME (RFC 8555), with renewal information (RFC 9773) and profiles.
// It answers http-01 and tls-alpn-01 (RFC 8737) on sockets that it is given, and dns-01 by signed dynamic updates (RFC 2136,
// RFC 8945). What travels to the authority is left to acmez; when to renew, and whether what comes is any good, to package
// certs.
package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/config"
)

const (
	pollInterval = time.Second     // unless the authority says how often to look
	pollTimeout  = 5 * time.Minute // for one validation
	adviceAgain  = 6 * time.Hour   // RFC 9773 section 4.3.2, where the authority says nothing
	maxBundle    = 256 << 10       // octets of a chain
)

// Issuer is certs.Issuer, Adviser, Witness and Accountant for one section [certs.acme].
type Issuer struct {
	config     config.ACMECerts
	file       string // of the account
	challenges *Challenges
	dns        *updater // nil: none
	eab        *acme.EAB
	http       *http.Client
	log        *slog.Logger

	mu      sync.Mutex
	account string // what the authority calls us
}

var (
	_ certs.Issuer     = (*Issuer)(nil)
	_ certs.Adviser    = (*Issuer)(nil)
	_ certs.Witness    = (*Issuer)(nil)
	_ certs.Accountant = (*Issuer)(nil)
)

// New reads the files that the section names, and asks nobody anything yet.
func New(c *config.ACMECerts, stateDirectory, version string, challenges *Challenges, log *slog.Logger) (*Issuer, error) {
	i := &Issuer{config: *c, file: filepath.Join(stateDirectory, "certs", "acme-account.json"), challenges: challenges, log: log.With("section", "certs")}
	var failures [3]error
	i.http, failures[0] = newHTTPClient(c.CA, "ntptsd/"+version)
	if c.DNS != nil {
		i.dns, failures[1] = newUpdater(c.DNS)
	}
	if c.EABKey != "" {
		mac, err := readSecret("certs.acme.eab-mac-file", c.EABFile)
		i.eab, failures[2] = &acme.EAB{KeyID: c.EABKey, MACKey: mac}, err
	}
	if err := errors.Join(failures[:]...); err != nil {
		return nil, err
	}
	if a, err := i.loadAccount(); err == nil {
		i.account = a.Location
	}
	return i, nil
}

// Account implements certs.Accountant.
func (i *Issuer) Account() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.account
}

// client is for one attempt.
func (i *Issuer) client() *acmez.Client {
	web := *i.http
	web.Transport = newBudget(i.http.Transport)
	return &acmez.Client{
		Client: &acme.Client{Directory: i.config.Directory, HTTPClient: &web, PollInterval: pollInterval, PollTimeout: pollTimeout,
			Logger: slog.New(quiet{i.log.Handler()})},
		ChallengeSolvers: i.solvers(),
	}
}

func (i *Issuer) solvers() map[string]acmez.Solver {
	all := make(map[string]acmez.Solver)
	if i.config.Uses(config.ChallengeHTTP) {
		all[acme.ChallengeTypeHTTP01] = httpSolver{i.challenges}
	}
	if i.config.Uses(config.ChallengeALPN) {
		all[acme.ChallengeTypeTLSALPN01] = alpnSolver{i.challenges}
	}
	if i.config.Uses(config.ChallengeDNS) && i.dns != nil {
		all[acme.ChallengeTypeDNS01] = &dnsSolver{updater: i.dns}
	}
	return all
}

// Issue implements certs.Issuer. An account that the authority does not know any more is replaced once.
func (i *Issuer) Issue(ctx context.Context, order certs.Order) ([]byte, error) {
	c := i.client()
	account, err := i.openAccount(ctx, c)
	if err != nil {
		return nil, told(err)
	}
	bundle, err := i.obtain(ctx, c, account, order)
	if err != nil && i.lost(ctx, c, account, err) {
		i.log.Warn("the authority does not know our account any more, another one is made", "directory", i.config.Directory)
		if account, err = i.register(ctx, c); err == nil {
			order.Previous = nil // nor does it know that
			bundle, err = i.obtain(ctx, c, account, order)
		}
	}
	if err != nil {
		return nil, told(err)
	}
	return bundle, nil
}

// obtain tells the authority which certificate the new one replaces, unless it does not want to hear that.
func (i *Issuer) obtain(ctx context.Context, c *acmez.Client, account acme.Account, order certs.Order) ([]byte, error) {
	key, err := newKey(i.config.KeyType)
	if err != nil {
		return nil, err
	}
	csr, err := acmez.NewCSR(key, order.Names)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	params.Profile = i.config.Profile
	if dir, err := c.GetDirectory(ctx); err == nil && dir.RenewalInfo != "" && order.Previous != nil && len(order.Previous.AuthorityKeyId) > 0 {
		params.Replaces = order.Previous
	}
	chains, err := c.ObtainCertificate(ctx, params)
	if p, ok := errors.AsType[acme.Problem](err); ok && params.Replaces != nil && p.Resource == nil && p.Type != acme.ProblemTypeRateLimited {
		params.Replaces = nil
		chains, err = c.ObtainCertificate(ctx, params)
	}
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 || len(chains[0].ChainPEM) > maxBundle {
		return nil, errors.New("the authority sent no chain, or one that is too long")
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), chains[0].ChainPEM), nil
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// Advise implements certs.Adviser.
func (i *Issuer) Advise(ctx context.Context, leaf *x509.Certificate) (from, to time.Time, holds time.Duration, err error) {
	info, err := i.client().GetRenewalInfo(ctx, leaf)
	if err != nil {
		return from, to, adviceAgain, err
	}
	holds = adviceAgain
	if info.RetryAfter != nil {
		holds = time.Until(*info.RetryAfter)
	}
	return info.SuggestedWindow.Start, info.SuggestedWindow.End, holds, nil
}

// Time implements certs.Witness by what the authority's directory says in its head.
func (i *Issuer) Time(ctx context.Context) (time.Time, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.config.Directory, nil)
	if err != nil {
		return time.Time{}, err
	}
	answer, err := i.http.Do(request)
	if err != nil {
		return time.Time{}, err
	}
	answer.Body.Close()
	return http.ParseTime(answer.Header.Get("Date"))
}

// told makes of the client's chain of words what an operator needs: what the authority says, and about which name.
func told(err error) error {
	p, ok := errors.AsType[acme.Problem](err)
	if !ok {
		return err
	}
	text := "the authority says: " + strings.TrimPrefix(p.Type, acme.ProblemTypeNamespace) + ": " + p.Detail
	for _, s := range p.Subproblems[:min(len(p.Subproblems), 3)] {
		text += "; " + s.Identifier.Value + ": " + s.Detail
	}
	if a, ok := p.Resource.(acme.Authorization); ok {
		text += " (" + a.IdentifierValue() + ")"
	}
	if p.Type == acme.ProblemTypeConnection {
		text += "; it must reach this host from outside, by the name and on the port of the challenge"
	}
	return fmt.Errorf("%s", text)
}
