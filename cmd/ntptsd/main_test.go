package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ntptsd/ntptsd/internal/sandbox"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ntptsd": main, "under-unit": underUnit})
}

// Each script runs the real main as a process of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NOTIFY_SOCKET", "")
			unit, err := filepath.Abs("../../packaging/ntptsd.service")
			env.Setenv("UNIT", unit)
			return err
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "nobody":
				_, err := user.Lookup("nobody")
				return err == nil, nil
			case "sandbox": // all of it
				return sandbox.Lacking() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serves":  serves,
			"metric":  metric,
			"port":    port,
			"dial":    dial,
			"ask":     ask,
			"process": processStatus,
			"nodump":  nodump,
			"signal":  sendSignal,
			"fails":   fails,
			"expand":  expand,
			"room":    room,
			"https":   https,
		},
	})
}

// patience bounds every wait of a script; the machine may be busy.
const patience = 30 * time.Second

// until tries again until it works.
func until(ts *testscript.TestScript, try func() error) {
	late := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(late) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// get asks the control socket.
func get(socket, path string) (string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	r, err := client.Get("http://ntptsd" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = errors.New(r.Status)
	}
	return string(body), err
}

// serves SOCKET waits until the daemon behind a control socket is up.
func serves(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, func() error {
		_, err := get(ts.MkAbs(args[0]), "/healthz")
		return err
	})
}

// metric SOCKET REGEXP waits until a line of /metrics matches.
func metric(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)^" + args[1] + "$")
	until(ts, func() error {
		body, err := get(ts.MkAbs(args[0]), "/metrics")
		if err == nil && !want.MatchString(body) {
			err = fmt.Errorf("no line of /metrics matches %s:\n%s", want, body)
		}
		return err
	})
}

// port VARIABLE finds a free TCP port of the loopback interface.
func port(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	_, number, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], number)
}

// dial ADDRESS connects and waits to be let go.
func dial(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, func() error {
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err = io.WriteString(c, "no TLS at all\r\n\r\n"); err == nil {
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.Copy(io.Discard, c)
		}
		return err
	})
}

// ask ADDRESS sends an NTP request until there is an answer.
func ask(ts *testscript.TestScript, _ bool, args []string) {
	c, err := net.Dial("udp", args[0])
	ts.Check(err)
	defer c.Close()
	until(ts, func() error {
		const length = 48 // RFC 5905 section 7.3
		request := [length]byte{0: 4<<3 | 3}
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write(request[:]); err != nil {
			return err
		}
		answer := make([]byte, 2*length)
		n, err := c.Read(answer)
		if err == nil && n != length {
			err = fmt.Errorf("an answer of %d octets", n)
		}
		return err
	})
}

// processStatus SOCKET FIELD VALUE compares a line of /proc/PID/task/TID/status of every thread of the daemon that serves there.
func processStatus(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := peer(ts.MkAbs(args[0]))
	ts.Check(err)
	threads, err := filepath.Glob(filepath.Join("/proc", fmt.Sprint(pid), "task", "*", "status"))
	ts.Check(err)
	seen := 0
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) { // it has ended
			continue
		}
		ts.Check(err)
		_, after, found := strings.Cut(string(text), "\n"+args[1]+":")
		if !found {
			ts.Fatalf("no line %s", args[1])
		}
		value, _, _ := strings.Cut(after, "\n")
		if got := strings.Join(strings.Fields(value), " "); got != args[2] {
			ts.Fatalf("%s: %s: %s, want %s", thread, args[1], got, args[2])
		}
		seen++
	}
	if seen < 2 {
		ts.Fatalf("%d threads seen of %d", seen, len(threads))
	}
}

// signal SOCKET NAME sends the daemon that serves there a signal.
func sendSignal(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := peer(ts.MkAbs(args[0]))
	ts.Check(err)
	number := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}[args[1]]
	ts.Check(syscall.Kill(int(pid), number))
}

// room SOCKET OCTETS lets no file of the daemon that serves there grow beyond that, as a full disk would; or unlimited.
func room(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := peer(ts.MkAbs(args[0]))
	ts.Check(err)
	octets := uint64(math.MaxUint64)
	if args[1] != "unlimited" {
		octets, err = strconv.ParseUint(args[1], 10, 64)
		ts.Check(err)
	}
	ts.Check(bound(pid, octets))
}

// fails CODE COMMAND... wants that exit code.
func fails(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || fmt.Sprint(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit code %s", err, args[0])
	}
}

// expand FILE... puts the values of variables where $NAME stands.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}
