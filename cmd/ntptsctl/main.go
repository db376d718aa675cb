// Command ntptsctl is the client of ntptsd, and asks any NTS server how it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

const (
	// exitFailed is of a command that ntptsd refused, and of status while there are problems.
	exitFailed = 1
	// exitUsage is "unknown" in the sense of the monitoring plugins: nothing was learned about a server.
	exitUsage = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	code := 0
	f := &flags{}
	root := rootFor(f)
	root.AddCommand(probeCommand(&code))
	addControl(root, f, &code)
	addAudit(root, f, &code)
	root.AddCommand(watchCommand(f), topCommand(f, &code), profilesCommand(f), f.completeHost(tunnelCommand(f.tunnels(root), &code)))
	group(root)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "ntptsctl: %s\n", shown(seeHelp(err)))
		if _, ok := errors.AsType[*refusal](err); ok {
			return exitFailed
		}
		return exitUsage
	}
	return code
}

// maxError bounds what is shown of an error, in octets.
const maxError = 8 << 10

// shown is an error for a terminal, whatever a server, a certificate or a file put into it.
func shown(err error) string {
	text := strings.ReplaceAll(err.Error(), "\t", "    ")
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text[:min(len(text), maxError)]), "\n") {
		lines = append(lines, view.Printable(line))
	}
	return strings.Join(lines, "\n")
}

// rootFor is the command that all others belong to.
func rootFor(f *flags) *cobra.Command {
	root := &cobra.Command{
		Use:           "ntptsctl",
		Short:         "the client of ntptsd",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", plainly(err), c.CommandPath())
	})
	f.add(root)
	return root
}

// seeHelp tells where the commands are listed to who types one that there is not: cobra tells of those that are like it only.
func seeHelp(err error) error {
	if text := err.Error(); strings.HasPrefix(text, "unknown command ") {
		first, rest, _ := strings.Cut(text, "\n")
		return errors.New(strings.TrimSpace(first + "; see ntptsctl --help\n" + rest))
	}
	return err
}

// plainly says of a flag what it must be, and not which function of Go could not read it.
func plainly(err error) error {
	number, ok := errors.AsType[*strconv.NumError](err)
	if !ok {
		return err
	}
	about, _, _ := strings.Cut(err.Error(), ": strconv.")
	switch {
	case errors.Is(number, strconv.ErrRange):
		return fmt.Errorf("%s: is out of range", about)
	case number.Func == "ParseBool":
		return fmt.Errorf("%s: must be true or false, or left out", about)
	}
	return fmt.Errorf("%s: must be a whole number", about)
}
