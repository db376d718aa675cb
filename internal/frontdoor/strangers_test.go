package frontdoor

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Strangers hold a third of a protocol at the most, and few of one network: who logs in finds room.
func TestStrangersLeaveRoom(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	refused := 0
	for range testPlaces {
		peer := s.dial(t, nil, "ntptsd-line/1")
		if got := line(t, peer); got != "line for anonymous\n" {
			refused++
		}
	}
	if most := min(strangersOfNetwork, testPlaces*share(ofLine)/100/shareOfStrangers); refused != testPlaces-max(most, 1) {
		t.Errorf("%d of %d strangers were refused", refused, testPlaces)
	}
	if got := line(t, s.dial(t, &operator, "ntptsd-line/1")); got != "line for operator\n" {
		t.Errorf("who is known is told %q", got)
	}
}

// Idle strangers of HTTP make room for who comes, so that health checks go on, and those who are known stay.
func TestIdleStrangersMakeRoom(t *testing.T) {
	s := servePort(t, nil)
	known := s.dial(t, nil, "http/1.1")
	request := func(peer net.Conn, path, headers string) string {
		t.Helper()
		if _, err := io.WriteString(peer, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n"); err != nil {
			return err.Error()
		}
		b := make([]byte, 12)
		_, err := io.ReadFull(peer, b)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if got := request(known, "/v1/say?word=a", "Authorization: Bearer monitor\r\n"); got != "HTTP/1.1 200" {
		t.Fatal(got)
	}
	for i := range testPlaces { // each stays open and idle
		if got := request(s.dial(t, nil, "http/1.1"), "/healthz", ""); got != "HTTP/1.1 200" {
			t.Fatalf("health check %d: %s", i, got)
		}
	}
	if s.metrics.strangersCut.Load() == 0 {
		t.Error("nobody made room")
	}
	_, _ = io.CopyN(io.Discard, known, 1) // what is left of the first answer is not looked at
	if _, err := io.WriteString(known, "GET /v1/say?word=a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer monitor\r\nConnection: close\r\n\r\n"); err != nil {
		t.Errorf("who is known was sent away: %v", err)
	}
	if b, err := io.ReadAll(known); err != nil || !strings.Contains(string(b), "HTTP/1.1 200") {
		t.Errorf("who is known was sent away: %v", err)
	}
}

// Who shows nothing asks so often and no more; who is known is not counted.
func TestStrangersArePaced(t *testing.T) {
	var left atomic.Int32
	left.Store(3)
	s := servePort(t, func(o *Options) { o.Strangers = func(netip.Addr, time.Time) bool { return left.Add(-1) >= 0 } })
	statuses := map[int]int{}
	for range 5 {
		response, _ := s.ask(t, s.browser(t, nil), "GET", "/healthz", nil)
		statuses[response.StatusCode]++
	}
	if statuses[200] != 3 || statuses[429] != 2 {
		t.Errorf("%v", statuses)
	}
	if response, _ := s.ask(t, s.browser(t, nil), "GET", "/v1/say?word=a", nil, "Authorization", "Bearer monitor"); response.StatusCode != 200 {
		t.Errorf("who is known: %d", response.StatusCode)
	}
}

// A session can be left.
func TestLeave(t *testing.T) {
	s := servePort(t, nil)
	if response, _ := s.ask(t, s.browser(t, nil), "DELETE", "/v1/session", nil, "Authorization", "Bearer monitor"); response.StatusCode != 204 {
		t.Errorf("%d", response.StatusCode)
	}
	if response, _ := s.ask(t, s.browser(t, nil), "DELETE", "/v1/session", nil); response.StatusCode != 401 {
		t.Errorf("a stranger: %d", response.StatusCode)
	}
}
