package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What the services port is to cost at most. Only what does not depend on the clock makes the run fail.
const (
	scrapeLimit  = 5 * time.Millisecond // of CPU, with 64 sources
	readers      = 1000
	readersLimit = 50 << 20 // octets for all of them
	consoleLimit = 10_000   // requests a second of one connection
	shareLimit   = 1.05     // of key exchange's CPU per handshake beside monitoring, to without
	floodLimit   = 64 << 20 // octets: 2000 connections, each with the 32 KiB that a handshake may say
	goroutines   = 20       // more than before a flood, some seconds after it
)

// figure is one line of the table.
type figure struct {
	what, got, limit string
	over             bool
	fails            bool // it does not depend on the clock: over makes the run fail
}

// table is what was measured.
type table []figure

func (t *table) add(f figure) {
	*t = append(*t, f)
	fmt.Printf("  %-74s %26s   %-14s %s\n", f.what, f.got, f.limit, f.mark())
}

// tell adds what has no limit.
func (t *table) tell(what, format string, args ...any) {
	t.add(figure{what: what, got: fmt.Sprintf(format, args...)})
}

func (f figure) mark() string {
	switch {
	case f.limit == "":
		return ""
	case f.over:
		return "OVER"
	}
	return "holds"
}

// parts are what can be measured alone.
var parts = [...]struct { // never assigned again
	name  string
	title string
	run   func(context.Context, *bench, *table, int) error
}{
	{"scrape", "A scrape of /metrics by one kept-alive connection, its token confined to metrics", measureScrape},
	{"streams", "Followers of /v1/stream who only listen", measureStreams},
	{"console", "The console, one connection, requests sent ahead", measureConsole},
	{"beside", "Key exchange beside monitoring: CPU per handshake, in turn", measureBeside},
	{"beside-streams", "The same beside followers of /v1/stream, over whole periods of it", measureBesideStreams},
	{"flood", "A flood on the services port, and key exchange meanwhile", measureFlood},
}

// monitoring measures the parts that are named, or all.
func monitoring(cycles int, names []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := errors.Join(leaveLastCore(), raiseFiles()); err != nil {
		return err
	}
	fmt.Printf("CPU of bin/ntptsd on core %d of %d, load on the others, loopback, TLS 1.3, %s\n", runtime.NumCPU()-1, runtime.NumCPU(), runtime.Version())
	var t table
	for _, p := range parts {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		fmt.Printf("\n%s\n", p.title)
		if err := measurePart(ctx, &t, cycles, p.run); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, f := range t {
		if f.over && f.fails {
			return fmt.Errorf("%s: %s, and the limit is %s", f.what, f.got, f.limit)
		}
	}
	return nil
}

// measurePart gives each part servers of its own: none inherits another's memory.
func measurePart(ctx context.Context, t *table, cycles int, run func(context.Context, *bench, *table, int) error) error {
	b, err := newBench(ctx)
	if b != nil {
		defer b.stop()
	}
	if err != nil {
		return err
	}
	return run(ctx, b, t, cycles)
}

// leaveLastCore keeps this process from the core of the servers, with all threads that it has and will have.
func leaveLastCore() error {
	if runtime.NumCPU() == 1 {
		return nil
	}
	var cores unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cores); err != nil {
		return err
	}
	cores.Clear(runtime.NumCPU() - 1)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &cores); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// raiseFiles makes room for the sockets of the load, and of the servers, who inherit it.
func raiseFiles() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
}

// processCPU is what a process has run on a CPU, threads that have ended included, but not its children: its CPU-time clock,
// see clock_getcpuclockid(3).
func processCPU(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("the CPU-time clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// residentSet is the memory of a process that is in use, in octets.
func residentSet(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), "\nVmRSS:")
	line, _, _ := strings.Cut(rest, "\n")
	kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
	if err != nil {
		return 0, fmt.Errorf("VmRSS of process %d: %w", pid, err)
	}
	return kb << 10, nil
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func megabytes(octets int) string { return fmt.Sprintf("%.1f MB", float64(octets)/(1<<20)) }
