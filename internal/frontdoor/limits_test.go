package frontdoor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ntptsd/ntptsd/internal/api"
)

// pipes is a listener without a socket, so that a whole server runs on the clock of a bubble.
type pipes struct {
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{ready: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.ready <- there
	return here
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.ready:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// closedAfter is how long the server keeps a connection that does no more.
func closedAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
	return time.Since(began)
}

func TestSlowPeersAreCutOff(t *testing.T) {
	for _, c := range []struct {
		name, sends string
		within      time.Duration
	}{
		{"says nothing", "", requestTimeout},
		{"half a header", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-", requestTimeout},
		{"half a body", "POST /v1/actions/word-change HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", requestTimeout},
		{"idle afterwards", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", idleTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				start(t, New(l, answers(), testTable(t), always(api.Admin), quiet()))
				peer := l.dial()
				defer peer.Close()
				if _, err := io.WriteString(peer, c.sends); err != nil {
					t.Fatal(err)
				}
				if got := closedAfter(t, peer); got < c.within || got > c.within+time.Second { // net/http lingers for half a second
					t.Errorf("cut off after %v, want %v", got, c.within)
				}
			})
		})
	}
}

// Who asks and does not read holds an answer, a connection and a place no longer than this.
func TestSlowReadersAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		var done atomic.Bool
		s := New(l, answers(), testTable(t), always(api.Monitor), quiet())
		inner := s.http.Handler
		s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r)
			done.Store(true)
		})
		start(t, s)
		peer := l.dial()
		defer peer.Close()
		if _, err := io.WriteString(peer, "GET /v1/say?times=10000&word=abcdefgh HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(answerTimeout - time.Second)
		if done.Load() {
			t.Error("the whole answer went somewhere")
		}
		time.Sleep(2 * time.Second)
		if !done.Load() {
			t.Errorf("still writing after %v", answerTimeout)
		}
	})
}

// A command that was not done in time is given up and its place free again.
func TestCommandsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := commandsFor(sayTable(t, func(ctx context.Context, _ api.Caller, _ sayArgs) (said, error) {
			<-ctx.Done()
			return said{}, ctx.Err()
		}))
		began := time.Now()
		w := httptest.NewRecorder()
		c.ServeHTTP(w, requestBy(t.Context(), api.Monitor, "GET", "/v1/say", nil))
		if time.Since(began) != commandTimeout || w.Code != 503 || !strings.Contains(w.Body.String(), "say was given up: it was not done within 10s") {
			t.Errorf("%d %s after %v", w.Code, w.Body, time.Since(began))
		}
		checkProblem(t, w, "unavailable")
		if log.Len() > 0 || len(c.others) != 0 {
			t.Errorf("%d places are taken, the log says %q", len(c.others), log)
		}
	})
}

// What fails for another reason, however late, is our own fault.
func TestLateFaultsAreFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := commandsFor(sayTable(t, func(ctx context.Context, _ api.Caller, _ sayArgs) (said, error) {
			<-ctx.Done()
			return said{}, errors.New("the disk is full")
		}))
		w := httptest.NewRecorder()
		c.ServeHTTP(w, requestBy(t.Context(), api.Monitor, "GET", "/v1/say", nil))
		if w.Code != 500 || !strings.Contains(log.String(), "the disk is full") {
			t.Errorf("%d %s, the log says %q", w.Code, w.Body, log)
		}
	})
}

func TestHangingUpGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan error, 1)
		l := newPipes()
		start(t, New(l, answers(), sayTable(t, func(ctx context.Context, _ api.Caller, _ sayArgs) (said, error) {
			<-ctx.Done()
			gone <- context.Cause(ctx)
			return said{}, ctx.Err()
		}), always(api.Monitor), quiet()))
		peer := l.dial()
		if _, err := io.WriteString(peer, "GET /v1/say HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		peer.Close()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// So many commands run at once, some places are the admins' own, and who waits in vain is told so.
func TestCommandsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		release := make(chan struct{})
		c, _ := commandsFor(sayTable(t, func(context.Context, api.Caller, sayArgs) (said, error) {
			running.Add(1)
			defer running.Add(-1)
			<-release
			return said{}, nil
		}))
		statuses := make(chan int, 100)
		ask := func(role api.Role, n int) {
			for range n {
				go func() {
					w := httptest.NewRecorder()
					c.ServeHTTP(w, requestBy(t.Context(), role, "GET", "/v1/say", nil))
					statuses <- w.Code
				}()
			}
			synctest.Wait()
		}
		ask(api.Operator, maxCommands)
		if got, want := running.Load(), int32(maxCommands-commandsOfAdmins); got != want {
			t.Errorf("%d commands run, want %d", got, want)
		}
		ask(api.Admin, 1)
		if got, want := running.Load(), int32(maxCommands-commandsOfAdmins+1); got != want {
			t.Errorf("%d commands run, want %d: the admin is locked out", got, want)
		}
		ask(api.Admin, maxCommands)
		if got := running.Load(); got != maxCommands {
			t.Errorf("%d commands run, want %d", got, maxCommands)
		}
		time.Sleep(commandTimeout)
		synctest.Wait()
		if got, want := len(statuses), commandsOfAdmins+maxCommands-commandsOfAdmins+1; got != want {
			t.Errorf("%d were told to come later, want %d", got, want)
		}
		for len(statuses) > 0 {
			if got := <-statuses; got != http.StatusServiceUnavailable {
				t.Errorf("status %d", got)
			}
		}
		close(release)
		for range maxCommands {
			if got := <-statuses; got != http.StatusOK {
				t.Errorf("status %d", got)
			}
		}
	})
}

// Who only reads takes no place of those who change something, however slowly he reads what he asked for.
func TestMonitorsLockNoOperatorOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := commandsFor(testTable(t))
		until := make(chan struct{})
		for range maxCommands {
			go c.ServeHTTP(&blocked{httptest.NewRecorder(), until}, requestBy(t.Context(), api.Monitor, "GET", "/v1/say", nil))
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		c.ServeHTTP(w, requestBy(t.Context(), api.Operator, "GET", "/v1/say", nil))
		if w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		close(until)
		synctest.Wait()
	})
}

// A monitor who reads no answer takes no scrape away from who is let in to metrics alone.
func TestMonitorsTakeNoScrapesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "answer"}))
		scrapes := newContents(Site{Table: testTable(t), Metrics: metrics}, nil, quiet()).scrapes()
		by := func(only []string) *http.Request {
			r := httptest.NewRequest("GET", "/metrics", nil)
			return r.WithContext(context.WithValue(r.Context(), callerKey{}, api.Caller{Role: api.Monitor, Only: only}))
		}
		until := make(chan struct{})
		for range maxScrapes {
			go scrapes.ServeHTTP(&blocked{httptest.NewRecorder(), until}, by(nil))
		}
		synctest.Wait()
		for _, c := range []struct {
			only []string
			want int
		}{{nil, http.StatusServiceUnavailable}, {[]string{"metrics", "status"}, http.StatusServiceUnavailable}, {[]string{"metrics"}, http.StatusOK}} {
			w := httptest.NewRecorder()
			if scrapes.ServeHTTP(w, by(c.only)); w.Code != c.want {
				t.Errorf("only %q: %d %s", c.only, w.Code, w.Body)
			}
		}
		close(until)
		synctest.Wait()
	})
}

// blocked is a reader that does not read.
type blocked struct {
	*httptest.ResponseRecorder
	until chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.until
	return b.ResponseRecorder.Write(p)
}

func TestPlacesAreTakenUntilTheAnswerIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := commandsFor(testTable(t))
		until := make(chan struct{})
		go c.ServeHTTP(&blocked{httptest.NewRecorder(), until}, requestBy(t.Context(), api.Monitor, "GET", "/v1/say", nil))
		synctest.Wait()
		if len(c.others) != 1 {
			t.Errorf("%d places are taken while it writes", len(c.others))
		}
		close(until)
		synctest.Wait()
		if len(c.others) != 0 {
			t.Errorf("%d places are taken afterwards", len(c.others))
		}
	})
}

// The end waits for what is under way, and no longer than it may.
func TestEndLetsAnswersFinish(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		ends  time.Duration
		whole bool
	}{
		{drainTimeout / 2, drainTimeout / 2, true},
		{2 * drainTimeout, drainTimeout, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipes()
			s := New(l, answers(), sayTable(t, func(ctx context.Context, _ api.Caller, _ sayArgs) (said, error) {
				select {
				case <-time.After(c.takes):
				case <-ctx.Done():
				}
				return said{}, ctx.Err()
			}), always(api.Monitor), quiet())
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			peer := l.dial()
			defer peer.Close()
			if _, err := io.WriteString(peer, "GET /v1/say HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			began := time.Now()
			cancel()
			whole := make(chan bool, 1)
			go func() {
				response, err := http.ReadResponse(bufio.NewReader(peer), nil)
				whole <- err == nil && response.StatusCode == 200
			}()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
			if got := time.Since(began); got < c.ends || got > c.ends+time.Second {
				t.Errorf("it ended after %v, want %v", got, c.ends)
			}
			if got := <-whole; got != c.whole {
				t.Errorf("a whole answer: %v, want %v", got, c.whole)
			}
		})
	}
}

func TestFaultsAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := commandsFor(testTable(t))
		for range 5 {
			c.faults.tell("first")
		}
		time.Sleep(faultsEvery)
		c.faults.Println("second", errors.New("broken"))
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `msg="metrics failed" error="second broken" untold=4`) {
			t.Errorf("the log says %q", got)
		}
	})
}
