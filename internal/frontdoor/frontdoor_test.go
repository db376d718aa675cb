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
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// serve runs a Server on a unix socket until the test ends.
func serve(t *testing.T) (*http.Client, string) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer", Help: "An answer."}, func() float64 { return 42 }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(l, registry, slog.New(slog.DiscardHandler)).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}, path
}

func TestAnswers(t *testing.T) {
	client, _ := serve(t)
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
	} {
		request, err := http.NewRequest(c.method, "http://ntptsd"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || !strings.Contains(string(body), c.body) {
			t.Errorf("%s %s: %d %q, %v; want %d with %q", c.method, c.path, response.StatusCode, body, err, c.status, c.body)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	client, _ := serve(t)
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
	if err := New(nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)).Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestBrokenListenerIsAnError(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = New(l, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)).Run(t.Context())
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run = %v, want %v", err, net.ErrClosed)
	}
}

// With all slots taken, Accept waits for one to come back, and for the end.
func TestConnectionsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	inner, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(inner, 1)
	for range 2 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() { _, err := b.Accept(); second <- err }()
	if len(b.slots) != 1 {
		t.Fatalf("%d slots taken, want 1", len(b.slots))
	}
	first.Close()
	first.Close() // gives back one slot, not two
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	go func() { _, err := b.Accept(); second <- err }()
	b.Close()
	if err := <-second; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v", err)
	}
}
