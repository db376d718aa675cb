package browser

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/web"
)

// fake is a made-up ntptsd, for what a real one on a test machine never shows: every section full, names that are too long, a
// day of history, markup where text belongs.
type fake struct {
	addr   string
	tls    *tls.Config
	bearer string

	mu       sync.Mutex
	server   *http.Server       // guarded by mu, as below
	ending   context.CancelFunc // of the streams
	links    map[string]api.Role
	sessions map[string]api.Role

	desk *desk
}

// policy is what frontdoor sends, and more: nothing that is not named is allowed.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func TestDashboardOfAMadeUpHost(t *testing.T) {
	need(t)
	f, p := newFake(t)
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	}()
	drive(t, "made-up", f, p, "Not fit to serve time", "Offset and error bound", "ntp1.example.net", "two rotations old", "hello timeout",
		"re-keys on every poll", "The next key mints", "192.0.2.0/24", "expired 3 d ago", "this-host", "selected source is", "<b>not markup</b>")
}

func newFake(t *testing.T) (*fake, papers) {
	t.Helper()
	dir := t.TempDir()
	now := time.Now()
	ca, root, err := certs.NewAuthority("made-up host", now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue(certs.ForServer, []string{"localhost", "127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	operator, err := ca.Issue(certs.ForClient, []string{"operator"}, now)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	p := papers{CA: file("ca.pem", root.Certificate), Server: file("server.pem", server.Certificate),
		Certificate: file("operator.pem", operator.Certificate), Key: file("operator.key", operator.Key)}
	pair, err := tls.X509KeyPair(server.Certificate, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return &fake{addr: free.Addr().String(), bearer: "ntptsd_" + rand.Text(), links: map[string]api.Role{}, desk: newDesk(t),
		tls: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}}, p
}

func (f *fake) URL() string    { return "https://" + f.addr + "/" }
func (f *fake) Bearer() string { return f.bearer }

func (f *fake) Link(role string) (string, error) {
	r, ok := api.ParseRole(role)
	if !ok {
		return "", fmt.Errorf("%q is no role", role)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	token := "ntptsd1_" + rand.Text()
	f.links[token] = r
	return token, nil
}

// Start also forgets who was logged in, as ntptsd does.
func (f *fake) Start() error {
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = map[string]api.Role{}
	ctx, cancel := context.WithCancel(context.Background())
	f.ending = cancel
	f.server = &http.Server{Handler: f.routes(ctx), TLSConfig: f.tls.Clone(), ReadHeaderTimeout: time.Minute}
	go f.server.ServeTLS(listener, "", "")
	return nil
}

func (f *fake) Stop() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ending()
	return f.server.Close()
}

func (f *fake) routes(ending context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", web.Handler())
	mux.HandleFunc("POST /v1/session", f.session)
	for path, answer := range map[string]func() any{
		"history":  func() any { return historyUntil(time.Now()) },
		"events":   func() any { return api.Events{Events: someEvents(time.Now())} },
		"networks": func() any { return someNetworks(time.Now()) },
	} {
		mux.HandleFunc("GET /v1/"+path, f.known(func(w http.ResponseWriter, _ *http.Request, _ api.Caller) { answerJSON(w, http.StatusOK, answer()) }))
	}
	mux.HandleFunc("GET /v1/whoami", f.known(func(w http.ResponseWriter, _ *http.Request, who api.Caller) {
		answerJSON(w, http.StatusOK, api.Identity{Name: who.Name, Role: who.Role.String()})
	}))
	mux.HandleFunc("GET /v1/{$}", f.known(func(w http.ResponseWriter, r *http.Request, _ api.Caller) { f.desk.list(w, r) }))
	mux.HandleFunc("GET /v1/", f.known(f.desk.serve))
	mux.HandleFunc("POST /v1/actions/", f.known(f.desk.serve))
	mux.HandleFunc("GET /v1/stream", f.known(func(w http.ResponseWriter, r *http.Request, _ api.Caller) { f.stream(ending, w, r) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func token(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func (f *fake) session(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	role, ok := f.links[token(r)]
	if !ok {
		answerProblem(w, http.StatusUnauthorized, api.Unknown, "it does not count")
		return
	}
	delete(f.links, token(r))
	s := "ntptsds_" + rand.Text()
	f.sessions[s] = role
	answerJSON(w, http.StatusOK, api.Session{Token: s, Name: "link", Role: role.String(), Until: time.Now().Add(time.Hour)})
}

// names are whose each role is.
var names = map[api.Role]string{api.Monitor: "screen", api.Operator: "operator <i>one</i>", api.Admin: "alice"} // never assigned again

func (f *fake) known(next func(http.ResponseWriter, *http.Request, api.Caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		shown := token(r)
		f.mu.Lock()
		role := f.sessions[shown]
		f.mu.Unlock()
		switch {
		case shown == f.bearer:
			role = api.Monitor
		case shown == "" && len(r.TLS.PeerCertificates) > 0:
			role = api.Operator
		}
		if role == api.Anonymous {
			answerProblem(w, http.StatusUnauthorized, api.Unknown, "it does not count")
			return
		}
		next(w, r, api.Caller{Name: names[role], Role: role, From: netip.MustParseAddr("192.0.2.45")})
	}
}

// stream has rubbish between its events: the page must go on.
func (f *fake) stream(ending context.Context, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	ticker := time.NewTicker(time.Second / 2)
	defer ticker.Stop()
	id := uint64(time.Now().UnixMilli())
	if after := r.Header.Get("Last-Event-ID"); after != "" {
		if _, err := strconv.ParseUint(after, 10, 64); err != nil {
			return
		}
	}
	for n := 0; ; n++ {
		id++
		b, err := json.Marshal(f.sample(n))
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "event: sample\ndata: {\"at\": nonsense\n\nevent: event\ndata: null\n\nevent: unheard\ndata: 1\n\n: still here\n\nid: %d\nevent: sample\ndata: %s\n\n", id, b)
		if n%4 == 3 {
			b, _ = json.Marshal(api.Event{ID: id, At: time.Now(), Kind: api.EventLimiter, Severity: api.Info, Text: fmt.Sprintf("live event %d", n)})
			fmt.Fprintf(w, "id: %d\nevent: event\ndata: %s\n\n", id, b)
		}
		if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
		select {
		case <-ending.Done():
			return
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

func (f *fake) sample(n int) api.Sample {
	s := someSample(time.Now(), n)
	s.Status.Targets = f.desk.Targets()
	return s
}
