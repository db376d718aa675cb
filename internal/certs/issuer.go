package certs

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Issuer makes certificates. It is asked for one at a time.
type Issuer interface {
	// Issue makes a new pair as one PEM text: the private key, then the chain, leaf first. Its error is told to operators.
	Issue(ctx context.Context, order Order) (bundle []byte, err error)
}

// Order is what an Issuer is to make a pair for.
type Order struct {
	Names    []string
	Previous *x509.Certificate // which is served until then; nil: none
	Doubtful bool              // the clock is not synchronised
}

// Adviser is an Issuer that tells when a certificate should be renewed (RFC 9773).
type Adviser interface {
	// Advise gives the window in which to renew, and how long that holds.
	Advise(ctx context.Context, leaf *x509.Certificate) (from, to time.Time, holds time.Duration, err error)
}

// Witness is an Issuer that knows what time it is, over an authenticated connection.
type Witness interface {
	Time(ctx context.Context) (time.Time, error)
}

// Accountant is an Issuer that is known to its authority by an account.
type Accountant interface {
	Account() string // what the authority calls it; "": none yet
}

// Clock tells whether the time may be believed. Safe for concurrent use.
type Clock interface{ Synchronised() bool }

// Resources are what certificates that renew themselves need. The zero value does where all are files.
type Resources struct {
	Clock Clock // nil: always believed
	// ACME makes the Issuer of a section [certs.acme]; called again at each reload.
	ACME func(c *config.ACMECerts) (Issuer, error)
}

// storage is the folder in the state directory; writing into it is one at a time, for a keeper that a reload has
// replaced may still be at it.
type storage struct {
	dir    string
	mu     sync.Mutex
	frozen bool // a newer process takes over, and writes there; guarded by mu
}

// house is what all keepers share.
type house struct {
	storage *storage
	clock   Clock
	log     *slog.Logger
	changed func() // a keeper has another pair
}

func (h *house) synchronised() bool { return h.clock == nil || h.clock.Synchronised() }
