package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// raw answers these octets to whatever is asked, and hangs up.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, path := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			request, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				_, _ = io.Copy(io.Discard, request.Body)
				_, _ = io.WriteString(c, answer)
			}
			c.Close()
		}
	}()
	return path
}

// A daemon with too many connections answers at once, and hears nothing.
func TestRefusedAtTheDoor(t *testing.T) {
	l, path := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: 42\r\n"+
				"Connection: close\r\n\r\n"+`{"code":"unavailable","detail":"too many"}`)
			c.Close()
		}
	}()
	for range 20 {
		code, stdout, stderr := ctl(t, path, "reload")
		if code != exitFailed || stdout != "" || stderr != "ntptsctl: too many\n" {
			t.Errorf("exit %d, %q, %q", code, stdout, stderr)
		}
	}
}

func TestHostileDaemon(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	const problem = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n\r\n"
	long := strings.Repeat("[", maxAnswer)
	for name, c := range map[string]struct{ answer, want string }{
		"nothing":              {"", "does not answer as ntptsd does: unexpected EOF"},
		"no HTTP":              {"\x1b[2JHello\r\n", "does not answer as ntptsd does"},
		"bad header":           {"HTTP/1.1 200 OK\r\nX\x1b[2J\r\n\r\n{}", "does not answer as ntptsd does"},
		"endless header":       {"HTTP/1.1 200 OK\r\nX: " + long + long + long, "does not answer as ntptsd does"},
		"another content type": {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{}", `answers "sources" with status 200: is ntptsd behind it`},
		"no content type":      {"HTTP/1.1 200 OK\r\n\r\n{}", "is ntptsd behind it, and as new as this ntptsctl?"},
		"redirect":             {"HTTP/1.1 302 Found\r\nLocation: /v1/reload\r\n\r\n", "with status 302"},
		"JSON that failed":     {"HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\n\r\n{}", "with status 500"},
		"problem without JSON": {problem + "\x1b[2J", `refuses, and says nothing that can be read: invalid character '\x1b'`},
		"empty":                {ok + "\r\n", `answers to "sources": it is no JSON object`},
		"null":                 {ok + "\r\nnull", "it is no JSON object"},
		"another shape":        {ok + "\r\n" + `{"sources":{"a":1}}`, "cannot unmarshal object"},
		"no list":              {ok + "\r\n{}", `it has no list "sources"`},
		"invalid JSON":         {ok + "\r\n{\"sources\":[\x1b]}", `invalid character '\x1b'`},
		"half the JSON":        {ok + "\r\n" + `{"sources":[`, "unexpected end of JSON input"},
		"half the length":      {ok + "Content-Length: 99\r\n\r\n" + `{"sources":[]}`, "breaks off: unexpected EOF"},
		"half a chunk":         {ok + "Transfer-Encoding: chunked\r\n\r\n99\r\n" + `{"sources":[]}`, "breaks off"},
		"bad chunk":            {ok + "Transfer-Encoding: chunked\r\n\r\n\x1b[2J", "breaks off"},
		"too long":             {ok + "\r\n" + long + long, "is longer than 8388608 octets"},
		"too long, as said":    {ok + "Content-Length: 99999999999\r\n\r\n" + long + long, "is longer than 8388608 octets"},
		"too many items":       {ok + "\r\n" + `{"sources":[` + strings.Repeat("{},", maxItems) + `{}]}`, "has more than 65536 items in its lists"},
		"too many columns":     {ok + "\r\n" + `{"sources":[],"x":[` + strings.Repeat("[],", maxItems/2) + strings.Repeat("[0],", maxItems/2) + `0]}`, "has more than 65536 items in its lists"},
		"a very long number":   {ok + "\r\n" + `{"sources":[{"stratum":` + strings.Repeat("1", 1<<20) + `}]}`, "cannot unmarshal number 1111"},
		"a deep hole":          {ok + "\r\n" + `{"sources":[],"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", "nests deeper than 32 levels"},
	} {
		code, stdout, stderr := ctl(t, raw(t, c.answer), "sources", "--json")
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) || len(stderr) > 1000 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %.1000q; want %d and %q", name, code, stdout, stderr, exitUsage, c.want)
		}
		checkSafe(t, name, stderr)
	}
}

// After a change that was asked for and not answered nobody knows whether it was done.
func TestUnknownOutcome(t *testing.T) {
	socket := raw(t, "")
	for words, unknown := range map[string]bool{"reload": true, "keys rotate": true, "keys": false} {
		code, _, stderr := ctl(t, socket, strings.Fields(words)...)
		want := fmt.Sprintf("whether %q was done is not known: ask again with --idempotency-key ", words)
		if code != exitUsage || strings.Contains(stderr, want) != unknown {
			t.Errorf("%s: exit %d, %s", words, code, stderr)
		}
	}
}

func TestTimeoutAndInterrupt(t *testing.T) {
	asked := make(chan struct{}, 2)
	half := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	code, stdout, stderr := ctlFor(ctx, daemon(t, half), "sources", "--timeout", "1h")
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, "interrupted before the whole answer") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	socket := daemon(t, half)
	code, stdout, stderr = ctl(t, socket, "reload", "--timeout", "50ms")
	if want := "no whole answer from " + socket + " within 50ms; --timeout waits longer"; code != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
		t.Errorf("exit %d, %q, %q; want %q", code, stdout, stderr, want)
	}
}

func TestSocketThatCannotBeReached(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nonexistent/s":               "no such file or directory: is ntptsd running? --socket PATH names another socket",
		dead:                           "connection refused: nobody listens there any more; see systemctl status ntptsd",
		file:                           "nobody listens there",
		"/" + strings.Repeat("x", 200): "invalid argument",
	} {
		code, stdout, stderr := ctl(t, path, "reload")
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) || strings.Contains(stderr, "not known") {
			t.Errorf("%.50s: exit %d, %q, %q; want %q", path, code, stdout, stderr, want)
		}
	}
	denied := explainSocket(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if want := "permission denied: run it as root, or join the group ntptsd and log in again"; !strings.HasSuffix(denied.Error(), want) {
		t.Errorf("%v, want %s", denied, want)
	}
	busy := explainSocket(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EAGAIN)})
	if !strings.HasSuffix(busy.Error(), "try again later") {
		t.Error(busy)
	}
}
