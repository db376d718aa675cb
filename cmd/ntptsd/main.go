// Command ntptsd is the daemon: it reads the configuration, opens the sockets, drops its rights and runs the services.
// What they do is in internal/service; what it may be told is in internal/config.
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/config"
)

// Exit codes. 0: asked to end; or what was asked for is done.
const (
	exitFailure       = 1
	exitConfiguration = 2
)

func main() {
	err := newCommand().Execute()
	if err == nil {
		return
	}
	f := failure{code: exitFailure}
	errors.As(err, &f)
	if f.log != nil {
		f.log.Error("ntptsd ends", "error", f.err)
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(f.code)
}

// failure is an error that ends the program with an exit code of its own, or that belongs into the log.
type failure struct {
	err  error
	code int
	log  *slog.Logger // nil: for the terminal
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

func newCommand() *cobra.Command {
	var path string
	root := &cobra.Command{
		Use:           "ntptsd",
		Short:         "NTP TCP services daemon: NTS key exchange and authenticated time",
		Args:          cobra.NoArgs,
		SilenceErrors: true, // main prints them
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&path, "config", config.DefaultPath, "read the configuration from `FILE`")
	run := &cobra.Command{
		Use:   "run",
		Short: "serve until SIGTERM (what ntptsd does without a command); SIGHUP reloads",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runDaemon(path) },
	}
	root.RunE = run.RunE
	root.AddCommand(run, newCheck(&path), newInit(), newVersion())
	return root
}
