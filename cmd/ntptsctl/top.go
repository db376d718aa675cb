package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	maxHosts = 64
	// topEvery is how often ntptsd sends a sample: see service/monitoring.
	topEvery = 2 * time.Second
	// onceWidth is that of a picture that goes to no terminal: it has all columns.
	onceWidth = 132
)

// topCommand is a live view of one or many hosts.
func topCommand(f *flags, code *int) *cobra.Command {
	return &cobra.Command{
		Use:   "top [HOST ...]",
		Short: "watch one or many hosts live",
		Long: "Watch one or many hosts live: fit or not, the clock, keys, certificates, what is served. A HOST may be the\n" +
			"name of a profile. Keys: arrows or j and k choose a host, enter shows its sources, ? explains, q ends.\n" +
			"Where the output is no terminal, one picture is printed; the exit status is 1 if a host is not fit or does\n" +
			"not answer. It needs the role monitor.",
		ValidArgsFunction: f.hosts,
		RunE: func(c *cobra.Command, names []string) error {
			hosts, all, err := f.everyHost(c, names)
			if err != nil {
				return err
			}
			m := &top{now: time.Now(), width: onceWidth, hosts: hosts}
			if out, ok := c.OutOrStdout().(*os.File); ok && term.IsTerminal(out.Fd()) && term.IsTerminal(os.Stdin.Fd()) {
				return m.live(c.Context(), all, out)
			}
			bad, err := m.once(c.Context(), all, c.OutOrStdout())
			if bad {
				*code = exitFailed
			}
			return err
		},
	}
}

// everyHost is whom top asks; without names that is whom all commands ask.
func (f *flags) everyHost(c *cobra.Command, names []string) (hosts []hostView, all []client, err error) {
	if len(names) > maxHosts {
		return nil, nil, fmt.Errorf("top: at most %d hosts", maxHosts)
	}
	if len(names) == 0 {
		asks, err := f.client(c)
		return []hostView{{name: asks.door.String()}}, []client{asks}, err
	}
	var errs []error
	for _, name := range names {
		asks, err := f.at(c, name)
		errs = append(errs, err)
		hosts, all = append(hosts, hostView{name: name}), append(all, asks)
	}
	return hosts, all, errors.Join(errs...)
}

// answered is a message: what a host said, or why it did not.
type answered struct {
	host int
	got  reading
	err  error
}

// passed is a message: it is later now.
type passed struct{ now time.Time }

// reading is what a host said, and when it came here.
type reading struct {
	api.Sample
	at time.Time
}

// samples tells each sample, and each reason why there is none, until ctx is done. One connection brings them all: the
// daemon makes a sample once for all who follow, and no host waits for another.
func (c client) samples(ctx context.Context, tell func(reading, error)) {
	_ = c.keepFollowing(ctx, func(i streamed) error {
		if i.kind != api.ItemSample {
			return nil
		}
		r := reading{at: time.Now()}
		if err := json.Unmarshal(i.data, &r.Sample); err != nil {
			tell(reading{}, fmt.Errorf("%s tells what cannot be read: %w", c.door, err))
			return nil
		}
		tell(r, nil)
		return nil
	}, func(err error, _ time.Duration) error {
		tell(reading{}, err)
		return nil
	})
}

// live shows the hosts on a terminal until somebody ends it.
func (t *top) live(ctx context.Context, all []client, out *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	var feeds sync.WaitGroup
	defer feeds.Wait()
	defer cancel()
	p := tea.NewProgram(t, tea.WithContext(ctx), tea.WithOutput(out))
	for i, asks := range all {
		feeds.Go(func() { asks.samples(ctx, func(r reading, err error) { p.Send(answered{i, r, err}) }) })
	}
	_, err := p.Run()
	if ctx.Err() != nil { // a signal, which is how one ends it, too
		return nil
	}
	return err
}

// once prints one picture: of two samples of each host, so that there are rates.
func (t *top) once(ctx context.Context, all []client, out io.Writer) (bad bool, err error) {
	told := make(chan answered)
	var feeds sync.WaitGroup
	for i, asks := range all {
		feeds.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, asks.timeout)
			defer cancel()
			n := 0
			asks.samples(ctx, func(r reading, err error) {
				if n++; n > 1 || err != nil {
					defer cancel()
				}
				told <- answered{i, r, err}
			})
		})
	}
	go func() { feeds.Wait(); close(told) }()
	for a := range told {
		t.take(a)
	}
	t.now = time.Now()
	for i := range t.hosts {
		if h := &t.hosts[i]; h.got.at.IsZero() && h.err == nil {
			h.err = fmt.Errorf("%s tells nothing within %v; --timeout waits longer", all[i].door, all[i].timeout)
		}
	}
	return t.report(out)
}

// report prints the hosts as lines, with what is wrong with each. Its error is of hosts of which none answers.
func (t *top) report(out io.Writer) (bad bool, err error) {
	lines := t.table(0, len(t.hosts))
	var errs []error
	for i := range t.hosts {
		h := &t.hosts[i]
		bad = bad || h.err != nil || !h.got.Fit.Fit
		if h.got.at.IsZero() {
			errs = append(errs, h.err)
			continue
		}
		lines = append(lines, topLine{}, topLine{text: fit(h.name, t.width)})
		lines = append(lines, h.details(t.now, t.width, len(t.hosts) == 1)...)
	}
	if len(errs) == len(t.hosts) {
		return bad, errors.Join(errs...)
	}
	for _, err := range errs {
		lines = append(lines, topLine{}, topLine{text: fit(err.Error(), maxError)})
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(out, l.text); err != nil {
			return bad, err
		}
	}
	return bad, nil
}
