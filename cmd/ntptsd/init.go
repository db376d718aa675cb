package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
)

const initLong = `Make everything that a first start needs: a private certificate authority, a server certificate
for the names and addresses given (the host's name if none is), an authority for just these names
by which the daemon renews its certificate, an operator certificate, and a commented configuration.
Nothing that exists is overwritten.`

const (
	usualAccount = "ntptsd" // made by packaging/ntptsd.sysusers
	maxNames     = 100      // of one certificate
	maxName      = 253      // RFC 1035 section 2.3.4, without the dot at the end
)

// beginning is what "init" was told.
type beginning struct {
	Dir   string
	State string
	User  string   // "": whoever runs init runs the daemon
	Names []string // of the server
	CA    string   // "": make one; else the folder of one, by which an authority for other names is made and nothing else
	Root  string   // where other time daemons are looked for

	Beside          []string // what other daemons claim, as it is told
	Source          string   // of the clock
	KeyExchangePort int
	TimePort        int
}

func newInit() *cobra.Command {
	var b beginning
	c := &cobra.Command{
		Use:   "init [NAME|ADDRESS ...]",
		Short: "make a CA, certificates and a starting configuration",
		Long:  initLong,
		RunE: func(c *cobra.Command, names []string) error {
			b.Names = names
			if !c.Flags().Changed("user") && !c.Flags().Changed("dir") { // another folder is a trial
				b.User = likelyUser()
			}
			return b.begin(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&b.Dir, "dir", filepath.Dir(config.DefaultPath), "write to this `FOLDER`")
	c.Flags().StringVar(&b.State, "state-directory", config.DefaultStateDirectory, "`FOLDER` for what must survive a restart")
	c.Flags().StringVar(&b.CA, "ca", "", "only make server-ca.pem and server-ca.key, for other names, by the ca.pem and ca.key in this `FOLDER`")
	addRoot(c, &b.Root)
	c.Flags().StringVar(&b.User, "user", "", "`ACCOUNT` that the daemon runs as (default "+usualAccount+", if it exists, root calls and --dir is not given)")
	return c
}

func likelyUser() string {
	if _, err := lookUp(usualAccount); err != nil || os.Geteuid() != 0 {
		return ""
	}
	return usualAccount
}

func (b *beginning) begin(out io.Writer) error {
	owner, err := findAccount(b.User)
	if err != nil {
		return err
	}
	if err := b.settle(); err != nil {
		return err
	}
	contents := b.files
	if b.CA != "" {
		contents = b.renewal
	}
	files, err := contents(time.Now())
	if err != nil {
		return err
	}
	if err := b.refuseToOverwrite(files); err != nil {
		return err
	}
	if err := makeFolder(b.Dir); err != nil {
		return fmt.Errorf("%w; run as root, or name another folder with --dir", err)
	}
	if err := b.write(files, owner); err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(out, "%-14s %s\n", f.name, f.what)
	}
	if b.CA != "" {
		_, err := fmt.Fprintf(out, nextNames, b.ServerNames())
		return err
	}
	for _, line := range b.Beside {
		fmt.Fprintf(out, "\n%s: left alone; see ntptsd-neighbours(7)\n", line)
	}
	fmt.Fprintf(out, nextSteps, b.Dir, b.probed())
	return nil
}

// probed is the server for ntptsctl probe.
func (b *beginning) probed() string {
	if b.KeyExchangePort == keyExchangePort {
		return b.Names[0]
	}
	return net.JoinHostPort(b.Names[0], strconv.Itoa(b.KeyExchangePort))
}

// makeFolder makes the folder for everybody to enter, whatever the umask: the daemon may run as another user.
func makeFolder(dir string) error {
	const mode = 0o755
	_, missing := os.Lstat(dir)
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	if errors.Is(missing, fs.ErrNotExist) {
		return os.Chmod(dir, mode)
	}
	return nil
}

const nextSteps = `
All in %[1]s. Keep ca.key somewhere safe and off this machine; clients need ca.pem.

Next:
  ntptsd run --config %[1]s/ntptsd.toml
  ntptsctl probe --ca %[1]s/ca.pem %[2]s
  openssl s_client -quiet -crlf -connect 127.0.0.1:4461 -CAfile %[1]s/ca.pem -cert %[1]s/operator.pem -key %[1]s/operator.key
`

const nextNames = `
Next: in [certs.authority] of the configuration
  names = %s
then ntptsctl reload, or systemctl reload ntptsd.
`

// settle turns what was given into what is written down.
func (b *beginning) settle() error {
	if len(b.Names) == 0 {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("no name was given and the host has none: %w", err)
		}
		b.Names = []string{name}
	}
	if err := checkNames(b.Names); err != nil {
		return err
	}
	b.lookAround()
	var dirErr, stateErr error
	b.Dir, dirErr = filepath.Abs(b.Dir)
	b.State, stateErr = filepath.Abs(b.State)
	return errors.Join(dirErr, stateErr)
}

// refuseToOverwrite names every file that is there already; then none is written.
func (b *beginning) refuseToOverwrite(files []newFile) error {
	var there []string
	for _, f := range files {
		_, err := os.Lstat(filepath.Join(b.Dir, f.name))
		switch {
		case err == nil:
			there = append(there, f.name)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("%s has %s already, nothing was changed; move them away, or name another folder with --dir",
			b.Dir, strings.Join(there, ", "))
	}
	return nil
}

// write writes all files or, after an error, leaves none: the next try would refuse to overwrite them.
func (b *beginning) write(files []newFile, owner *account) error {
	for i, f := range files {
		path := filepath.Join(b.Dir, f.name)
		err := durable.WriteFile(path, f.data, f.mode)
		if err == nil && f.daemons && owner != nil {
			err = os.Lchown(path, owner.uid, owner.gid)
		}
		if err != nil {
			for _, g := range files[:i+1] {
				_ = os.Remove(filepath.Join(b.Dir, g.name))
			}
			return fmt.Errorf("%w; nothing was made", err)
		}
	}
	return nil
}

// checkNames refuses what no client could ask for.
func checkNames(names []string) error {
	if len(names) > maxNames {
		return fmt.Errorf("%d names: a certificate gets at most %d", len(names), maxNames)
	}
	var wrong []error
	for _, n := range names {
		if addr, err := netip.ParseAddr(n); (err == nil && addr.Zone() == "") || isHostName(n) {
			continue
		}
		wrong = append(wrong, fmt.Errorf("%q is neither an address nor a host name (letters, digits, hyphens and dots; others in their xn-- form)", n))
	}
	return errors.Join(wrong...)
}

func isHostName(n string) bool {
	if len(n) > maxName {
		return false
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	for label := range strings.SplitSeq(n, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters) != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}
