package frontdoor

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// flow is a Stream of what a test says.
type flow struct {
	mu    sync.Mutex
	items []api.Item
	more  chan struct{} // closed at each new item
}

func newFlow() *flow { return &flow{more: make(chan struct{})} }

func (f *flow) add(id uint64, kind, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = append(f.items, api.Item{ID: id, Kind: kind, JSON: []byte(text)})
	close(f.more)
	f.more = make(chan struct{})
}

func (f *flow) Next(ctx context.Context, after uint64) ([]api.Item, error) {
	for {
		f.mu.Lock()
		more := f.more
		for i, item := range f.items {
			if item.ID > after {
				all := f.items[i:]
				if after == 0 {
					all = f.items[len(f.items)-1:]
				}
				f.mu.Unlock()
				return all, nil
			}
		}
		f.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// streaming is a server of a stream over pipes, in a bubble.
func streaming(t *testing.T, stream Stream, k *keeper) *pipes {
	t.Helper()
	c := newContents(Site{Metrics: answers(), Table: testTable(t), Stream: stream}, func(r *http.Request) (api.Caller, error) {
		token, _ := bearer(r)
		return k.role(token)
	}, quiet())
	c.door = &door{Doorkeeper: k, metrics: newMetrics()}
	l := newPipes()
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: c.routes(), ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, Protocols: &both}
	server.RegisterOnShutdown(c.end)
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
		c.detached.Wait()
		for range 1000 { // HTTP/2 ends its handlers after it has said that it is shut down
			if c.streams.opened() == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if n := c.streams.opened(); n != 0 {
			t.Errorf("%d streams are open at the end", n)
		}
	})
	return l
}

func follow(t *testing.T, l *pipes, headers string) (net.Conn, *bufio.Reader) {
	t.Helper()
	peer := l.dial()
	t.Cleanup(func() { peer.Close() })
	if _, err := io.WriteString(peer, "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer monitor\r\n"+headers+"\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(peer), nil)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%+v, %v", response, err)
	}
	return peer, bufio.NewReader(response.Body)
}

// block is what stands before the next empty line.
func block(t testing.TB, b *bufio.Reader) string {
	t.Helper()
	var all strings.Builder
	for {
		text, err := b.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", text, err)
		}
		if text == "\n" {
			return all.String()
		}
		all.WriteString(text)
	}
}

func TestStreamSendsAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		l := streaming(t, f, &keeper{})
		f.add(7, "event", `{"a":1}`)
		f.add(8, "sample", "{\n\"b\":2}\n")
		_, fresh := follow(t, l, "")
		_, late := follow(t, l, "Last-Event-ID: 6\r\n")
		for _, want := range []string{"retry: 3000\n", "id: 8\nevent: sample\ndata: {\ndata: \"b\":2}\n"} {
			if got := block(t, fresh); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		for _, want := range []string{"retry: 3000\n", "id: 7\nevent: event\ndata: {\"a\":1}\n", "id: 8\nevent: sample\ndata: {\ndata: \"b\":2}\n"} {
			if got := block(t, late); got != want {
				t.Errorf("resumed: %q, want %q", got, want)
			}
		}
		began := time.Now()
		if got := block(t, fresh); got != ": still here\n" || time.Since(began) != heartbeat {
			t.Errorf("%q after %v", got, time.Since(began))
		}
		f.add(9, "event", `{}`)
		if got := block(t, fresh); got != "id: 9\nevent: event\ndata: {}\n" {
			t.Errorf("%q", got)
		}
	})
}

// HTTP/2 has deadlines of its own, which must not end a stream that waits.
func TestStreamLastsOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		l := streaming(t, f, &keeper{})
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: &protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequest("GET", "http://localhost/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer monitor")
		response, err := transport.RoundTrip(request)
		if err != nil || response.ProtoMajor != 2 {
			t.Fatal(response, err)
		}
		defer response.Body.Close()
		b := bufio.NewReader(response.Body)
		block(t, b)
		for range 4 {
			if got := block(t, b); got != ": still here\n" {
				t.Errorf("%q", got)
			}
		}
		f.add(1, "event", "{}")
		if got := block(t, b); got != "id: 1\nevent: event\ndata: {}\n" {
			t.Errorf("%q", got)
		}
	})
}

// Who may not read any more is cut at the next item or heartbeat.
func TestStreamEndsWithTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, k := newFlow(), &keeper{}
		_, b := follow(t, streaming(t, f, k), "")
		block(t, b)
		k.gone.Store(true)
		began := time.Now()
		if rest, err := io.ReadAll(b); err != nil || len(rest) > 0 || time.Since(began) != heartbeat {
			t.Errorf("%q, %v after %v", rest, err, time.Since(began))
		}
	})
}

// A reader who does not read is cut, and costs nobody else anything.
func TestSlowReadersOfTheStreamAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		l := streaming(t, f, &keeper{})
		slow, _ := follow(t, l, "")
		_, quick := follow(t, l, "")
		block(t, quick)
		f.add(1, "event", strings.Repeat("x", 64<<10))
		if got := block(t, quick); len(got) < 64<<10 {
			t.Errorf("%d octets", len(got))
		}
		time.Sleep(streamWrite + time.Second)
		synctest.Wait()
		if rest, err := io.ReadAll(slow); err != nil || len(rest) > 16<<10 {
			t.Errorf("the slow one gets %d octets more, %v", len(rest), err)
		}
		f.add(2, "event", "{}")
		if got := block(t, quick); got != "id: 2\nevent: event\ndata: {}\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	c := newContents(Site{Metrics: answers(), Table: testTable(t), Stream: newFlow()}, nil, quiet())
	for i := range maxStreams {
		if _, err := c.streams.enter(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 2)})); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	c.stream(w, requestBy(t.Context(), api.Monitor, "GET", "/v1/stream", nil))
	if w.Code != 503 || c.streams.opened() != maxStreams {
		t.Errorf("%d, %d streams", w.Code, c.streams.opened())
	}
	for _, wrong := range []string{"-1", "x", "18446744073709551616"} {
		w := httptest.NewRecorder()
		c.stream(w, requestBy(t.Context(), api.Monitor, "GET", "/v1/stream?after="+wrong, nil))
		checkProblem(t, w, "bad-argument")
	}
}

// The real port: streams over both versions end with it, at once.
func TestStreamsEndWithThePort(t *testing.T) {
	f := newFlow()
	f.add(1, "sample", "{}")
	var began time.Time
	t.Cleanup(func() { // after the port has ended
		if took := time.Since(began); took > drainTimeout/2 {
			t.Errorf("the end took %v", took)
		}
	})
	s := servePort(t, func(o *Options) { o.Stream = f })
	for _, c := range []*http.Client{s.browser(t, nil), {Transport: &http.Transport{TLSClientConfig: s.client(nil, "http/1.1")}}} {
		request, err := http.NewRequest("GET", "https://"+s.tls+"/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer monitor")
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		b := bufio.NewReader(response.Body)
		if got := block(t, b) + block(t, b); got != "retry: 3000\nid: 1\nevent: sample\ndata: {}\n" {
			t.Errorf("%q", got)
		}
	}
	if got := exposition(t, s.Port); !strings.Contains(got, "ntptsd_monitoring_streams_open 2\n") {
		t.Error(got)
	}
	began = time.Now()
}
