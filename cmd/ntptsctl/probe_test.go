package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/probe"
)

func TestSplitTarget(t *testing.T) {
	for _, c := range []struct {
		in, host string
		port     uint16
		bad      bool
	}{
		{in: "time.example.net", host: "time.example.net"},
		{in: "time.example.net:4461", host: "time.example.net", port: 4461},
		{in: "192.0.2.1:123", host: "192.0.2.1", port: 123},
		{in: "2001:db8::1", host: "2001:db8::1"},
		{in: "[2001:db8::1]", host: "2001:db8::1"},
		{in: "[2001:db8::1]:4460", host: "2001:db8::1", port: 4460},
		{in: "host:0", bad: true},
		{in: "", bad: true},
		{in: ":4460", bad: true},
		{in: "[]", bad: true},
		{in: "host:65536", bad: true},
		{in: "host:ntp", bad: true},
		{in: "[2001:db8::1", bad: true},
		{in: "2001:db8::1]", bad: true},
		{in: "[time.example.net]", bad: true},
		{in: "::1:4460", host: "::1:4460"}, // an address, too
		{in: "::1:24460", bad: true},
		{in: "2001:db8:0:0:0:0:0:1:4460", bad: true},
		{in: "https://time.example.net", bad: true},
	} {
		host, port, err := splitTarget(c.in)
		if (err != nil) != c.bad || host != c.host && !c.bad || port != c.port {
			t.Errorf("%s: %q %d %v", c.in, host, port, err)
		}
	}
}

func TestParseLimits(t *testing.T) {
	const defaults = "offset=500ms,days=14"
	for text, want := range map[string]probe.Limits{
		"":                     {Offset: 500 * time.Millisecond, Days: 14},
		"offset=50ms,days=1.5": {Offset: 50 * time.Millisecond, Days: 1.5},
		"offset=50ms":          {Offset: 50 * time.Millisecond, Days: 14},
		"days=0":               {Offset: 500 * time.Millisecond},
	} {
		if l, err := parseLimits("--warn", defaults, text); err != nil || l != want {
			t.Errorf("%q: %+v %v, want %+v", text, l, err, want)
		}
	}
	_, err := parseLimits("--warn", defaults, "offset=soon,days=-1,delay=3,days=NaN")
	for _, want := range []string{"offset=soon", "days=-1", "delay=3", "days=NaN"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestTimeServer(t *testing.T) {
	for want, ke := range map[string]probe.KE{
		"":                           {},
		"port 10123":                 {Port: 10123},
		"server b.example":           {Server: "b.example"},
		"server b.example, port 124": {Server: "b.example", Port: 124},
	} {
		if got := timeServer(ke); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Who probes the wrong port hears which one it is not.
func TestProbeOfAnotherService(t *testing.T) {
	dir := t.TempDir()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for at, want := range map[string]string{
		services(t, dir, http.NotFound, nil, nil): "That is another TLS service: key exchange is at port 4460",
		plain.Listener.Addr().String():            "Nothing speaks TLS there: key exchange is at TCP port 4460",
	} {
		if code, stdout, _ := remotely(t, "probe", "--ca", filepath.Join(dir, "ca.pem"), at); code != int(probe.Critical) || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, %s, want %q", code, stdout, want)
		}
	}
}

// What cannot be understood is "unknown" to a monitoring system, and says how it should be.
func TestWrongUsage(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"probe", "probe takes one HOST, not 0; see ntptsctl probe --help"},
		{"probe a b", "probe takes one HOST, not 2"},
		{"probe --foo a", "unknown flag: --foo; see ntptsctl probe --help"},
		{"probe --count 0 host", "--count 0: 1 to 100"},
		{"probe --aead 99 host", "--aead 99: 15, 16, 17 or 30"},
		{"probe --ca /nonexistent host", "no such file"},
		{"probe --timeout 0s host", "--timeout 0s"},
		{"probe --warn offset=x host", "offset=50ms"},
		{"prob host", "unknown command"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(c.args), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: exit %d, %q, want %d and %q", c.args, code, errs.String(), exitUsage, c.want)
		}
	}
}
