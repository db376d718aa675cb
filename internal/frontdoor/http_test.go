package frontdoor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What a stranger sends gets a small answer that depends on nothing but the kind of it, and tells no name and no version.
func TestStrangersLearnLittle(t *testing.T) {
	s := servePort(t, func(o *Options) {
		o.Stream, o.Health = newFlow(), &wellness{ready: []string{"secret"}, unfit: []string{"secret"}}
	})
	long := strings.Repeat("x", 3000)
	for _, r := range []struct {
		status  int
		method  string
		path    string
		headers []string
	}{
		{200, "GET", "/healthz", nil},
		{503, "GET", "/readyz", nil},
		{503, "GET", "/fit", nil},
		{503, "GET", "/fit", []string{"Accept", "application/json"}},
		{503, "GET", "/fit", []string{"Authorization", "Bearer nobody"}},
		{401, "GET", "/v1/", nil},
		{401, "GET", "/v1/say?word=" + long, nil},
		{401, "GET", "/v1/" + long, nil},
		{401, "GET", "/v1?" + strings.Repeat("&", 3000), nil},
		{404, "GET", "/v1%2F" + long, nil},
		{401, "POST", "/v1/actions/word-change", nil},
		{401, "GET", "/v1/stream", nil},
		{401, "GET", "/metrics", nil},
		{401, "GET", "/openapi.json", nil},
		{401, "DELETE", "/" + long, nil},
		{401, "OPTIONS", "/v1/say", nil},
		{404, "GET", "/" + long, nil},
		{404, "GET", "//" + long, nil},
		{404, "GET", "/v1/../" + long, nil},
		{401, "GET", "/v1/say", []string{"Authorization", "Bearer " + long}},
		{401, "GET", "/v1/say", []string{"Authorization", "Basic " + long}},
		{401, "GET", "/v1/say", []string{"Authorization", "Bearer monitor", "Authorization", "Bearer monitor"}},
		{401, "GET", "/v1/say", []string{"Authorization", "Bearer "}},
		{429, "GET", "/v1/say", []string{"Authorization", "Bearer guess"}},
		{401, "POST", "/v1/session", nil},
		{401, "POST", "/v1/session", []string{"Authorization", "Bearer monitor"}},
		{421, "GET", "/v1/say", []string{"Host", long + ".example"}},
		{403, "GET", "/", []string{"Origin", "https://" + long}},
	} {
		request, err := http.NewRequest(r.method, "https://"+s.tls+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, body := s.raw(t, request, r.headers)
		if response.StatusCode != r.status {
			t.Errorf("%s %.40s %.60q: %d, want %d", r.method, r.path, r.headers, response.StatusCode, r.status)
		}
		if len(body) > maxStrangersAnswer || strings.Contains(body, "xxx") || strings.Contains(body, "secret") || strings.Contains(body, "ntp.example") {
			t.Errorf("%s %.40s %.60q: %d octets: %s", r.method, r.path, r.headers, len(body), body)
		}
		if got := response.Header.Get("WWW-Authenticate"); (got == "Bearer") != (r.status == 401) {
			t.Errorf("%s %.40s: WWW-Authenticate: %q", r.method, r.path, got)
		}
		if got := response.Header.Get("Retry-After"); (got == "5") != (r.status == 429) {
			t.Errorf("%s %.40s: Retry-After: %q", r.method, r.path, got)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
			"Server": "", "Set-Cookie": "", "Access-Control-Allow-Origin": "", "Cache-Control": "no-store"} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s %.40s: %s: %q, want %q", r.method, r.path, name, got, want)
			}
		}
	}
}

const maxStrangersAnswer = 1200 // octets of an answer over HTTP/1, header included

// raw sends a request over HTTP/1, and gives the answer as it is on the wire.
func (s *served) raw(t *testing.T, request *http.Request, headers []string) (*http.Response, string) {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		} else {
			request.Header.Add(headers[i], headers[i+1])
		}
	}
	request.Close = true
	peer := s.dial(t, nil, "http/1.1")
	if err := request.Write(peer); err != nil {
		t.Fatal(err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(time.Minute))
	b, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), request)
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return response, string(b)
}

func TestHealth(t *testing.T) {
	h := &wellness{}
	s := servePort(t, func(o *Options) { o.Health = h })
	c := s.browser(t, nil)
	monitor := []string{"Authorization", "Bearer monitor"}
	json := []string{"Accept", "application/json"}
	check := func(path string, status int, body string, headers ...string) {
		t.Helper()
		response, got := s.ask(t, c, "GET", path, nil, headers...)
		if response.StatusCode != status || got != body {
			t.Errorf("%s %q: %d %q, want %d %q", path, headers, response.StatusCode, got, status, body)
		}
	}
	check("/healthz", 200, "ok\n")
	check("/readyz", 200, "ready\n", monitor...)
	check("/fit", 200, "fit\n")
	check("/fit", 200, `{"fit":true,"reasons":[]}`+"\n", json...)
	h.ready, h.unfit = []string{"no keys"}, []string{"stratum 16", "old"}
	check("/readyz", 503, "not ready\n")
	check("/readyz", 503, "not ready\nno keys\n", monitor...)
	check("/fit", 503, "not fit\n")
	check("/fit", 503, "not fit\nstratum 16\nold\n", monitor...)
	check("/fit", 503, `{"fit":false,"reasons":[]}`+"\n", json...)
	check("/fit", 503, `{"fit":false,"reasons":["stratum 16","old"]}`+"\n", append(json, monitor...)...)
	check("/fit", 503, "not fit\n", append(monitor, "Host", "evil.example")...) // a name pointed at us
	check("/fit", 503, "not fit\n", append(monitor, "Origin", "https://evil.example")...)
}

func TestSessions(t *testing.T) {
	s := servePort(t, nil)
	response, body := s.ask(t, s.browser(t, nil), "POST", "/v1/session", nil, "Authorization", "bearer once")
	var session api.Session
	if err := json.Unmarshal([]byte(body), &session); err != nil || response.StatusCode != 200 || session.Token != "monitor" {
		t.Errorf("%d %s, %v", response.StatusCode, body, err)
	}
	if response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("ETag") != "" {
		t.Errorf("%v", response.Header)
	}
	if response, body := s.ask(t, s.browser(t, nil), "POST", "/v1/session", nil, "Authorization", "bearer once", "Origin", "https://evil.example"); response.StatusCode != 403 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestConditionalRequests(t *testing.T) {
	s := servePort(t, nil)
	c := s.browser(t, nil)
	for _, path := range []string{"/v1/say?word=a", "/v1/", "/openapi.json"} {
		response, _ := s.ask(t, c, "GET", path, nil, "Authorization", "Bearer monitor")
		tag := response.Header.Get("ETag")
		if response.StatusCode != 200 || len(tag) != 34 || response.Header.Get("Cache-Control") != "no-cache, private" {
			t.Errorf("%s: %d %v", path, response.StatusCode, response.Header)
		}
		for sent, status := range map[string]int{tag: 304, `"x", W/` + tag: 304, "*": 304, `"x"`: 200, strings.Trim(tag, `"`): 200} {
			again, body := s.ask(t, c, "GET", path, nil, "Authorization", "Bearer monitor", "If-None-Match", sent)
			if again.StatusCode != status || again.Header.Get("ETag") != tag || (body == "") != (status == 304) {
				t.Errorf("%s If-None-Match %s: %d %v %q, want %d", path, sent, again.StatusCode, again.Header, body, status)
			}
		}
		if again, _ := s.ask(t, c, "GET", path, nil, "If-None-Match", tag); again.StatusCode != 401 {
			t.Errorf("%s by a stranger: %d", path, again.StatusCode)
		}
	}
	if response, _ := s.ask(t, c, "GET", "/v1/say?word=b", nil, "Authorization", "Bearer monitor"); response.Header.Get("ETag") == "" {
		t.Error("no ETag")
	}
}

// A form of another page can post no JSON.
func TestActionsNeedTheirContentType(t *testing.T) {
	s := servePort(t, nil)
	for media, status := range map[string]int{"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json": 200, "application/json; charset=utf-8": 200} {
		headers := []string{"Authorization", "Bearer operator"}
		if media != "" {
			headers = append(headers, "Content-Type", media)
		}
		if response, body := s.ask(t, s.browser(t, nil), "POST", "/v1/actions/word-change", strings.NewReader(`{"word":"x"}`), headers...); response.StatusCode != status {
			t.Errorf("%q: %d %s, want %d", media, response.StatusCode, body, status)
		}
	}
}

// A reload that takes a log-in away counts for the next request of a connection that is open.
func TestEachRequestIsJudged(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	c := s.browser(t, &operator)
	if response, body := s.ask(t, c, "GET", "/v1/say", nil); response.StatusCode != 200 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	s.keeper.gone.Store(true)
	if response, body := s.ask(t, c, "GET", "/v1/say", nil); response.StatusCode != 401 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	s.keeper.gone.Store(false)
	if response, _ := s.ask(t, c, "GET", "/v1/say", nil, "Authorization", "Bearer nobody"); response.StatusCode != 401 { // a token is not made up for
		t.Errorf("%d", response.StatusCode)
	}
}

func TestHeaderFloodsEnd(t *testing.T) {
	s := servePort(t, nil)
	peer := s.dial(t, nil, "http/1.1")
	if _, err := io.WriteString(peer, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"); err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 1 << 12 { // 4 MiB: it ends long before
			if _, err := fmt.Fprintf(peer, "X-Y: %01000d\r\n", 0); err != nil {
				return
			}
		}
	}()
	if got := line(t, peer); got != "HTTP/1.1 431 Request Header Fields Too Large\r\n" {
		t.Errorf("%q", got)
	}
	request, err := http.NewRequest("GET", "https://"+s.tls+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Long", strings.Repeat("x", 2*maxHeader))
	if response, err := s.browser(t, nil).Do(request); err == nil { // net/http ends the connection
		response.Body.Close()
		if response.StatusCode != 431 {
			t.Errorf("HTTP/2: %d", response.StatusCode)
		}
	}
}
