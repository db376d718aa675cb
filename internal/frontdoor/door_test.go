package frontdoor

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
)

func FuzzHost(f *testing.F) {
	for _, h := range []string{"", "localhost", "127.0.0.1:4461", "[::1]:4461", "[::1]", "::1", "ntp.example.net.", "evil.example", "a.pool.example.net", "[localhost]", "x@localhost", "[fe80::1%25eth0]:1"} {
		f.Add(h)
	}
	d := &door{names: func() []string { return []string{"ntp.example.net", "*.pool.example.net", "10.0.0.1"} }}
	f.Fuzz(func(t *testing.T, host string) {
		if !d.knows(host) {
			return
		}
		lower := strings.ToLower(host)
		address := strings.ContainsAny(lower, "0123456789:")
		if !address && !strings.Contains(lower, "localhost") && !strings.Contains(lower, "ntp.example.net") && !strings.Contains(lower, ".pool.example.net") {
			t.Errorf("%q is known", host)
		}
		if name := hostname(host); name == "evil.example" || strings.HasSuffix(name, ".evil.example") {
			t.Errorf("%q is known", host)
		}
	})
}

func TestHosts(t *testing.T) {
	d := &door{names: func() []string { return []string{"NTP.example.net", "*.pool.example.net"} }}
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:4461": true, "127.0.0.1": true, "192.0.2.1:80": true, "[::1]": true, "[2001:db8::1]:4461": true,
		"ntp.example.net": true, "ntp.example.net.:4461": true, "a.pool.example.net": true,
		"": false, "pool.example.net": false, "a.b.pool.example.net": false, ".pool.example.net": false, "evil.example": false, "ntp.example.net.evil.example": false,
		"localhost.evil.example": false, "127.0.0.1.evil.example": false, "[localhost": false, "a:b:c": false, "user@localhost": false, "*.pool.example.net.evil.example": false,
	} {
		if got := d.knows(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		secure  bool
		origins []string
		want    bool
	}{
		{true, nil, true},
		{true, []string{"https://localhost:4461"}, true},
		{true, []string{"HTTPS://LOCALHOST:4461"}, true},
		{true, []string{"http://localhost:4461"}, false},
		{false, []string{"http://localhost:4461"}, true},
		{true, []string{"null"}, false},
		{true, []string{""}, false},
		{true, []string{"https://localhost"}, false},
		{true, []string{"https://localhost:4461.evil.example"}, false},
		{true, []string{"https://localhost:4461", "https://evil.example"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.Header["Origin"] = "localhost:4461", c.origins
		if c.secure {
			r.TLS = &tls.ConnectionState{}
		}
		if got := sameOrigin(r); got != c.want {
			t.Errorf("%v %q: %v", c.secure, c.origins, got)
		}
	}
}
