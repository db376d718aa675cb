package packages

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	bootstrapTimeout = 4 * time.Minute // a slow mirror; it takes 15 seconds usually
	commandTimeout   = time.Minute
	startTimeout     = 10 * time.Second
)

// suite is the Debian to install in.
func suite() string {
	if s := os.Getenv("NTPTSD_PACKAGE_SUITE"); s != "" {
		return s
	}
	return "bookworm"
}

// bootstrap gives the archive of a minimal Debian, and makes it first if it is not there: what is essential, what makes accounts,
// and no systemd.
func bootstrap() (string, error) {
	dir := filepath.Join(root, ".cache", "package")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	archive := filepath.Join(dir, suite()+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootstrapTimeout)
	defer cancel()
	part := archive + ".part"
	c := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=essential", "--include=passwd,systemd-standalone-sysusers", "--format=tar",
		suite(), part, "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian "+suite()+" main")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	return archive, os.Rename(part, archive)
}

// tree is a file tree that things run in: as its root, and in namespaces of their own where only loopback is.
type tree struct {
	dir    string
	inside int // a process that holds the namespaces
}

// unpack makes a tree of an archive.
func unpack(t *testing.T, archive string) *tree {
	t.Helper()
	x := &tree{dir: t.TempDir()}
	if err := os.Chmod(x.dir, 0o755); err != nil { // its root, for everybody
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "--numeric-owner", "--same-permissions", "-xf", archive, "-C", x.dir).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	// cat holds the namespaces until its input ends, at the latest with this test.
	holder := exec.Command("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "sh", "-c",
		`mkdir -p "$0/proc" && mount -t proc proc "$0/proc" && ip link set lo up && echo ready && exec cat`, x.dir)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	holder.Stderr = &said
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = holder.Wait()
	})
	line := make([]byte, len("ready\n"))
	if _, err := out.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("namespaces: %v %q\n%s", err, line, said.String())
	}
	x.inside = child(t, holder.Process.Pid)
	return x
}

// child is the only child of a process.
func child(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("children of %d: %q", pid, text)
	}
	return n
}

// command runs args in the tree as user, "0:0" for root.
func (x *tree) command(ctx context.Context, user string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(x.inside), "--mount", "--net", "--uts", "--ipc", "--pid", "--",
		"chroot", "--userspec=" + user, x.dir}, args...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// run runs args in the tree as root and gives what they said; they must succeed.
func (x *tree) run(t *testing.T, args ...string) string {
	t.Helper()
	return x.runAs(t, "0:0", args...)
}

func (x *tree) runAs(t *testing.T, user string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	out, err := x.command(ctx, user, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// path is a file of the tree, seen from here.
func (x *tree) path(name string) string { return filepath.Join(x.dir, name) }

func (x *tree) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(x.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (x *tree) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(x.path(name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(x.path(name), mode); err != nil {
		t.Fatal(err)
	}
}

// daemon is a running ntptsd.
type daemon struct {
	cmd  *exec.Cmd
	log  *bytes.Buffer
	pid  int
	done chan error
}

// serve starts ntptsd in the tree and gives what the probe of it says, once all that it says is good.
func (x *tree) serve(t *testing.T, user string) (*daemon, string) {
	t.Helper()
	d := &daemon{cmd: x.command(context.Background(), user, "/usr/bin/ntptsd"), log: &bytes.Buffer{}, done: make(chan error, 1)}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.done <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		out, err := x.probe(ctx, user)
		if err == nil {
			d.pid = child(t, d.cmd.Process.Pid)
			return d, out
		}
		select {
		case ended := <-d.done:
			t.Fatalf("ntptsd ended: %v\n%s", ended, d.log)
		case <-ctx.Done():
			t.Fatalf("the probe fails: %v\n%s", err, out)
		case <-time.After(50 * time.Millisecond): // until it listens
		}
	}
}

// probe exchanges keys and time as a client.
func (x *tree) probe(ctx context.Context, user string) (string, error) {
	out, err := x.command(ctx, user, "/usr/bin/ntptsctl", "probe", "--timeout", "2s", "--ca", "/etc/ntptsd/ca.pem", "127.0.0.1").CombinedOutput()
	return string(out), err
}

// stop ends the daemon as systemd would.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(d.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.done:
		if err != nil {
			t.Errorf("ntptsd ended with %v\n%s", err, d.log)
		}
	case <-time.After(startTimeout):
		t.Errorf("ntptsd does not end on SIGTERM")
	}
}

// status is a line of the daemon's /proc/PID/status.
func (d *daemon) status(t *testing.T, key string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no %s in\n%s", key, text)
	return ""
}
