package frontdoor

import (
	"io"
	"net/http"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

const textMedia = "text/plain; charset=utf-8"

func (c *contents) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", textMedia)
	_, _ = io.WriteString(w, "ok\n")
}

func (c *contents) readyz(w http.ResponseWriter, r *http.Request) {
	reasons := c.Health.Ready()
	c.health(w, "ready", len(reasons) == 0, c.confided(r, "status", reasons))
}

func (c *contents) fit(w http.ResponseWriter, r *http.Request) {
	f := c.Health.Fit()
	f.Reasons = c.confided(r, "fit", f.Reasons)
	if !strings.Contains(r.Header.Get("Accept"), jsonMedia) {
		c.health(w, "fit", f.Fit, f.Reasons)
		return
	}
	b, err := encode(f)
	if err != nil {
		problem(w, err)
		return
	}
	w.Header().Set("Content-Type", jsonMedia)
	w.WriteHeader(healthStatus(f.Fit))
	_, _ = w.Write(b)
}

// confided are the reasons for those who may read them as a command, else none. A health check whose token has ended must not
// take a good server out of service: it is nobody.
func (c *contents) confided(r *http.Request, command string, reasons []string) []string {
	if c.door != nil && !(c.door.knows(r.Host) && sameOrigin(r)) {
		return []string{}
	}
	who, err := c.asks(r)
	if err != nil || (api.Declaration{Name: command, Role: api.Monitor}).Permit(who) != nil || reasons == nil {
		return []string{}
	}
	return reasons
}

func (c *contents) health(w http.ResponseWriter, word string, well bool, reasons []string) {
	w.Header().Set("Content-Type", textMedia)
	w.WriteHeader(healthStatus(well))
	if !well {
		word = "not " + word
	}
	_, _ = io.WriteString(w, strings.Join(append([]string{word}, reasons...), "\n")+"\n")
}

func healthStatus(well bool) int {
	if well {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}
