package timeserver

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
)

const (
	// limiterEntries is how many networks the rate limit remembers at once, at the least, in 4 MB.
	limiterEntries = 1 << 17

	defaultBurst = 8
	defaultLeak  = 2
	maxLeak      = 4
	maxPoll      = 17 // RFC 5905 section 7.2: MAXPOLL
)

// settings are what may change while running: an immutable snapshot.
type settings struct {
	plain    bool
	prefixes *access.Prefixes
	limiter  *access.Limiter
	limit    config.TimeRateLimit // what limiter was made of
	leakMask uint32               // the random bits that are all 0 in what leaks
	kissPoll int8                 // log2 of the interval to keep, told in a RATE kiss
}

// newSettings keeps the limiter of last, if its numbers are the same: a reload forgives nobody.
func newSettings(c *config.TimeServer, last *settings) *settings {
	s := &settings{plain: c.Plain == nil || *c.Plain, prefixes: access.NewPrefixes(c.Allow, c.Deny)}
	if c.RateLimit == nil {
		return s
	}
	s.limit = *c.RateLimit
	if s.limit.Burst <= 0 {
		s.limit.Burst = defaultBurst
	}
	if s.limit.Leak <= 0 || s.limit.Leak > maxLeak {
		s.limit.Leak = defaultLeak
	}
	s.leakMask = 1<<s.limit.Leak - 1
	interval := time.Duration(s.limit.Interval)
	s.kissPoll = int8(min(max(math.Ceil(math.Log2(interval.Seconds())), 0), maxPoll))
	if last != nil && last.limiter != nil && last.limit.RateLimit == s.limit.RateLimit {
		s.limiter = last.limiter
	} else {
		s.limiter = access.NewLimiter(interval, s.limit.Burst, limiterEntries)
	}
	return s
}

// restartOnly refuses what the open sockets cannot follow.
func restartOnly(was, is *config.TimeServer) error {
	if was == nil && is == nil {
		return nil
	}
	if was == nil || is == nil {
		return errors.New("timeserver: the section came or went: restart ntptsd to open or close its sockets")
	}
	var failures []error
	refuse := func(changed bool, key string) {
		if changed {
			failures = append(failures, fmt.Errorf("timeserver.%s has changed: restart ntptsd to change it", key))
		}
	}
	refuse(!slices.Equal(was.Listen, is.Listen), "listen")
	refuse(was.Freebind != is.Freebind, "freebind")
	refuse(was.Device != is.Device, "device")
	refuse(was.Workers != is.Workers, "workers")
	return errors.Join(failures...)
}
