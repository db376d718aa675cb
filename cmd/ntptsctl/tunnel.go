package main

import (
	"context"
	"errors"
	"fmt"
	"github.com/ntptsd/ntptsd/internal/api/view"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

// dialer opens a connection to a services port, on which TLS has agreed to the protocol, and the server to let us ask:
// see greeted.
type dialer func(ctx context.Context, alpn string) (net.Conn, error)

// greetTimeout is for the server's answer to a greeting.
const greetTimeout = 10 * time.Second

// greeted is a dialer that greets with the token, or, if it is empty, lets the certificate speak. Its error says which host
// does not let us ask, and why.
func greeted(host string, dial dialer, token string) dialer {
	return func(ctx context.Context, alpn string) (net.Conn, error) {
		conn, err := dial(ctx, alpn)
		if err != nil {
			return nil, err
		}
		if err := greet(ctx, conn, token); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("%s: %w", host, err)
		}
		return conn, nil
	}
}

func greet(ctx context.Context, conn net.Conn, token string) error {
	if len(token) > tunnel.MaxToken {
		return fmt.Errorf("a token has at most %d characters", tunnel.MaxToken)
	}
	if err := conn.SetDeadline(time.Now().Add(greetTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	frame, err := tunnel.AppendFrame(nil, tunnel.AppendGreeting(nil, token))
	if err == nil {
		_, err = conn.Write(frame)
	}
	if err != nil {
		return err
	}
	answer, err := tunnel.ReadFrame(conn, make([]byte, tunnel.MaxDatagram))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("ntptsd there does not answer the greeting: %w", err)
	}
	if err := tunnel.ParseAnswer(answer); err != nil {
		return fmt.Errorf("ntptsd there refuses: %s", view.Sentence(err.Error()))
	}
	return conn.SetDeadline(time.Time{})
}

// tool is a program that speaks through a tunnel.
type tool struct {
	name     string
	packaged string // in Debian
	alpn     string
	about    string
}

func ntpq() tool { return tool{"ntpq", "ntpsec", tunnel.Mode6, "the time daemon is ntpd or NTPsec"} }
func chronyc() tool {
	return tool{"chronyc", "chrony", tunnel.Cmdmon, "the time daemon is chronyd"}
}

func (t tool) find() (string, error) {
	path, err := exec.LookPath(t.name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed here (%w): Debian has it in the package %s", t.name, err, t.packaged)
	}
	return path, nil
}

const tunnelLong = `Run the %[1]s of this machine, unchanged, against a host whose ntptsd runs beside its time daemon
(%[2]s). What it asks travels over TLS to the services port of ntptsd, which lets through
what your role may ask: monitors read. What changes something is refused to everybody.

HOST comes after the options of ntptsctl; what follows it is %[1]s's. Where --host or a profile
says the host, -- stands in the place of HOST. The exit code is that of %[1]s.%[3]s`

const ntpqLong = `

ntpq asks port 123 and no other, so it runs in a network of its own, in which that port is ours.
It sees no other hosts and no DNS there. Where that is forbidden, or unknown as on other systems than
Linux, root may give it a spare loopback address with --loopback.`

// tunnelCommand runs other programs through connections that dial opens; without a host to the one of the flags.
func tunnelCommand(dial func(host string) dialer, code *int) *cobra.Command {
	c := &cobra.Command{Use: "tunnel", Short: "run ntpq or chronyc against another host, over TLS"}
	c.AddCommand(
		toolCommand(ntpq(), ntpqLong, dial, code, ntpqOptions),
		toolCommand(chronyc(), "", dial, code, func(*cobra.Command) starter { return startChronyc }),
		insideCommand())
	return c
}

// starter starts the program.
type starter func(path string, args []string, s stdio) (*running, error)

// running is a program, and the socket that it asks.
type running struct {
	cmd   *exec.Cmd
	local net.PacketConn
	mine  func(from netip.AddrPort) bool // whether a datagram comes from the program
}

// stdio is the terminal, which the program shares with us.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func (s stdio) attach(cmd *exec.Cmd) *exec.Cmd {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	return cmd
}

func toolCommand(t tool, more string, dial func(host string) dialer, code *int, options func(*cobra.Command) starter) *cobra.Command {
	c := &cobra.Command{
		Use:   fmt.Sprintf("%s {HOST[:PORT] | --} [%s arguments]", t.name, t.name),
		Short: "run " + t.name + " against another host, over TLS",
		Long:  fmt.Sprintf(tunnelLong, t.name, t.about, more),
		Args:  cobra.ArbitraryArgs,
	}
	c.Flags().SetInterspersed(false) // what follows HOST is not ours
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; what is %s's comes after a HOST, or after -- if --host or a profile says the host; see %s --help",
			err, t.name, c.CommandPath())
	})
	start := options(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		host := ""
		if c.ArgsLenAtDash() != 0 { // else -- stands in its place
			switch {
			case len(args) == 0:
				return fmt.Errorf("tunnel %s takes a HOST first, or -- if --host or a profile says it; see %s --help", t.name, c.CommandPath())
			case args[0] == "": // a variable of a script that was never set
				return fmt.Errorf("tunnel %s: HOST is empty; see %s --help", t.name, c.CommandPath())
			}
			host, args = args[0], args[1:]
		}
		path, err := t.find()
		if err != nil {
			return err
		}
		j := &journey{alpn: t.alpn, dial: dial(host), stdio: stdio{c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()}}
		*code, err = j.run(c.Context(), start, path, args)
		return err
	}
	return c
}

// journey is one run of a program through a tunnel.
type journey struct {
	alpn string
	dial dialer
	stdio
}

// run gives the program's exit code.
func (j *journey) run(ctx context.Context, start starter, path string, args []string) (int, error) {
	conn, err := j.dial(ctx, j.alpn) // before the program starts: chronyc waits a second
	if err != nil {
		return 0, err
	}
	// Those that a terminal does not send to both of us; main's own handling keeps us alive.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	p, err := start(path, args, j.stdio)
	if err != nil {
		_ = conn.Close()
		return 0, err
	}
	defer passOn(signals, p.cmd.Process)()
	// ^C is for the program, which may go on; it is waited for in any case.
	r := &relay{local: p.local, dial: j.again(context.WithoutCancel(ctx)), mine: p.mine}
	relayed := make(chan struct{})
	go func() { defer close(relayed); r.run(conn) }()
	err = p.cmd.Wait()
	_ = p.local.Close()
	<-relayed
	return exitCode(p.cmd, err)
}

// again opens another connection when the server has ended an idle one.
func (j *journey) again(ctx context.Context) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, greetTimeout)
		defer cancel()
		conn, err := j.dial(ctx, j.alpn)
		if err != nil {
			fmt.Fprintf(j.err, "ntptsctl: %s\n", view.Lines(err.Error()))
		}
		return conn, err
	}
}

// passOn hands the signals to the program.
func passOn(signals <-chan os.Signal, p *os.Process) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = p.Signal(s)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// exitCode is the program's; of one that a signal ended what a shell has.
func exitCode(cmd *exec.Cmd, err error) (int, error) {
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return 0, err
	}
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
