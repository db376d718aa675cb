package monitoring

import "github.com/ntptsd/ntptsd/internal/api"

// drainReason is told instead of all that may be wrong besides: somebody wants it so.
const drainReason = "an operator drains this host: ntptsctl undrain ends that"

// drained is a judgement, unless an operator drains this host: then it is not fit, however good its clock.
func (s *Service) drained(f api.Fit) api.Fit {
	if s.Draining == nil || !s.Draining() {
		return f
	}
	return api.Fit{Reasons: append([]string{drainReason}, f.Reasons...)}
}
