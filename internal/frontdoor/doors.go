package frontdoor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Doorkeeper tells who asks. Safe for concurrent use.
type Doorkeeper interface {
	// Connection is who has shown no more than a connection and perhaps a certificate (state nil: no TLS). A certificate that
	// does not count is an error of kind api.Unknown.
	Connection(remote netip.Addr, state *tls.ConnectionState) (api.Caller, error)
	// Token is who shows a bearer token. Errors: api.Unknown, api.TooMany.
	Token(remote netip.Addr, token string) (api.Caller, error)
	// Redeem exchanges a one-time token for a session's.
	Redeem(remote netip.Addr, once string) (api.Session, error)
	// Leave ends the session that the caller came by, if it was one.
	Leave(who api.Caller)
	// Still tells whether what the caller showed still counts: it did not end and no reload took it away.
	Still(who api.Caller) bool
	// ClientCertificates says whether TLS asks for certificates, and of which authorities.
	ClientCertificates() (tls.ClientAuthType, *x509.CertPool)
}

// Stream is the events and samples of monitoring. Safe for concurrent use. Next waits until there are items with an id above
// after and returns them, oldest first, a bounded number; after 0 means the newest sample at once, then what comes. It waits
// for no reader: what one missed is gone.
type Stream interface {
	Next(ctx context.Context, after uint64) ([]api.Item, error)
}

// Health is what /readyz and /fit say. Safe for concurrent use.
type Health interface {
	Ready() []string // what is not ready; none: ready
	Fit() api.Fit
}

// Protocol serves one connection that negotiated it, until it ends or ctx does. A conn with a method LoggedIn belongs to a
// stranger, and is ended soon unless that is called: with the log-in.
type Protocol interface {
	Serve(ctx context.Context, conn net.Conn, who api.Caller)
}

// Slots bound the connections, in all and by network. Each that Acquire gave is given back by one Release. Safe for
// concurrent use.
type Slots interface {
	Acquire(netip.Addr) error
	Release(netip.Addr)
}

// Certificates chooses a certificate for a client. Safe for concurrent use.
type Certificates interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}
