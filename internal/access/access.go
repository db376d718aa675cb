package access

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

const (
	// maxCAFile is far more than the authorities that anybody trusts.
	maxCAFile = 1 << 20

	// Log-ins that fail, by network: one in failEvery in the long run, failBurst at once. Who fails more often is told to wait.
	failEvery   = 5 * time.Second
	failBurst   = 10
	failEntries = 4096
)

// Access says who may what on the services port. A reload changes it for who is logged in, too. Safe for concurrent use.
type Access struct {
	policy   atomic.Pointer[policy]
	sessions *sessions
	failures *Limiter
	metrics  metrics
}

// policy is what a configuration says. Immutable, but for what it remembers of certificates.
type policy struct {
	admitted *Prefixes
	clients  *x509.CertPool     // nil: fingerprints alone
	here     login              // who has shown nothing, but comes from this host
	certs    []certificateLogin // by name
	tokens   []tokenLogin       // by name
	logins   map[string]*login  // all of them by id

	verified
}

// login is somebody whom the policy knows.
type login struct {
	id    string // what api.Caller.Login says: all that must be as it was for a caller to stay
	name  string
	role  api.Role
	only  []string
	until time.Time // zero: what is shown says when it ends
}

type certificateLogin struct {
	login
	san         string
	fingerprint string // lower-case hexadecimal
}

type tokenLogin struct {
	login
	hash [sha256.Size]byte
	from *Prefixes
}

// New reads the policy, and the file of the authorities.
func New(cfg *config.Config) (*Access, error) {
	a := &Access{sessions: newSessions(), failures: NewLimiter(failEvery, failBurst, failEntries)}
	commit, err := a.Prepare(cfg)
	if err != nil {
		return nil, err
	}
	commit()
	return a, nil
}

// Prepare reads the policy of a new configuration. Who is not in it any more is logged out by the commit.
func (a *Access) Prepare(cfg *config.Config) (commit func(), err error) {
	p, err := newPolicy(&cfg.Access)
	if err != nil {
		return nil, err
	}
	return func() { a.policy.Store(p) }, nil
}

func newPolicy(c *config.Access) (*policy, error) {
	p := &policy{admitted: NewPrefixes(c.Allow, c.Deny), logins: make(map[string]*login)}
	var errs []error
	if c.ClientCA != "" {
		pool, err := readAuthorities(c.ClientCA)
		p.clients = pool
		errs = append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
		l, err := newCertificate(name, c.Certificates[name])
		p.certs, errs = append(p.certs, l), append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		l, err := newTokenLogin(name, c.Tokens[name])
		p.tokens, errs = append(p.tokens, l), append(errs, err)
	}
	p.here = login{name: "somebody on this host"}
	if role, _ := api.ParseRole(c.Loopback); role > api.Anonymous {
		p.here.role, p.here.id = role, "loopback/"+role.String()
	}
	for i := range p.certs {
		p.logins[p.certs[i].id] = &p.certs[i].login
	}
	for i := range p.tokens {
		p.logins[p.tokens[i].id] = &p.tokens[i].login
	}
	p.logins[p.here.id] = &p.here
	return p, errors.Join(errs...)
}

func newCertificate(name string, c config.CertificateLogin) (certificateLogin, error) {
	l, err := newLogin("certificate", name, c.Role, c.Only)
	fingerprint := strings.ToLower(strings.ReplaceAll(c.Fingerprint, ":", ""))
	l.id += "/" + c.SAN + fingerprint
	return certificateLogin{l, c.SAN, fingerprint}, err
}

func newTokenLogin(name string, c config.TokenLogin) (tokenLogin, error) {
	l, err := newLogin("token", name, c.Role, c.Only)
	t := tokenLogin{login: l, from: NewPrefixes(c.From, nil)}
	hash, bad := hex.DecodeString(c.Hash)
	if bad != nil || len(hash) != sha256.Size {
		err = errors.Join(err, fmt.Errorf("access.token.%s.hash: must be 64 hexadecimal digits", name))
	}
	copy(t.hash[:], hash)
	t.until = time.Time(c.Expires)
	t.id += "/" + hex.EncodeToString(t.hash[:])
	return t, err
}

// newLogin checks the words that only the table of commands knows.
func newLogin(kind, name, role string, only []string) (login, error) {
	r, ok := api.ParseRole(role)
	if !ok || r == api.Anonymous {
		return login{}, fmt.Errorf("access.%s.%s.role: must be monitor, operator or admin", kind, name)
	}
	known := []string{api.DoorMetrics, api.DoorStream, api.DoorMode6, api.DoorCmdmon}
	for _, c := range api.Commands() {
		known = append(known, c.Declaration().Name)
	}
	for _, word := range only {
		if !slices.Contains(known, word) {
			return login{}, fmt.Errorf("access.%s.%s.only: there is no %q; what there is: %s", kind, name, word, strings.Join(known, ", "))
		}
	}
	id := kind + "/" + name + "/" + r.String()
	if only != nil {
		id += fmt.Sprintf("/%q", only)
	}
	return login{id: id, name: kind + " " + name, role: r, only: only}, nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("access.client-ca: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxCAFile {
		return nil, fmt.Errorf("access.client-ca: %s: must be a file of at most %d octets", path, maxCAFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("access.client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("access.client-ca: %s has no certificate in PEM", path)
	}
	return pool, nil
}

// Admits tells whether an address may connect at all.
func (a *Access) Admits(remote netip.Addr) bool { return a.policy.Load().admitted.Allowed(remote) }

// ClientCertificates says whether TLS asks for certificates. Never of which authorities: strangers would learn their names.
// They are judged by Connection: a handshake cannot say what is wrong.
func (a *Access) ClientCertificates() (tls.ClientAuthType, *x509.CertPool) {
	if len(a.policy.Load().certs) == 0 {
		return tls.NoClientCert, nil
	}
	return tls.RequestClientCert, nil
}

// Connection is who has shown no more than a connection and perhaps a certificate.
func (a *Access) Connection(remote netip.Addr, state *tls.ConnectionState) (api.Caller, error) {
	p := a.policy.Load()
	if state != nil && len(state.PeerCertificates) > 0 {
		who, err := p.certificate(state.PeerCertificates, time.Now())
		return who, a.judged(byCertificate, remote, err)
	}
	if remote.Unmap().IsLoopback() {
		return p.here.caller(time.Time{}), nil
	}
	return api.Caller{Name: "a stranger"}, nil
}

// Token is who shows a bearer token or a session's. A good one always counts, whoever else fails from the same network.
func (a *Access) Token(remote netip.Addr, token string) (api.Caller, error) {
	if strings.HasPrefix(token, sessionPrefix) {
		who, err := a.session(token)
		return who, a.judged(bySession, remote, err)
	}
	who, err := a.policy.Load().token(remote.Unmap(), token, time.Now())
	return who, a.judged(byToken, remote, err)
}

// judged counts a log-in, and turns the failures of those who fail too often into TooMany.
func (a *Access) judged(m method, remote netip.Addr, err error) error {
	switch {
	case err == nil:
		a.metrics.count(m, letIn)
	case !a.failures.Allow(remote, time.Now()):
		a.metrics.count(m, limited)
		return api.Failf(api.TooMany, "too many log-ins from your network failed; wait a while")
	default:
		a.metrics.count(m, reason(err))
	}
	return err
}

func reason(err error) result {
	if _, ok := errors.AsType[ended](err); ok {
		return expired
	}
	return refused
}

// Still tells whether what the caller showed still counts: it has not ended, and no reload took it away or changed its role.
func (a *Access) Still(who api.Caller) bool {
	if !who.Until.IsZero() && !time.Now().Before(who.Until) {
		return false
	}
	if who.Login == "" {
		return true
	}
	if of, ok := a.sessions.origin(who.Login); ok {
		return a.Still(of) // who is no session: see Link
	}
	return a.policy.Load().knows(who)
}

// Run makes a daemon.Service of it, for the sake of Prepare: what it does, it does when it is asked.
func (a *Access) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
