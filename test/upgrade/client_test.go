package upgrade

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/test/client"
)

// load is clients that ask without pause, until stopped.
type load struct {
	mu       sync.Mutex
	done     map[string]int
	failures []string
	slowest  map[string]time.Duration

	stop    chan struct{}
	running sync.WaitGroup
}

// maxFailures bounds what a failed test shows.
const maxFailures = 10

// newLoad begins: key exchanges, requests of a few long associations, plain requests. Each is one of several clients.
func newLoad(t *testing.T, s *server) *load {
	l := &load{done: map[string]int{}, slowest: map[string]time.Duration{}, stop: make(chan struct{})}
	for range 2 {
		l.loop("key exchange", 5*time.Millisecond, func() error {
			_, err := client.Exchange(s.ke(), s.roots)
			return err
		})
	}
	for range 3 {
		a, err := client.Exchange(s.ke(), s.roots)
		if err != nil {
			t.Fatal(err)
		}
		conn := dial(t, s.ntp())
		l.loop("NTS request", time.Millisecond, func() error { return client.Ask(conn, a) })
	}
	conn := dial(t, s.ntp())
	l.loop("request", time.Millisecond, func() error { return client.Ask(conn, nil) })
	l.loop("request of a new client", 2*time.Millisecond, func() error { // the kernel may choose any of the sockets
		conn, err := net.Dial("udp", s.ntp())
		if err != nil {
			return err
		}
		defer conn.Close()
		return client.Ask(conn, nil)
	})
	t.Cleanup(l.end)
	return l
}

func dial(t *testing.T, at string) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (l *load) loop(what string, pause time.Duration, once func() error) {
	l.running.Go(func() {
		for {
			began := time.Now()
			err := once()
			l.note(what, time.Since(began), err)
			select {
			case <-l.stop:
				return
			case <-time.After(pause):
			}
		}
	})
}

func (l *load) note(what string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[what]++
	l.slowest[what] = max(l.slowest[what], took)
	if err != nil && len(l.failures) < maxFailures {
		l.failures = append(l.failures, fmt.Sprintf("%s at %s after %v: %v", what, time.Now().Format("05.000"), took, err))
	}
}

// count is how many exchanges of all kinds are done.
func (l *load) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.done {
		n += d
	}
	return n
}

// more waits until so many more exchanges are done.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := l.count() + n
	eventually(t, func() error {
		if have := l.count(); have < want {
			return fmt.Errorf("the load stands still: %d exchanges of %d", have, want)
		}
		return nil
	})
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.running.Wait()
}

// mustBeWhole ends the load and wants that every single one was served.
func (l *load) mustBeWhole(t *testing.T) {
	t.Helper()
	l.end()
	for _, f := range l.failures {
		t.Error(f)
	}
	for what, n := range l.done {
		if n == 0 {
			t.Errorf("no %s: the test tests nothing", what)
		}
		t.Logf("%6d %-25s slowest %v", n, what, l.slowest[what].Round(time.Millisecond/10))
	}
}
