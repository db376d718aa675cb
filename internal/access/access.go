package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
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
	bans     *Bans
	metrics  metrics
	clock    Clock // nil: the system's

	mu      sync.Mutex                                             // guards all below, and who stores to policy
	base    *policy                                                // of the configuration alone
	granted *granted                                               // what commands have let in and shut out
	used    map[string]*atomic.Int64                               // when each login was used last, Unix time; 0: never
	unsaved bool                                                   // granted is newer than its file
	frozen  bool                                                   // a newer process takes over, and writes it
	path    string                                                 // of the file; empty: none
	write   func(path string, data []byte, mode fs.FileMode) error // nil: the disk's
}

// New reads the policy, and the file of the authorities; nothing is known, or kept, of what commands let in and shut out.
func New(cfg *config.Config) (*Access, error) { return newAccess(cfg, "", &granted{}) }

func newAccess(cfg *config.Config, path string, g *granted) (*Access, error) {
	a := &Access{sessions: newSessions(), failures: NewLimiter(failEvery, failBurst, failEntries), bans: newBans(), granted: g, path: path}
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
	return func() {
		a.mu.Lock()
		a.base = p
		a.publish()
		a.mu.Unlock()
		a.bans.configure(cfg.Access.Bans)
	}, nil
}

// Bans are the networks that are refused, by whoever is given them.
func (a *Access) Bans() *Bans { return a.bans }

// Admits tells whether an address may connect at all.
func (a *Access) Admits(remote netip.Addr) bool {
	if a.bans.Banned(remote) {
		a.bans.counts.Add(1)
		return false
	}
	return a.policy.Load().admitted.Allowed(remote)
}

// errBanned is for those whose connection is older than the ban.
func errBanned() error { return api.Failf(api.Unknown, "your network is banned here") }

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
	if a.bans.Banned(remote) {
		return api.Caller{Name: "a stranger"}, errBanned()
	}
	if state != nil && len(state.PeerCertificates) > 0 {
		who, err := p.certificate(state.PeerCertificates, a.moment())
		return who, a.judged(byCertificate, remote, err)
	}
	if remote.Unmap().IsLoopback() {
		return p.here.caller(time.Time{}), nil
	}
	return api.Caller{Name: "a stranger"}, nil
}

// Token is who shows a bearer token or a session's. A good one always counts, whoever else fails from the same network.
func (a *Access) Token(remote netip.Addr, token string) (api.Caller, error) {
	if a.bans.Banned(remote) {
		return api.Caller{}, errBanned()
	}
	if strings.HasPrefix(token, sessionPrefix) {
		who, err := a.session(remote, token)
		return who, a.judged(bySession, remote, err)
	}
	who, err := a.policy.Load().token(remote.Unmap(), token, a.moment().now)
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
	if !who.Until.IsZero() && !a.moment().now.Before(who.Until) || who.From.IsValid() && (a.bans.Banned(who.From) || !a.policy.Load().admitted.Allowed(who.From)) {
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

// saveEvery is how often it is tried to write what could not be written.
const saveEvery = time.Minute

// Run lets bans end, and writes what could not be written, until ctx is done. All else is done when it is asked for.
func (a *Access) Run(ctx context.Context) error {
	var bans sync.WaitGroup
	bans.Go(func() { a.bans.run(ctx) })
	defer bans.Wait()
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			a.saveAgain()
			return nil
		case <-ticker.C:
			a.saveAgain()
		}
	}
}
