package frontdoor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// always is a role for every connection.
func always(r api.Role) func(net.Conn) api.Caller {
	return func(net.Conn) api.Caller { return api.Caller{Role: r, Name: "tester"} }
}

func answers() prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer", Help: "An answer."}, func() float64 { return 42 }))
	return registry
}

// start runs a Server until the test ends, and expects it to end well.
func start(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

// serve runs a Server on a unix socket until the test ends.
func serve(t *testing.T, role func(net.Conn) api.Caller, table *api.Table) *http.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	start(t, New(l, answers(), table, role, quiet()))
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// do asks and returns the answer with its body.
func do(t *testing.T, c *http.Client, method, path, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, "http://ntptsd"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(b)
}

func TestAnswers(t *testing.T) {
	client := serve(t, always(api.Monitor), testTable(t))
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/metrics", 200, "answer 42\n"},
		{"POST", "/metrics", 405, ""},
		{"POST", "/healthz", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/metrics/", 404, ""},
		{"GET", "/v1/", 200, `{"name":"say","url":"/v1/say","role":"monitor","changes":false,"inverse":"","urgent":false,"summary":"say it again",` +
			`"args":[{"name":"word","summary":"what to say","number":false,"flag":false,"secret":false},{"name":"times","summary":"how often","number":true,"flag":false,"secret":false}]}`},
		{"GET", "/v1/say?word=hello&times=2", 200, `{"said":["hello","hello"]}` + "\n"},
		{"HEAD", "/v1/say?word=hello", 200, ""},
		{"POST", "/v1/", 404, `"code":"not-found"`},
	} {
		response, body := do(t, client, c.method, c.path, "")
		if response.StatusCode != c.status || !strings.Contains(body, c.body) || c.method == "HEAD" && body != "" {
			t.Errorf("%s %s: %d %q; want %d with %q", c.method, c.path, response.StatusCode, body, c.status, c.body)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s %s: Cache-Control %q", c.method, c.path, got)
		}
	}
}

// Who only came through the socket's mode learns that we live, and nothing else.
func TestAnonymousLearnsHealthOnly(t *testing.T) {
	client := serve(t, always(api.Anonymous), testTable(t))
	for path, status := range map[string]int{"/healthz": 200, "/metrics": 403, "/v1/": 403, "/v1/say": 403} {
		response, body := do(t, client, "GET", path, "")
		if response.StatusCode != status || status == 403 && !strings.Contains(body, "needs the role monitor, and tester has anonymous") {
			t.Errorf("%s: %d %s, want %d", path, response.StatusCode, body, status)
		}
	}
}

// The peer is asked for once, and each connection keeps its own.
func TestCallerBelongsToTheConnection(t *testing.T) {
	var asked atomic.Int32
	client := serve(t, func(net.Conn) api.Caller {
		if asked.Add(1) == 1 {
			return api.Caller{Role: api.Monitor, Name: "first"}
		}
		return api.Caller{Role: api.Anonymous, Name: "second"}
	}, testTable(t))
	for range 3 {
		if response, body := do(t, client, "GET", "/v1/say", ""); response.StatusCode != http.StatusOK {
			t.Errorf("first: %d %s", response.StatusCode, body)
		}
	}
	client.CloseIdleConnections()
	if response, body := do(t, client, "GET", "/v1/say", ""); response.StatusCode != http.StatusForbidden || asked.Load() != 2 {
		t.Errorf("second: %d %s, asked %d times", response.StatusCode, body, asked.Load())
	}
}

func TestHeadersAreBounded(t *testing.T) {
	client := serve(t, always(api.Admin), testTable(t))
	request, err := http.NewRequest("GET", "http://ntptsd/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Long", strings.Repeat("x", 4*maxHeader))
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestWithoutSocketItWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(nil, answers(), testTable(t), always(api.Admin), quiet()).Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestBrokenListenerIsAnError(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = New(l, answers(), testTable(t), always(api.Admin), quiet()).Run(t.Context())
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run = %v, want %v", err, net.ErrClosed)
	}
}
