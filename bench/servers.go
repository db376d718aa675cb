package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/test/interop/peers"
	"golang.org/x/sys/unix"
)

const startWithin = 10 * time.Second

// bench owns what was started for one run of the benchmark.
type bench struct {
	dir   string
	roots *x509.CertPool
	procs []*exec.Cmd
	log   *os.File // of the servers that are started from now on; nil: none
}

func newBench(ctx context.Context) (*bench, error) {
	dir, err := os.MkdirTemp("", "ntptsd-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir}
	out, err := exec.CommandContext(ctx, "bin/ntptsd", "init", "--dir", b.path("etc"), "--state-directory", b.path("state"), "localhost").CombinedOutput()
	if err != nil {
		return b, fmt.Errorf("ntptsd init: %w\n%s", err, out)
	}
	pem, err := os.ReadFile(b.path("etc/ca.pem"))
	if err != nil {
		return b, err
	}
	b.roots = x509.NewCertPool()
	b.roots.AppendCertsFromPEM(pem)
	return b, nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, text string) (string, error) {
	return b.path(name), os.WriteFile(b.path(name), []byte(text), 0o600)
}

// stop ends what was started, and removes the folder.
func (b *bench) stop() {
	b.stopServers()
	os.RemoveAll(b.dir)
}

// stopServers ends what was started, by its process id.
func (b *bench) stopServers() {
	for _, p := range b.procs {
		p.Process.Signal(syscall.SIGTERM)
		p.Wait()
	}
	b.procs = nil
}

// start runs a server on the last core; the load runs on the others.
func (b *bench) start(args ...string) (*exec.Cmd, error) {
	c := exec.Command(args[0], args[1:]...)
	if b.log != nil {
		c.Stderr = b.log
	}
	if os.Getenv("NTPTSD_BENCH_VERBOSE") != "" {
		c.Stderr = os.Stderr
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startPinned(c, runtime.NumCPU()-1); err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	b.procs = append(b.procs, c)
	if filepath.Base(args[0]) == filepath.Base(os.Args[0]) { // a bare server says when it is ready
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "ready") {
			return nil, fmt.Errorf("%s did not start: %q %v", strings.Join(args, " "), line, err)
		}
	}
	return c, nil
}

// startPinned starts c on one core: a child inherits the affinity of the thread that forks it.
func startPinned(c *exec.Cmd, core int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	only.Set(core)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &before)
	return c.Start()
}

// ready waits until a TCP port takes connections.
func ready(addr string) error {
	for end := time.Now().Add(startWithin); ; {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ours starts bin/ntptsd.
func (b *bench) ours(ke, udp string) (int, error) {
	conf, err := b.write("ntptsd.toml", fmt.Sprintf(`
state-directory = %q
[keyexchange]
listen = [%q]
certificate = %q
key = %q
max-connections-per-prefix = 1000
[timeserver]
listen = [%q]
[clock]
source = "fixed"
stratum = 3
[log]
level = "error"
`, b.path("state"), ke, b.path("etc/server.pem"), b.path("etc/server.key"), udp))
	if err != nil {
		return 0, err
	}
	c, err := b.start("bin/ntptsd", "run", "--config", conf)
	if err != nil {
		return 0, err
	}
	return c.Process.Pid, ready(ke)
}

// chronyd starts a release's chronyd that never sets the clock: -x, and without the right to.
func (b *bench) chronyd(tree *peers.Tree, name, ke, udp string) (int, error) {
	_, kePort, _ := net.SplitHostPort(ke)
	_, port, _ := net.SplitHostPort(udp)
	run := b.path(name)
	if err := os.Mkdir(run, 0o700); err != nil {
		return 0, err
	}
	conf, err := b.write(name+".conf", fmt.Sprintf(`
port %s
ntsport %s
bindaddress 127.0.0.1
allow 127.0.0.1
local stratum 3
ntsservercert %s
ntsserverkey %s
ntsdumpdir %s
maxntsconnections 1000
cmdport 0
bindcmdaddress /
pidfile %s/chronyd.pid
driftfile %s/drift
`, port, kePort, b.path("etc/server.pem"), b.path("etc/server.key"), run, run, run))
	if err != nil {
		return 0, err
	}
	line := append([]string{"setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "--"},
		tree.Command("usr/sbin/chronyd", "-x", "-d", "-u", "root", "-f", conf)...)
	c, err := b.start(line...)
	if err != nil {
		return 0, err
	}
	return c.Process.Pid, ready(ke)
}
