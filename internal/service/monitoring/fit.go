package monitoring

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// fitLimits are the configuration's, or the defaults where nothing is served on a port.
func fitLimits(cfg *config.Config) *config.Fit {
	if cfg.Monitoring == nil {
		return new(config.DefaultFit())
	}
	return new(cfg.Monitoring.Fit)
}

// Fit is whether this host should serve time at all: what withdraws a route or a name asks it. Safe for concurrent use.
func (s *Service) Fit() api.Fit {
	return s.drained(judge(s.Clock.Tracking(), s.Clock.Why(), s.KeyExchange.Targets(), s.limits.Load()))
}

// judge is pure: by leap, stratum, error bound and age, and by what an operator has drained.
func judge(t api.Tracking, why string, targets []api.Target, l *config.Fit) api.Fit {
	reasons := []string{}
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	age, bound := seconds(t.AgeSeconds), seconds(t.ErrorBoundSeconds)
	switch {
	case why != "":
		add("the clock is not synchronised: %s", why)
	case !t.Synchronised || t.Leap == api.LeapUnsynchronised:
		add("the clock is not synchronised")
	default:
		if t.Stratum > l.MaxStratum {
			add("stratum %d is more than monitoring.fit.max-stratum, %d", t.Stratum, l.MaxStratum)
		}
		if most := time.Duration(l.MaxErrorBound); bound > most {
			add("the clock may be %v off, more than monitoring.fit.max-error-bound, %v", bound, most)
		}
	}
	if most := time.Duration(l.MaxAge); age > most {
		add("the clock was last read %v ago, more than monitoring.fit.max-age, %v", age.Round(time.Second), most)
	}
	for _, target := range targets {
		if strings.HasPrefix(target.ID, api.ThisHost) && target.Draining {
			add("this host drains: ntptsctl targets undrain %s ends that", target.ID)
		}
	}
	return api.Fit{Fit: len(reasons) == 0, Reasons: reasons}
}

// seconds is a Duration, as far as one goes: a daemon may say anything.
func seconds(s float64) time.Duration {
	const most = 1e9
	if !(s < most) { // not a number, too
		s = most
	}
	return time.Duration(math.Round(max(s, 0) * float64(time.Second)))
}

// Ready is what is missing before clients can be served; nothing: all is there. Safe for concurrent use.
func (s *Service) Ready() (missing []string) {
	if s.Draining != nil && s.Draining() {
		missing = append(missing, drainReason)
	}
	for _, r := range s.Rings.View() {
		if len(r.Keys) == 0 {
			missing = append(missing, fmt.Sprintf("ring %s has no key: %s", r.Name, r.Problem))
		}
	}
	if s.Clock.Tracking().Source == "" {
		missing = append(missing, "the clock was not read yet: "+s.Clock.Problem())
	}
	return missing
}
