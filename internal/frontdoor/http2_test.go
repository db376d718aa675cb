package frontdoor

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The types of HTTP/2 frames, RFC 9113 section 6, that a test sends or looks for.
const (
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7
)

// raw2 is an HTTP/2 peer that does what no client does.
type raw2 struct {
	net.Conn
	in     *bufio.Reader
	stream uint32
}

// greet2 sends what a client begins with.
func greet2(t *testing.T, c net.Conn) *raw2 {
	t.Helper()
	p := &raw2{Conn: c, in: bufio.NewReader(c)}
	sent := make(chan struct{})
	go func() { // over a pipe the server writes first
		defer close(sent)
		_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	}()
	if kind, _ := p.read(); kind != frameSettings {
		t.Fatalf("the server begins with a frame of type %d", kind)
	}
	<-sent
	return p
}

func frame(kind, flags byte, stream uint32, payload string) string {
	h := []byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(binary.BigEndian.AppendUint32(h, stream)) + payload
}

// read is the type and the stream of the next frame; 0xff: there is none.
func (p *raw2) read() (kind byte, stream uint32) {
	var h [9]byte
	if _, err := io.ReadFull(p.in, h[:]); err != nil {
		return 0xff, 0
	}
	if _, err := p.in.Discard(int(h[1])<<8 | int(h[2])); err != nil {
		return 0xff, 0
	}
	return h[3], binary.BigEndian.Uint32(h[5:])
}

// get is a request of the next stream, with a token unless that is empty: RFC 7541, literals without index.
func (p *raw2) get(path, token string) (request string, stream uint32) {
	p.stream += 2
	stream = p.stream - 1
	literal := func(name, value string) string { return name + string(rune(len(value))) + value }
	block := "\x82\x87" + literal("\x04", path) + literal("\x01", "localhost")
	if token != "" {
		block += literal("\x0f\x08", "Bearer "+token)
	}
	return frame(frameHeaders, 5, stream, block), stream // the end of the headers, and of the stream
}

// onPipes is the server of a port over pipes, for HTTP of both versions.
func onPipes(t *testing.T, f Stream) *pipes {
	t.Helper()
	p := NewPort(Options{Certificates: &oneCertificate{}, Doorkeeper: &keeper{}, Slots: &places{}, Table: testTable(t), Metrics: answers(), Stream: f, Log: quiet()})
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	p.http.Protocols = &both
	l, done := newPipes(), make(chan struct{})
	go func() { _ = p.http.Serve(l); close(done) }()
	t.Cleanup(func() {
		_ = p.http.Close()
		p.contents.end()
		<-done
		time.Sleep(time.Minute) // net/http has timers
	})
	return l
}

// net/http by itself keeps the connection of a peer that takes nothing for ever, and that of one that has vanished behind an
// open stream.
func TestStalledHTTP2PeersAreCut(t *testing.T) {
	for _, c := range []struct {
		name   string
		reads  bool
		within time.Duration
	}{
		{"takes nothing", false, stalledWrite + time.Second},
		{"answers no ping", true, silence + signOfLife},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := greet2(t, onPipes(t, newFlow()).dial())
				defer peer.Close()
				synctest.Wait()
				began, closed := time.Now(), make(chan time.Duration, 1)
				request, _ := peer.get("/v1/stream", "monitor")
				if c.reads {
					go func() {
						for kind := byte(0); kind != 0xff; kind, _ = peer.read() {
						}
						closed <- time.Since(began)
					}()
					_, _ = io.WriteString(peer, request)
				} else {
					go func() { // what it asks for cannot be answered
						for {
							if _, err := io.WriteString(peer, frame(framePing, 0, 0, "12345678")); err != nil {
								closed <- time.Since(began)
								return
							}
							time.Sleep(100 * time.Millisecond)
						}
					}()
				}
				if took := <-closed; took > c.within {
					t.Errorf("closed after %v, want %v", took, c.within)
				}
			})
		})
	}
}

// One connection gets so many streams and no more.
func TestHTTP2StreamsOfOneConnection(t *testing.T) {
	s := servePort(t, func(o *Options) { o.Stream = newFlow() })
	peer := greet2(t, s.dial(t, nil, "h2"))
	for range maxStreamsOfConnection + 8 {
		request, _ := peer.get("/v1/stream", "monitor")
		if _, err := io.WriteString(peer, request); err != nil {
			t.Fatal(err)
		}
	}
	answered, refused := 0, 0
	for answered+refused < maxStreamsOfConnection+8 {
		switch kind, _ := peer.read(); kind {
		case frameHeaders:
			answered++
		case frameReset:
			refused++
		case 0xff:
			t.Fatalf("the connection ended after %d answers and %d refusals", answered, refused)
		}
	}
	if answered != maxStreamsOfConnection || refused != 8 {
		t.Errorf("%d streams are answered and %d refused", answered, refused)
	}
}

// Requests that are taken back at once (CVE-2023-44487) leave nothing behind, and others are served meanwhile.
func TestHTTP2RapidReset(t *testing.T) {
	s := servePort(t, func(o *Options) { o.Stream = newFlow() })
	peer := greet2(t, s.dial(t, nil, "h2"))
	go func() { _, _ = io.Copy(io.Discard, peer.in) }()
	var flood strings.Builder
	for range 20000 {
		request, stream := peer.get("/v1/stream", "monitor")
		flood.WriteString(request + frame(frameReset, 0, stream, "\x00\x00\x00\x08"))
	}
	sent := make(chan struct{})
	go func() {
		_, _ = io.WriteString(peer, flood.String()) // or as much as is taken
		close(sent)
	}()
	if response, _ := s.ask(t, s.browser(t, nil), "GET", "/healthz", nil); response.StatusCode != 200 {
		t.Errorf("another one gets %d", response.StatusCode)
	}
	<-sent
	await(t, "no stream is open", func() bool { return s.contents.streams.opened() == 0 })
}

// Bodies that do not arrive, over both versions.
func TestSlowBodiesOnThePort(t *testing.T) {
	for _, two := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := onPipes(t, newFlow())
			var protocols http.Protocols
			protocols.SetHTTP1(!two)
			protocols.SetUnencryptedHTTP2(two)
			transport := &http.Transport{Protocols: &protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }}
			defer transport.CloseIdleConnections()
			body, _ := io.Pipe()
			request, err := http.NewRequest("POST", "http://localhost/v1/actions/word-change", body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer admin")
			request.Header.Set("Content-Type", "application/json")
			began := time.Now()
			response, err := transport.RoundTrip(request)
			if err == nil {
				response.Body.Close()
				if response.StatusCode != 400 {
					t.Errorf("HTTP/2 %v: %d", two, response.StatusCode)
				}
			}
			if took := time.Since(began); took > requestTimeout+time.Second {
				t.Errorf("HTTP/2 %v: %v after %v", two, err, took)
			}
			body.Close()
		})
	}
}

// A reader who does not read is cut over HTTP/2, too, and other streams of his connection go on.
func TestSlowReadersOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		l := streaming(t, f, &keeper{})
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: &protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
			DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }}
		defer transport.CloseIdleConnections()
		open := func() *bufio.Reader {
			request, err := http.NewRequest("GET", "http://localhost/v1/stream", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer monitor")
			response, err := transport.RoundTrip(request)
			if err != nil || response.StatusCode != 200 {
				t.Fatal(response, err)
			}
			t.Cleanup(func() { response.Body.Close() })
			return bufio.NewReader(response.Body)
		}
		slow, quick := open(), open()
		block(t, quick)
		f.add(1, "event", strings.Repeat("x", 256<<10))
		block(t, quick)
		time.Sleep(streamWrite + time.Second)
		if _, err := io.Copy(io.Discard, slow); err == nil || !strings.Contains(err.Error(), "stream error") {
			t.Errorf("the slow one ends with %v", err)
		}
		f.add(2, "event", "{}")
		if got := block(t, quick); got != "id: 2\nevent: event\ndata: {}\n" {
			t.Errorf("%q", got)
		}
	})
}
