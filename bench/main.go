// Command bench is "make bench": what one operation costs a server, in CPU time, beside the bare ceiling and beside
// chronyd, as ratios of one run. Slices of all systems alternate, since a machine's speed drifts; it judges nothing.
// "make bench-monitoring" is what the services port costs, and what it takes away from key exchange; see monitoring.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

const (
	udpSlice = 6400 // datagrams per system and cycle
	keSlice  = 60   // key exchanges per system and cycle
	ntsReply = 232  // octets: AEAD 15, a cookie of 104
)

func main() {
	cycles := flag.Int("cycles", 40, "cycles to measure")
	withPeers := flag.Bool("peers", true, "measure chronyd, too (needs root, and the packages of make peers)")
	flag.Parse()
	var err error
	switch args := flag.Args(); {
	case len(args) == 2 && args[0] == "echo":
		err = bareEcho(args[1])
	case len(args) == 5 && args[0] == "tls":
		err = bareTLS(args[1], args[2], args[3], args[4])
	case len(args) >= 1 && args[0] == "monitoring":
		err = monitoring(*cycles, args[1:])
	case len(args) == 0:
		err = compare(*cycles, *withPeers)
	default:
		err = fmt.Errorf("unknown arguments %q", args)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func compare(cycles int, withPeers bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(ctx)
	if b != nil {
		defer b.stop()
	}
	if err != nil {
		return err
	}
	plain := &group{title: "plain NTP reply (48 octets)", slice: udpSlice}
	secure := &group{title: "NTS reply (AEAD 15)", slice: udpSlice}
	ke := &group{title: "key exchange (TLS 1.3, P-256 certificate, X25519, 8 cookies of AEAD 15)", slice: keSlice}
	if err := b.addBare(plain, secure, ke); err != nil {
		return err
	}
	if err := b.add("ntptsd", b.ours, plain, secure, ke); err != nil {
		return err
	}
	if withPeers {
		if err := b.addChronyd(ctx, plain, secure, ke); err != nil {
			fmt.Fprintf(os.Stderr, "without chronyd: %v\n", err)
		}
	}
	fmt.Printf("server CPU per operation; server on core %d of %d, load on the others, loopback, %s\n", runtime.NumCPU()-1, runtime.NumCPU(), runtime.Version())
	groups := []*group{plain, secure, ke}
	if err := run(ctx, groups, cycles); err != nil {
		return err
	}
	report(groups)
	return nil
}

// addBare adds the ceilings.
func (b *bench) addBare(plain, secure, ke *group) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	udp, err := freeUDP()
	if err != nil {
		return err
	}
	echo, err := b.start(self, "echo", udp)
	if err != nil {
		return err
	}
	for g, size := range map[*group]int{plain: 48, secure: ntsReply} {
		load, err := udpLoad(udp, make([]byte, size), size)
		if err != nil {
			return err
		}
		g.systems = append(g.systems, &system{name: fmt.Sprintf("bare echo of %d octets, batched", size), pid: echo.Process.Pid, load: load})
	}
	tcp, err := freeTCP()
	if err != nil {
		return err
	}
	const keAnswer = 4 + 2 + 4 + 2 + 4 + 2 + 8*(4+104) + 4 // protocol, AEAD, port, cookies, end
	bare, err := b.start(self, "tls", tcp, b.path("etc/server.pem"), b.path("etc/server.key"), fmt.Sprint(keAnswer))
	if err != nil {
		return err
	}
	ke.systems = append(ke.systems, &system{name: "bare Go TLS 1.3 echo", pid: bare.Process.Pid, load: keLoad(tcp, b.roots)})
	return nil
}

// add starts a server that can do all three jobs.
func (b *bench) add(name string, start func(ke, udp string) (pid int, err error), plain, secure, ke *group) error {
	tcp, err := freeTCP()
	if err != nil {
		return err
	}
	udp, err := freeUDP()
	if err != nil {
		return err
	}
	pid, err := start(tcp, udp)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	request, err := ntsRequest(tcp, b.roots)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for g, request := range map[*group][]byte{plain: plainRequest(), secure: request} {
		load, err := udpLoad(udp, request, len(request))
		if err != nil {
			return err
		}
		g.systems = append(g.systems, &system{name: name, pid: pid, load: load})
	}
	ke.systems = append(ke.systems, &system{name: name, pid: pid, load: keLoad(tcp, b.roots)})
	return nil
}

// addChronyd adds the chronyd of every release that make peers has brought.
func (b *bench) addChronyd(ctx context.Context, plain, secure, ke *group) error {
	dir, err := peers.Dir()
	if err != nil {
		return err
	}
	for i, r := range []peers.Release{peers.Bookworm(), peers.Trixie()} { // Bullseye is here for ntpd
		tree, err := peers.Fetch(ctx, dir, r)
		if err != nil {
			return err
		}
		start := func(ke, udp string) (int, error) { return b.chronyd(tree, fmt.Sprintf("chronyd%d", i), ke, udp) }
		if err := b.add("chronyd of "+r.Name, start, plain, secure, ke); err != nil {
			return err
		}
	}
	return nil
}
