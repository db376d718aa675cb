package keyexchange

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const octetTime = 700 * time.Millisecond // no deadline is a multiple of it

// slowly sends one octet at a time until the other side has had enough.
func slowly(c io.Writer, b []byte) {
	for i := range b {
		time.Sleep(octetTime)
		if _, err := c.Write(b[i : i+1]); err != nil {
			return
		}
	}
}

// captureHello returns the octets of a ClientHello.
func captureHello(f *fixture) []byte {
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, f.clientConfig()).Handshake() }()
	b := make([]byte, 16<<10)
	n, _ := server.Read(b)
	server.Close()
	return b[:n]
}

// TestSlowPeersEndInTime: in the time of a bubble, each stage ends exactly when it should, whatever came by then.
func TestSlowPeersEndInTime(t *testing.T) {
	tests := []struct {
		name    string
		peer    func(f *fixture, c net.Conn) // returns when the connection has ended
		verdict Verdict
		after   time.Duration
	}{
		{"silent", func(f *fixture, c net.Conn) {
			_, _ = io.ReadAll(c)
		}, HelloTimeout, 2 * time.Second},
		{"slow hello", func(f *fixture, c net.Conn) {
			slowly(c, captureHello(f))
		}, HelloTimeout, 3 * octetTime}, // noticed by the octet after
		{"silent after the hello", func(f *fixture, c net.Conn) {
			if _, err := c.Write(captureHello(f)); err != nil {
				f.t.Error(err)
			}
			_, _ = io.ReadAll(c)
		}, HandshakeTimeout, 3 * time.Second},
		{"silent after the handshake", func(f *fixture, c net.Conn) {
			conn := tls.Client(c, f.clientConfig())
			if err := conn.Handshake(); err != nil {
				f.t.Error(err)
			}
			if b, _ := io.ReadAll(conn); !bytes.Equal(b, badRequest) {
				f.t.Errorf("got %x, want error 1", b)
			}
			conn.Close()
		}, Incomplete, 3 * time.Second},
		{"slow request", func(f *fixture, c net.Conn) {
			conn := tls.Client(c, f.clientConfig())
			if err := conn.Handshake(); err != nil {
				f.t.Error(err)
			}
			var sending sync.WaitGroup
			sending.Go(func() { slowly(conn, chronyRequest) })
			f.t.Cleanup(sending.Wait)
			if b, _ := io.ReadAll(conn); !bytes.Equal(b, badRequest) {
				f.t.Errorf("got %x, want error 1", b)
			}
			conn.Close()
		}, Incomplete, 3 * time.Second},
		{"late by a hair", func(f *fixture, c net.Conn) {
			time.Sleep(2*time.Second - time.Millisecond)
			conn := tls.Client(c, f.clientConfig())
			if err := conn.Handshake(); err != nil {
				f.t.Error(err)
			}
			time.Sleep(time.Second - time.Millisecond)
			if _, err := conn.Write(chronyRequest); err != nil {
				f.t.Error(err)
			}
			readResponse(f.t, conn)
			conn.Close()
		}, Served, 3*time.Second - 2*time.Millisecond},
		{"takes no response", func(f *fixture, c net.Conn) {
			conn := tls.Client(c, f.clientConfig())
			if _, err := conn.Write(chronyRequest); err != nil {
				f.t.Error(err)
			}
			time.Sleep(5*time.Second - time.Nanosecond)
			synctest.Wait()
			before := f.slots.Taken()
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if after := f.slots.Taken(); before != 1 || after != 0 {
				f.t.Errorf("%d connections before the deadline and %d after", before, after)
			}
		}, Gone, 5 * time.Second},
		{"takes the response but not our goodbye", func(f *fixture, c net.Conn) {
			conn := tls.Client(c, f.clientConfig())
			if err := conn.Handshake(); err != nil {
				f.t.Error(err)
			}
			time.Sleep(2900 * time.Millisecond)
			if _, err := conn.Write(chronyRequest); err != nil {
				f.t.Error(err)
			}
			if _, err := conn.Read(make([]byte, 4096)); err != nil {
				f.t.Error(err)
			}
			for f.slots.Taken() > 0 {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
		}, Served, 5 * time.Second},
		{"a hello without end", func(f *fixture, c net.Conn) {
			sent := 0
			for record := append(unhex("1603010400"), make([]byte, 1024)...); ; {
				if sent == 0 {
					copy(record[5:], unhex("0100ffff")) // a ClientHello of 64 KiB
				}
				n, err := c.Write(record)
				if sent += n; err != nil {
					break
				}
				clear(record[5:9])
			}
			if sent != maxHandshake {
				f.t.Errorf("%d octets of a hello were taken", sent)
			}
		}, HandshakeFailed, 0},
		{"never says goodbye", func(f *fixture, c net.Conn) {
			conn := tls.Client(c, f.clientConfig())
			if _, err := conn.Write(chronyRequest); err != nil {
				f.t.Error(err)
			}
			readResponse(f.t, conn)
			_, _ = io.ReadAll(c)
		}, Served, time.Second},
		{"goes on for ever", func(f *fixture, c net.Conn) {
			conn := tls.Client(c, f.clientConfig())
			if _, err := conn.Write(chronyRequest); err != nil {
				f.t.Error(err)
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			for {
				if _, err := conn.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		}, Served, 0}, // as soon as it has sent too much
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				f := start(t, defaults(), l)
				began := time.Now()
				c := l.dial("192.0.2.1")
				test.peer(f, c)
				if after := time.Since(began); after != test.after {
					t.Errorf("the connection ended after %v, want %v", after, test.after)
				}
				c.Close()
				f.stop(map[Verdict]int{test.verdict: 1})
			})
		})
	}
}

func TestExchangesUnderWayAreFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		f := start(t, defaults(), l)
		silent := l.dial("192.0.2.2")
		defer silent.Close()
		conn := tls.Client(l.dial("192.0.2.1"), f.clientConfig())
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		f.end()
		synctest.Wait()
		select {
		case <-l.closed:
		default:
			t.Error("the listener is still open")
		}
		select {
		case err := <-f.ended:
			t.Fatalf("Run returned %v with an exchange under way", err)
		default:
		}
		if _, err := conn.Write(chronyRequest); err != nil {
			t.Fatal(err)
		}
		readResponse(t, conn)
		conn.Close()
		f.stop(map[Verdict]int{Served: 1, HelloTimeout: 1})
		if after := time.Since(began); after != 2*time.Second {
			t.Errorf("Run returned after %v, want the silent peer's deadline", after)
		}
	})
}
