package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cpuTime is what a process and its children have run on a CPU, by the scheduler's own account in nanoseconds.
// Threads that end take their account with them: the servers measured here keep theirs.
func cpuTime(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("process %d has gone", pid)
	}
	var sum time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			continue // ended between the two reads
		}
		ran, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s/schedstat: %w", task, err)
		}
		sum += time.Duration(ns)
		children, _ := os.ReadFile(task + "/children")
		for child := range strings.FieldsSeq(string(children)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				return 0, err
			}
			if c, err := cpuTime(n); err == nil {
				sum += c
			}
		}
	}
	return sum, nil
}

// system is something that answers, and what it cost per answer in each cycle.
type system struct {
	name string
	pid  int
	load func(n int) (answered int, err error)
	cost []float64 // microseconds of server CPU per answer, one a cycle
}

// group is a set of systems that do the same job; the first is the bare ceiling.
type group struct {
	title   string
	slice   int // requests per cycle and system
	systems []*system
}

// run measures all systems of all groups in turn, cycle by cycle: the machine's drift hits all of them alike.
func run(ctx context.Context, groups []*group, cycles int) error {
	for c := range cycles + 1 { // the first cycle warms up and is not counted
		fmt.Fprintf(os.Stderr, "\rcycle %d of %d", c, cycles)
		for _, g := range groups {
			for _, s := range g.systems {
				if err := ctx.Err(); err != nil {
					return err
				}
				us, err := s.measure(g.slice)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", g.title, s.name, err)
				}
				if c > 0 {
					s.cost = append(s.cost, us)
				}
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return nil
}

func (s *system) measure(n int) (float64, error) {
	before, err := cpuTime(s.pid)
	if err != nil {
		return 0, err
	}
	answered, err := s.load(n)
	if err != nil {
		return 0, err
	}
	if answered < n*9/10 {
		return 0, fmt.Errorf("only %d of %d requests were answered", answered, n)
	}
	after, err := cpuTime(s.pid)
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(answered) / 1e3, nil
}

// report prints the median of each system's cost, and of its paired ratios to the first one, with the 95 % interval of
// that median by order statistics.
func report(groups []*group) {
	for _, g := range groups {
		fmt.Printf("\n%s, %d cycles of %d\n", g.title, len(g.systems[0].cost), g.slice)
		fmt.Printf("  %-34s %10s %8s   %s\n", "", "us per op", "ratio", "95 % interval")
		bare := g.systems[0].cost
		for i, s := range g.systems {
			fmt.Printf("  %-34s %10.2f", s.name, median(s.cost))
			if i > 0 {
				ratios := make([]float64, len(bare))
				for j := range bare {
					ratios[j] = s.cost[j] / bare[j]
				}
				low, high := interval(ratios)
				fmt.Printf(" %8.2f   %.2f to %.2f", median(ratios), low, high)
			} else {
				fmt.Printf(" %8d   cycles differ by %.2f (highest to lowest)", 1, slices.Max(bare)/slices.Min(bare))
			}
			fmt.Println()
		}
	}
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// interval is the distribution-free 95 % interval of the median.
func interval(x []float64) (low, high float64) {
	s := slices.Sorted(slices.Values(x))
	n := float64(len(s))
	k := max(0, int(math.Floor(n/2-0.98*math.Sqrt(n))))
	return s[k], s[len(s)-1-k]
}
