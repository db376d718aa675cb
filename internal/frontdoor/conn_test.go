package frontdoor

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ntptsd/ntptsd/internal/api"
)

// In a handshake what the peer said is computed in turn, the signature of its certificate as well as its greeting; who is
// waited for holds no place, and who is closed waits no more.
func TestHandshakesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Port{crypto: make(chan struct{}, 1), Options: Options{Slots: &places{}}}
		shake := func() (*conn, net.Conn, chan error) {
			here, there := net.Pipe()
			c := &conn{Conn: there, port: p, shaking: true, closed: make(chan struct{})}
			read := make(chan error)
			go func() {
				for {
					_, err := c.Read(make([]byte, 4))
					read <- err
					if err != nil {
						return
					}
				}
			}()
			return c, here, read
		}
		first, one, firstRead := shake()
		second, two, secondRead := shake()
		for range 2 { // each flight
			_, _ = one.Write([]byte("a"))
			synctest.Wait()
			_, _ = two.Write([]byte("b"))
			synctest.Wait()
			select {
			case <-secondRead:
				t.Error("two compute at once")
			default:
			}
			if err := <-firstRead; err != nil { // the next Read waits for the peer
				t.Error(err)
			}
			if err := <-secondRead; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		p.crypto <- struct{}{}
		_, _ = two.Write([]byte("c"))
		synctest.Wait()
		second.Close()
		if err := <-secondRead; !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed while it waits: %v", err)
		}
		<-p.crypto
		one.Close()
		if err := <-firstRead; err != io.EOF {
			t.Errorf("the peer hung up: %v", err)
		}
		first.Close()
		if len(p.crypto) != 0 {
			t.Errorf("%d places are held at the end", len(p.crypto))
		}
	})
}

// A stranger's chain is kept only so far.
func TestLongHandshakesEnd(t *testing.T) {
	s := servePort(t, nil)
	operator := issue(t, "operator")
	leaf := operator.Certificate[0]
	for range 3 {
		operator.Certificate = append(operator.Certificate, leaf)
	}
	if got := line(t, s.dial(t, &operator)); got != "line for operator\n" {
		t.Errorf("a chain of four: %q", got)
	}
	for range 2 * maxHandshake / len(leaf) {
		operator.Certificate = append(operator.Certificate, leaf)
	}
	if peer, err := tls.Dial("tcp", s.tls, s.client(&operator)); err == nil { // the client has finished when it has sent all
		if _, err := peer.Read(make([]byte, 1)); err == nil {
			t.Error("a long chain is taken")
		}
		peer.Close()
	}
	await(t, "the handshake has failed", func() bool { return s.metrics.connections[ofNone][handshakeFailed].Load() == 1 })
}

// counting is a keeper that counts its judgements of connections.
type counting struct {
	*keeper
	judged atomic.Uint64
}

func (c *counting) Connection(remote netip.Addr, state *tls.ConnectionState) (api.Caller, error) {
	c.judged.Add(1)
	return c.keeper.Connection(remote, state)
}

// A certificate that does not count costs one judgement, however much is asked over its connection, which ends.
func TestBadCertificatesAreJudgedOnce(t *testing.T) {
	k := &counting{keeper: &keeper{}}
	s := servePort(t, func(o *Options) { o.Doorkeeper = k })
	nobody := issue(t, "nobody")
	peer := greet2(t, s.dial(t, &nobody, "h2"))
	var all string
	for range maxStreamsOfConnection / 2 {
		for _, path := range []string{"/v1/say", "/fit"} {
			request, _ := peer.get(path, "")
			all += request
		}
	}
	if _, err := io.WriteString(peer, all); err != nil {
		t.Fatal(err)
	}
	ended := false
	for kind := byte(0); kind != 0xff; kind, _ = peer.read() {
		ended = ended || kind == frameGoAway
	}
	if n := k.judged.Load(); n != 1 || !ended {
		t.Errorf("judged %d times, told that the connection ends: %v", n, ended)
	}
	one := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client(&nobody, "http/1.1")}}
	if response, _ := s.ask(t, one, "GET", "/v1/say", nil); response.StatusCode != 401 || !response.Close {
		t.Errorf("HTTP/1: %d, the connection ends: %v", response.StatusCode, response.Close)
	}
}

func TestStreamsOfNetworks(t *testing.T) {
	s := newStreams(20)
	var leaves []func()
	enter := func(from string) error {
		leave, err := s.enter(netip.MustParseAddr(from))
		if err == nil {
			leaves = append(leaves, leave)
		}
		return err
	}
	for range 10 {
		if err := enter("2001:db8::1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := enter("2001:db8::2"); api.KindOf(err) != api.Unavailable {
		t.Errorf("the eleventh of a /64: %v", err)
	}
	for i, from := range []string{"192.0.2.1", "192.0.2.2"} {
		if err := enter(from); err != nil {
			t.Errorf("%s, the %dth: %v", from, 11+i, err)
		}
	}
	if err := enter("192.0.2.3"); api.KindOf(err) != api.Unavailable {
		t.Errorf("the thirteenth of all: %v", err)
	}
	for _, leave := range leaves {
		leave()
	}
	if s.opened() != 0 || len(s.byNetwork) != 0 {
		t.Errorf("%d are open at the end, of %d networks", s.opened(), len(s.byNetwork))
	}
	for connections, want := range map[int][2]int{1: {1, 1}, 500: {300, 250}, 2000: {1200, 1000}, 100000: {1200, 1000}} {
		if s := newStreams(connections); s.most != want[0] || s.mostOfNetwork != want[1] || s.most > max(1, connections*share(ofHTTP)/100) {
			t.Errorf("of %d connections %d and %d", connections, s.most, s.mostOfNetwork)
		}
	}
}

func TestNetworksOfStreams(t *testing.T) {
	for _, c := range [][2]string{{"192.0.2.1", "192.0.2.1/32"}, {"2001:db8::1", "2001:db8::/64"}, {"fe80::1%eth0", "fe80::1/128"}} {
		if got := networkOf(netip.MustParseAddr(c[0])).String(); got != c[1] {
			t.Errorf("%s: %s, want %s", c[0], got, c[1])
		}
	}
}
