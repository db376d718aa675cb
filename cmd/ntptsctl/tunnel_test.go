package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

// toolEnv makes this test binary a program that is tunnelled.
const toolEnv = "NTPTSCTL_TEST_TOOL"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "tunnel": // re-executed
		root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(tunnelCommand(nil, new(int)))
		if err := root.Execute(); err != nil {
			fmt.Println(err)
			os.Exit(99)
		}
	case os.Getenv(toolEnv) != "":
		os.Exit(beTool(os.Args[1:]))
	default:
		os.Exit(m.Run())
	}
}

// beTool asks as ntpq or chronyc do: the arguments after "ask" one by one, and prints the answers.
func beTool(args []string) int {
	fmt.Println("arguments", args)
	address := net.JoinHostPort(args[len(args)-1], "123")
	if args[0] == "-h" {
		address = net.JoinHostPort(args[1], args[3])
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		fmt.Println(err)
		return 98
	}
	b := make([]byte, 2000)
	for _, a := range args {
		switch question, ok := strings.CutPrefix(a, "ask="); {
		case ok:
			fmt.Fprint(conn, question)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := conn.Read(b)
			fmt.Println(string(b[:n]), err)
		case a == "fail":
			return 7
		case a == "wait":
			time.Sleep(time.Minute)
		}
	}
	return 0
}

// ourTools puts this binary where ntpq and chronyc are looked for.
func ourTools(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"ntpq", "chronyc"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexec '"+self+"' \"$@\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv(toolEnv, "1")
}

// A far is a server at the other end: it answers greetings, and "answer to" what it is asked.
type far struct {
	answer string       // to greetings
	each   int          // questions that one connection answers before it ends; 0: all
	opened atomic.Int32 // connections
	token  atomic.Pointer[string]
	reply  func(question []byte) []byte // instead of "answer to"
	hosts  []string                     // that were asked for
}

func (f *far) dial(_ context.Context, alpn string) (net.Conn, error) {
	ours, its := net.Pipe()
	f.opened.Add(1)
	go f.serve(its, alpn)
	return ours, nil
}

func (f *far) serve(conn net.Conn, alpn string) {
	defer conn.Close()
	room := make([]byte, tunnel.MaxDatagram)
	for n := 0; f.each == 0 || n <= f.each; n++ {
		b, err := tunnel.ReadFrame(conn, room)
		if err != nil {
			return
		}
		answer := "answer to " + string(b) + " over " + alpn
		if token, ok := tunnel.ParseGreeting(b); ok {
			f.token.Store(&token)
			answer = f.answer
		} else if f.reply != nil {
			answer = string(f.reply(b))
		}
		frame, err := tunnel.AppendFrame(nil, []byte(answer))
		if err != nil {
			return
		}
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}

// through runs ntptsctl tunnel.
func through(t *testing.T, f *far, token string, args ...string) (code int, out string, err error) {
	t.Helper()
	var b bytes.Buffer
	root := &cobra.Command{SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(tunnelCommand(func(host string) dialer {
		f.hosts = append(f.hosts, host)
		return greeted("host.example", f.dial, token)
	}, &code))
	root.SetArgs(append([]string{"tunnel"}, args...))
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetIn(bytes.NewReader(nil))
	err = root.ExecuteContext(t.Context())
	if errors.Is(err, errForbidden) {
		t.Skip(err)
	}
	return code, b.String(), err
}

func TestChroncyThroughTheTunnel(t *testing.T) {
	ourTools(t)
	f := &far{answer: "OK"}
	code, out, err := through(t, f, "t1", "chronyc", "host", "-n", "ask=1", "ask=2", "fail")
	if err != nil || code != 7 || *f.token.Load() != "t1" || f.opened.Load() != 1 {
		t.Errorf("code %d, %v, %d connections", code, err, f.opened.Load())
	}
	for _, want := range []string{"arguments [-h 127.0.0.1 -p ", " -n ask=1 ask=2 fail]\n", "answer to 1 over ntptsd-cmdmon/1 <nil>\n", "answer to 2 over"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestNtpqThroughTheTunnel(t *testing.T) {
	ourTools(t)
	f := &far{answer: "OK"}
	code, out, err := through(t, f, "", "ntpq", "host", "-p", "ask=1", "fail")
	if err != nil || code != 7 {
		t.Fatalf("code %d, %v\n%s", code, err, out)
	}
	want := "arguments [-n -p ask=1 fail 127.0.0.1]\nanswer to 1 over ntptsd-mode6/1 <nil>\n"
	if out != want {
		t.Errorf("%q, want %q", out, want)
	}
}

// The server ends idle connections, and the program asks on.
func TestTunnelIsOpenedAgain(t *testing.T) {
	ourTools(t)
	f := &far{answer: "OK", each: 1}
	_, out, err := through(t, f, "", "chronyc", "host", "ask=1", "ask=2", "ask=3")
	if err != nil || f.opened.Load() != 3 || !strings.Contains(out, "answer to 3") {
		t.Errorf("%v, %d connections\n%s", err, f.opened.Load(), out)
	}
}

// Nothing starts when the server does not let us ask, and its words cannot move a cursor.
func TestTunnelTellsWhyBeforeAnythingStarts(t *testing.T) {
	ourTools(t)
	for answer, want := range map[string]string{
		"NO the daemon next door is chrony\x1b[2J": "there refuses: the daemon next door is chrony",
		"HTTP/1.1 400 Bad Request":                 "is ntptsd there?",
	} {
		_, out, err := through(t, &far{answer: answer}, "", "ntpq", "host.example", "-p")
		if err == nil || out != "" || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "host.example: ") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v\n%s", answer, err, out)
		}
	}
	if _, _, err := through(t, &far{}, strings.Repeat("x", tunnel.MaxToken+1), "ntpq", "host"); err == nil || !strings.Contains(err.Error(), "at most 512") {
		t.Error(err)
	}
}

// Who says the host elsewhere writes -- in its place, and what is behind it is the program's.
func TestTunnelWithoutHost(t *testing.T) {
	ourTools(t)
	for _, c := range []struct{ args, host, want string }{
		{"chronyc -- -n ask=1", "", " -n ask=1]\nanswer to 1"},
		{"chronyc -- sources", "", " sources]\n"},
		{"chronyc --", "", "arguments [-h 127.0.0.1 -p "},
		{"chronyc host -- -n", "host", " -- -n]\n"},
	} {
		f := &far{answer: "OK"}
		if _, out, err := through(t, f, "", strings.Fields(c.args)...); err != nil || !slices.Equal(f.hosts, []string{c.host}) || !strings.Contains(out, c.want) {
			t.Errorf("%s: to %q, %v\n%s\nwant %q", c.args, f.hosts, err, out, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte("default-profile = \"a\"\n[profile.a]\nhost = \"127.0.0.1:1\"\n[profile.b]\nsocket = \"/s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--host 127.0.0.1:1 tunnel chronyc -- -n sources":   "ntptsctl: 127.0.0.1:1: connection refused",
		"--config FILE tunnel chronyc -- -n sources":        "ntptsctl: 127.0.0.1:1: connection refused",
		"tunnel chronyc 127.0.0.1:1 sources":                "ntptsctl: 127.0.0.1:1: connection refused",
		"--config FILE --profile b tunnel chronyc -- -n":    "neither --host nor a profile says which",
		"--config FILE tunnel chronyc b -n":                 "this profile has a socket",
		"tunnel chronyc -- -n sources":                      "neither --host nor a profile says which",
		"--host 127.0.0.1:1 tunnel chronyc sources":         `write -- in the place of HOST, or before "sources"`,
		"--host 127.0.0.1:1 tunnel chronyc -n sources":      "after -- if --host or a profile says the host; see ntptsctl tunnel chronyc --help",
		"--host 127.0.0.1:1 --socket /s tunnel chronyc --":  "give one of them",
		"--host 127.0.0.1:1 tunnel chronyc":                 "takes a HOST first, or -- if --host or a profile says it",
		"tunnel chronyc --ca /none 127.0.0.1:1 sources":     "open /none: no such file",
		"--profile none --config FILE tunnel chronyc -- -n": "there is no profile",
	} {
		code, _, stderr := remotely(t, strings.Fields(strings.ReplaceAll(args, "FILE", file))...)
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Count(stderr, "127.0.0.1:1") > 1 {
			t.Errorf("%s: exit %d, %s; want %q", args, code, stderr, want)
		}
	}
}

func TestTunnelNeedsTheProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name, want := range map[string]string{"ntpq": "package ntpsec", "chronyc": "package chrony"} {
		f := &far{answer: "OK"}
		if _, _, err := through(t, f, "", name, "host"); err == nil || !strings.Contains(err.Error(), want) || f.opened.Load() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTunnelArguments(t *testing.T) {
	ourTools(t)
	for want, args := range map[string][]string{
		"takes a HOST first":  {"chronyc"},
		"HOST is empty":       {"chronyc", "", "-n"}, // a variable of a script that was never set
		"leave the tunnel":    {"chronyc", "host", "-h", "10.0.0.1"},
		"such as 127.0.0.2":   {"ntpq", "--loopback", "192.0.2.1", "host"},
		"for ntptsctl itself": {insideName, "/bin/true"},
	} {
		if _, _, err := through(t, &far{answer: "OK"}, "", args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// A signal that only we get ends the program, and the code is what a shell has.
func TestSignalsReachTheProgram(t *testing.T) {
	ourTools(t)
	f := &far{answer: "OK"}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for f.opened.Load() == 0 || !slices.ContainsFunc(children(t), func(line string) bool { return strings.Contains(line, "wait") }) {
			time.Sleep(time.Millisecond)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
	code, out, err := through(t, f, "", "chronyc", "host", "wait")
	<-told
	if err != nil || code != 128+int(syscall.SIGTERM) {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}

// children are the command lines of our child processes, once they are what they shall be.
func children(t *testing.T) (all []string) {
	t.Helper()
	found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	if len(found) == 0 {
		t.Skip("no /proc here that shows children")
	}
	for _, f := range found {
		b, _ := os.ReadFile(f)
		for _, pid := range strings.Fields(string(b)) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			all = append(all, string(line))
		}
	}
	return all
}

// Only the program is answered, whoever else knows the port; too long datagrams go nowhere.
func TestRelayIsForTheProgramOnly(t *testing.T) {
	local, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	socket := func() *net.UDPConn {
		c, err := net.DialUDP("udp4", nil, local.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	program, other := socket(), socket()
	ours, its := net.Pipe()
	r := &relay{local: local, dial: func() (net.Conn, error) { return nil, io.EOF },
		mine: func(from netip.AddrPort) bool { return from == program.LocalAddr().(*net.UDPAddr).AddrPort() }}
	done := make(chan struct{})
	go func() { defer close(done); r.run(ours) }()
	_, _ = other.Write([]byte("somebody else's"))
	_, _ = program.Write(make([]byte, tunnel.MaxDatagram+1))
	_, _ = program.Write([]byte("question"))
	b, err := tunnel.ReadFrame(its, make([]byte, tunnel.MaxDatagram))
	if err != nil || string(b) != "question" {
		t.Errorf("%q, %v", b, err)
	}
	frame, _ := tunnel.AppendFrame(nil, []byte("answer"))
	if _, err := its.Write(frame); err != nil {
		t.Fatal(err)
	}
	_ = program.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := make([]byte, 100)
	if n, err := program.Read(got); err != nil || string(got[:n]) != "answer" {
		t.Errorf("%q, %v", got[:n], err)
	}
	local.Close()
	<-done
	if _, err := its.Write(frame); err == nil {
		t.Error("the connection is still open")
	}
}

// A port that was silent may be somebody else's by now.
func TestRelayAsksAgainWhosePortItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}
		asked, its := 0, true
		r := &relay{mine: func(netip.AddrPort) bool { asked++; return its }}
		for i, c := range []struct {
			after     time.Duration
			its, want bool
			asked     int
		}{
			{0, true, true, 1},
			{trusted, false, true, 1}, // it speaks all the time
			{trusted, false, true, 1},
			{trusted + time.Millisecond, true, true, 2},
			{trusted + time.Millisecond, false, false, 3},
			{0, false, false, 4},
			{0, true, true, 5},
		} {
			time.Sleep(c.after)
			if its = c.its; r.accept(port) != c.want || asked != c.asked {
				t.Errorf("datagram %d: accepted %v, asked %d times, want %d", i, !c.want, asked, c.asked)
			}
		}
	})
}

func TestOwnSockets(t *testing.T) {
	conn, err := net.Dial("udp4", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	address := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	mine := ownSockets(os.Getpid())
	if !mine(address) {
		t.Errorf("%v is not ours", address)
	}
	conn.Close()
	if mine(address) {
		t.Errorf("%v is ours, though nobody has it", address)
	}
}
