package frontdoor

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// idleReaders are as many as may cost 50 MB.
const idleReaders = 1000

// readersVariable tells this test binary that it is the process of the readers: the version of HTTP, and where they read.
const readersVariable = "FRONTDOOR_READERS"

// TestReadersProcess says when each reader, with a connection of its own, has begun, and reads until its input ends.
func TestReadersProcess(t *testing.T) {
	version, at, ok := strings.Cut(os.Getenv(readersVariable), " ")
	if !ok {
		t.Skip("BenchmarkIdleReaders runs it")
	}
	for range idleReaders {
		c := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: version == "h2",
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{version}}}}
		request, err := http.NewRequest("GET", "https://"+at+"/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer monitor")
		response, err := c.Do(request)
		if err != nil || response.StatusCode != 200 {
			t.Fatal(response, err)
		}
		b := bufio.NewReader(response.Body)
		block(t, b)
		go func() { _, _ = io.Copy(io.Discard, b) }()
	}
	fmt.Println(allRead)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

const allRead = "all read"

// BenchmarkIdleReaders tells what a reader of the stream costs in resident memory, the handshakes and some samples included.
func BenchmarkIdleReaders(b *testing.B) {
	for _, version := range []string{"http/1.1", "h2"} {
		b.Run(version, func(b *testing.B) {
			for b.Loop() {
				f := newFlow()
				s := servePort(b, func(o *Options) { o.Stream, o.Connections = f, defaultConnections })
				s.slots.mu.Lock()
				s.slots.free += idleReaders
				s.slots.mu.Unlock()
				before := resident(b)
				readers := exec.Command(os.Args[0], "-test.run=^TestReadersProcess$", "-test.v")
				readers.Env = append(os.Environ(), readersVariable+"="+version+" "+s.tls)
				end, err := readers.StdinPipe()
				if err != nil {
					b.Fatal(err)
				}
				out, err := readers.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := readers.Start(); err != nil {
					b.Fatal(err)
				}
				for scan := bufio.NewScanner(out); scan.Scan() && scan.Text() != allRead; {
					if strings.Contains(scan.Text(), "FAIL") {
						b.Fatal(scan.Text())
					}
				}
				for i := range 5 {
					f.add(uint64(i+1), "sample", `{"offset_seconds":1e-6,"text":"`+strings.Repeat("x", 400)+`"}`)
					time.Sleep(200 * time.Millisecond)
				}
				if n := s.contents.streams.opened(); n != idleReaders {
					b.Fatalf("%d streams are open", n)
				}
				b.ReportMetric(float64(resident(b)-before)/idleReaders, "KiB/reader")
				_ = end.Close()
				if err := readers.Wait(); err != nil {
					b.Error(err)
				}
				await(b, "all connections are closed", func() bool { // which a write notices
					f.add(uint64(len(f.items)+1), "sample", "{}")
					time.Sleep(100 * time.Millisecond)
					return s.opened() == 0
				})
				s.slots.mu.Lock()
				s.slots.free -= idleReaders
				s.slots.mu.Unlock()
			}
		})
	}
}

// resident is the memory of this process in KiB.
func resident(b *testing.B) (kib int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	if _, err := fmt.Sscan(string(rest), &kib); err != nil {
		b.Fatal(err)
	}
	return kib
}
