package frontdoor

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"
)

// noted counts the tickets that a client is given.
type noted struct {
	tls.ClientSessionCache
	tickets int
}

func (n *noted) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		n.tickets++
	}
	n.ClientSessionCache.Put(key, s)
}

// Without tickets no session is resumed and no data comes early (0-RTT): a change cannot be replayed by who recorded it, and a
// certificate is judged at each connection.
func TestNoTickets(t *testing.T) {
	s := servePort(t, nil)
	certificate := issue(t, "alice")
	cache := &noted{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for range 2 {
		config := s.client(&certificate)
		config.ClientSessionCache = cache
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
		response, err := (&http.Client{Transport: transport}).Get("https://" + s.tls + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		transport.CloseIdleConnections()
		if response.TLS.DidResume || response.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%+v", response.TLS)
		}
	}
	if cache.tickets > 0 {
		t.Errorf("%d tickets", cache.tickets)
	}
}
