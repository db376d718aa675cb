package keyexchange

import (
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
)

// limiterEntries is how many networks the rate limit remembers: 300 KiB, whoever comes.
const limiterEntries = 1 << 14

// settings is the configuration in the form that exchanges use. Immutable but for the limiter's table.
type settings struct {
	prefixes  *access.Prefixes
	limiter   *access.Limiter
	rateLimit config.RateLimit // what limiter was made of

	maxMessage                        int
	helloTime, requestTime, totalTime time.Duration // all since the connection was accepted

	legacyGCMSIV bool
}

// newSettings keeps the limiter of the old settings (nil at start) if its limit did not change, so that a reload forgives nobody.
func newSettings(k *config.KeyExchange, old *settings) *settings {
	s := &settings{
		prefixes:     access.NewPrefixes(k.Allow, k.Deny),
		maxMessage:   k.MaxMessage,
		totalTime:    time.Duration(k.TotalTimeout),
		legacyGCMSIV: k.LegacyGCMSIV,
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
	return s
}
