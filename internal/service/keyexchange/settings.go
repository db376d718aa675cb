package keyexchange

import (
	"fmt"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
)

// limiterEntries is how many networks the rate limit remembers: 300 KiB, whoever comes.
const limiterEntries = 1 << 14

// everyAEAD is what is offered unless configured; the ring's dialect may carry fewer.
var everyAEAD = [...]aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512, aead.AES128GCMSIV}

// settings is the configuration in the form that exchanges use. Immutable but for the limiter's table.
type settings struct {
	prefixes  *access.Prefixes
	limiter   *access.Limiter
	rateLimit config.RateLimit // what limiter was made of

	maxMessage                        int
	helloTime, requestTime, totalTime time.Duration // all since the connection was accepted

	aeads        []aead.ID
	legacyGCMSIV bool
	server       string // of time, if not told otherwise this machine
	port         uint16 // of time, 0: the usual one
}

// newSettings keeps the limiter of the old settings (nil at start) if its limit did not change, so that a reload forgives nobody.
func newSettings(k *config.KeyExchange, old *settings) (*settings, error) {
	s := &settings{
		prefixes:     access.NewPrefixes(k.Allow, k.Deny),
		maxMessage:   k.MaxMessage,
		totalTime:    time.Duration(k.TotalTimeout),
		legacyGCMSIV: k.LegacyGCMSIV,
		server:       k.NTPServer,
		port:         k.NTPPort,
	}
	s.requestTime = min(time.Duration(k.RequestTimeout), s.totalTime)
	s.helloTime = min(time.Duration(k.HelloTimeout), s.requestTime)
	if k.RateLimit != nil {
		s.rateLimit = *k.RateLimit
	}
	if old != nil && old.rateLimit == s.rateLimit {
		s.limiter = old.limiter
	} else {
		s.limiter = access.NewLimiter(time.Duration(s.rateLimit.Interval), s.rateLimit.Burst, limiterEntries)
	}
	for _, n := range k.AEADs {
		id := aead.ID(n)
		if !id.Known() {
			return nil, fmt.Errorf("keyexchange.aeads: %d is unknown; use 15, 16, 17, 30", n)
		}
		s.aeads = append(s.aeads, id)
	}
	if len(s.aeads) == 0 {
		s.aeads = everyAEAD[:]
	}
	return s, nil
}
