package frontdoor

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// maxStreamsOfConnection is how many requests of one HTTP/2 connection are served at once; a dashboard has a handful.
const (
	maxStreamsOfConnection = 32
	maxFrame               = 16 << 10 // of HTTP/2, the least that its standard allows
	headerTable            = 256      // octets of headers that are remembered, each way: a follower asks once
	maxUnread              = 64 << 10 // octets of bodies that an HTTP/2 connection may have in flight: none is longer than maxBody

	// A peer of HTTP/2 that takes nothing, or answers nothing, holds its connection no longer than this: net/http ends
	// requests by itself, but no connection.
	stalledWrite = 10 * time.Second
	silence      = time.Minute // after which it is asked for a sign of life
	signOfLife   = 15 * time.Second
)

// httpServer answers on what is handed to it.
func (p *Port) httpServer() *http.Server {
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	s := &http.Server{
		Handler:                      seen(p.contents.routes()),
		ConnContext:                  withState,
		ConnState:                    turned,
		ReadHeaderTimeout:            requestTimeout,
		ReadTimeout:                  requestTimeout,
		WriteTimeout:                 answerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true,
		Protocols:                    &both,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreamsOfConnection,
			MaxReadFrameSize:              maxFrame,
			MaxDecoderHeaderTableSize:     headerTable,
			MaxEncoderHeaderTableSize:     headerTable,
			MaxReceiveBufferPerConnection: maxUnread,
			MaxReceiveBufferPerStream:     maxUnread,
			WriteByteTimeout:              stalledWrite,
			SendPingTimeout:               silence,
			PingTimeout:                   signOfLife,
		},
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug), // peers cause these
	}
	s.RegisterOnShutdown(p.contents.end)
	return s
}

// who asks is who shows a token, else who the connection belongs to. It is asked for each request: a reload counts at once.
func (p *Port) who(r *http.Request) (api.Caller, error) {
	who, err := p.judgeRequest(r)
	if err == nil && who.Role > api.Anonymous {
		connOf(r).loggedIn()
	}
	return who, err
}

func (p *Port) judgeRequest(r *http.Request) (api.Caller, error) {
	token, err := bearer(r)
	switch {
	case err != nil:
		return api.Caller{}, err
	case token != "":
		return p.Doorkeeper.Token(remoteAddr(r), token)
	}
	j, ok := r.Context().Value(judgedKey{}).(*judged)
	if !ok {
		j = &judged{}
	}
	return j.judge(p.Doorkeeper, remoteAddr(r), r.TLS)
}

// bearer is the token that a request shows, RFC 6750 section 2.1; none: it shows nothing.
func bearer(r *http.Request) (string, error) {
	all := r.Header.Values("Authorization")
	if len(all) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(all[0], " ")
	if token = strings.Trim(token, " "); len(all) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", api.Failf(api.Unknown, "the header Authorization must be given once, as: Bearer TOKEN")
	}
	return token, nil
}

func remoteAddr(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero one is nobody's
	return a.Addr().Unmap()
}

// guard is what each request passes first. Browsers lend their user's network to any page: a page of another origin, or one
// whose name was pointed at us, gets nothing.
func (d *door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		counted := &counted{ResponseWriter: w}
		defer func() { d.metrics.request(routeOf(r), counted.status) }()
		if status, why := d.objection(r); status != 0 {
			if !d.tooFast(counted, r) {
				write(counted, status, api.Denied, why)
			}
			return
		}
		next.ServeHTTP(counted, r)
	})
}

// objection is why a request is not looked at, in words that do not depend on it.
func (d *door) objection(r *http.Request) (status int, why string) {
	switch {
	case !isClean(r.URL.Path): // which net/http would answer with a redirection as long as it
		return http.StatusNotFound, "there is no such path"
	case r.URL.RawPath != "": // for which it has another route than we see
		return http.StatusNotFound, "there is no such path: write it without escapes"
	case routeOf(r) == toHealth: // tells all the same; health checks have odd names for us
	case !d.knows(r.Host):
		return http.StatusMisdirectedRequest, "use an address, localhost or a name of the certificate in the URL"
	case !sameOrigin(r):
		return http.StatusForbidden, "pages of other origins may ask nothing"
	}
	return 0, ""
}

func isClean(p string) bool {
	clean := path.Clean(p)
	return strings.HasPrefix(p, "/") && (p == clean || p == clean+"/")
}

// knows tells whether a Host header names us: an address, localhost, or what the certificates cover. Any other name may be one
// that somebody pointed at us, for a browser to take his page for ours (DNS rebinding).
func (d *door) knows(host string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" {
		return true
	}
	if name == "" || d.names == nil {
		return false
	}
	return slices.ContainsFunc(d.names(), func(n string) bool { return covers(strings.ToLower(n), name) })
}

// hostname is the name of a Host header in lower case, without port; empty if it is malformed.
func hostname(host string) string {
	name := host
	if strings.HasPrefix(host, "[") || strings.Contains(host, ":") {
		var err error
		if name, _, err = net.SplitHostPort(host); err != nil {
			inner, found := strings.CutSuffix(host, "]")
			if !found || !strings.HasPrefix(inner, "[") {
				return ""
			}
			name = inner[1:]
		}
	}
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// covers tells whether a name of a certificate, perhaps with a wildcard as its first label, is that of a host: RFC 9525
// section 6.3.
func covers(certificate, host string) bool {
	if rest, wild := strings.CutPrefix(certificate, "*."); wild {
		first, parent, _ := strings.Cut(host, ".")
		return first != "" && parent == rest
	}
	return certificate != "" && certificate == host
}

// sameOrigin tells whether the page that asks, if one does, is ours.
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return len(origins) == 0 || len(origins) == 1 && strings.EqualFold(origins[0], scheme+r.Host)
}

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }
