// Package scripts runs the real binaries together, as a person would type it: one text file a behaviour.
package scripts

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/test/build"
	"github.com/rogpeppe/go-internal/testscript"
)

const readyWithin = 20 * time.Second

func TestScripts(t *testing.T) {
	bin := t.TempDir()
	if err := build.Into(bin, "../.."); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ports": ports, "ready": ready, "expand": expand, "metrics": metrics},
	})
}

// ports NAME...: a free port each, for TCP and UDP, as an environment variable.
func ports(ts *testscript.TestScript, neg bool, names []string) {
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		c, err := net.ListenPacket("udp", l.Addr().String())
		ts.Check(err)
		ts.Setenv(name, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
		ts.Check(l.Close())
		ts.Check(c.Close())
	}
}

// expand FILE...: environment variables in the files.
func expand(ts *testscript.TestScript, neg bool, files []string) {
	for _, f := range files {
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(os.Expand(ts.ReadFile(f), ts.Getenv)), 0o600))
	}
}

// client speaks HTTP to a control socket.
func client(socket string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// metrics SOCKET FILE: what the daemon counts.
func metrics(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: metrics SOCKET FILE")
	}
	resp, err := client(ts.MkAbs(args[0])).Get("http://ntptsd/metrics")
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// ready SOCKET: wait until the daemon behind this control socket says that it serves.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ready SOCKET")
	}
	c := client(ts.MkAbs(args[0]))
	for end := time.Now().Add(readyWithin); ; time.Sleep(20 * time.Millisecond) {
		resp, err := c.Get("http://ntptsd/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			ts.Fatalf("not ready within %v: %v", readyWithin, err)
		}
	}
}
