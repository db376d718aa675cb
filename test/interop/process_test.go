package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	commandTimeout = 20 * time.Second // a tool that asks a daemon something
	stopTimeout    = 5 * time.Second  // a daemon that was told to end
	logTail        = 6000             // octets of a log shown when a case fails
)

// inside is the command line that runs args in the host with the lab's names and without the right to set the clock: what
// is not in the bounding set is gone with the next exec, for root too. Each step replaces the one before, so the process
// id stays.
func (h *host) inside(args []string) []string {
	return append([]string{"ip", "netns", "exec", h.ns,
		"sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, h.lab.names,
		"setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time", "--"}, args...)
}

// run runs a tool in the host and gives what it printed.
func (h *host) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	line := h.inside(args)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", filepath.Base(args[0]), err, out)
	}
	return string(out), nil
}

// A process is a daemon under test. It ends with the test, or when told.
type process struct {
	t       *testing.T
	name    string
	log     string
	line    []string
	program string
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
}

// start starts a daemon, which must stay in the foreground, and checks that it cannot set the clock. It is run through the
// prefix, if there is one, which must replace itself by it.
func (h *host) start(name string, args []string, prefix ...string) *process {
	t := h.lab.t
	t.Helper()
	p := &process{t: t, name: h.name + " " + name, log: filepath.Join(h.lab.dir, h.name+"-"+name+".log"),
		line: h.inside(slices.Concat(prefix, args)), program: filepath.Base(args[0])}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			p.showLog()
		}
	})
	p.launch()
	return p
}

func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd, done := exec.Command(p.line[0], p.line[1:]...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd, p.done = cmd, done
	go func() {
		cmd.Wait()
		close(done)
	}()
	eventually(p.t, commandTimeout, func() error { return p.powerless(p.program) })
}

// restart ends the daemon and starts it again as it was.
func (p *process) restart() {
	p.t.Helper()
	p.stop()
	p.launch()
}

// powerless tells whether the daemon runs, and without CAP_SYS_TIME in any set.
func (p *process) powerless(program string) error {
	select {
	case <-p.done:
		p.t.Fatalf("%s ended: %v", p.name, p.cmd.ProcessState)
	default:
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.cmd.Process.Pid))
	if err != nil {
		return err
	}
	if filepath.Base(exe) != program {
		return fmt.Errorf("%s is still %s", p.name, exe)
	}
	sets, err := p.capabilities()
	if err != nil {
		return err
	}
	for name, set := range sets {
		if set&(1<<unix.CAP_SYS_TIME) != 0 {
			p.t.Fatalf("%s may set the clock: %s %x", p.name, name, set)
		}
	}
	return nil
}

func (p *process) capabilities() (map[string]uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	return capabilities(status)
}

// capabilities reads the five sets of a /proc/PID/status.
func capabilities(status []byte) (map[string]uint64, error) {
	sets := map[string]uint64{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if !strings.HasPrefix(name, "Cap") {
			continue
		}
		var err error
		if sets[name], err = strconv.ParseUint(value, 16, 64); err != nil {
			return nil, err
		}
	}
	if len(sets) != 5 {
		return nil, fmt.Errorf("%d capability sets, want 5", len(sets))
	}
	return sets, nil
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// stop ends the daemon and what it has started. It may be called again, and of a daemon that hangs.
func (p *process) stop() {
	if p.cmd == nil {
		return // it did not start
	}
	select {
	case <-p.done:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.t.Errorf("%s did not end within %v", p.name, stopTimeout)
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of its group: helpers, or all that did not end
	<-p.done
}

// hang keeps the daemon from doing anything, until it goes on.
func (p *process) hang() { p.t.Helper(); p.signal(syscall.SIGSTOP) }
func (p *process) goOn() { p.t.Helper(); p.signal(syscall.SIGCONT) }

func (p *process) showLog() {
	log, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Log(err)
	}
	p.t.Logf("--- log of %s\n%s", p.name, log[max(0, len(log)-logTail):])
}
