// Command ntptsd is the daemon: it reads the configuration, opens the sockets, drops its rights and runs the services.
// What they do is in internal/service; what it may be told is in internal/config.
package main

import (
	"errors"
	"fmt"
	"io/fs"
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
	switch {
	case f.log != nil:
		f.log.Error("ntptsd ends", "error", f.err)
	case f.code == exitConfiguration: // begins with the file's name
		fmt.Fprintln(os.Stderr, err)
	default:
		fmt.Fprintln(os.Stderr, "ntptsd:", err)
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
	var takeOver bool
	root := &cobra.Command{
		Use:           "ntptsd",
		Short:         "NTP TCP services daemon: NTS key exchange and authenticated time",
		Args:          noArguments,
		SilenceErrors: true, // main prints them
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return fmt.Errorf("%w; see %s --help", err, c.CommandPath()) })
	run := &cobra.Command{
		Use:   "run",
		Short: "serve until SIGTERM (what ntptsd does without a command); SIGHUP reloads",
		Args:  noArguments,
		RunE:  func(*cobra.Command, []string) error { return runDaemon(path, takeOver) },
	}
	run.Flags().BoolVar(&takeOver, "take-over", false, "take the sockets over from the ntptsd that runs, which ends when this one is ready")
	root.RunE = run.RunE
	check := newCheck(&path)
	token := newToken(&path)
	for _, c := range []*cobra.Command{root, run, check, token} {
		c.Flags().StringVar(&path, "config", config.DefaultPath, "read the configuration from `FILE`")
	}
	root.AddCommand(run, check, newInit(), token, newVersion())
	return root
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unknown command or argument %q; see %s --help", args[0], c.CommandPath())
}

// load says what to do about a configuration that is not there.
func load(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if _, missing := os.Stat(path); err != nil && errors.Is(missing, fs.ErrNotExist) {
		err = fmt.Errorf("%w; make one with ntptsd init, or name another with --config", err)
	}
	return cfg, err
}
