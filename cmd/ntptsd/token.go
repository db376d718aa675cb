package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
)

const tokenLong = `Make a bearer token for a program, such as Prometheus. The token is printed once, alone, to standard output,
and is kept nowhere; its entry for the configuration, which has only its hash, goes to standard error, or with
--write into a file of its own beside the configuration. A reload takes it on: ntptsctl reload.`

const maxDays = 3650

// grant is what a token is for.
type grant struct {
	role  string
	only  []string
	from  []string
	days  int
	write bool
}

func newToken(path *string) *cobra.Command {
	var g grant
	c := &cobra.Command{
		Use:   "token NAME",
		Short: "make a bearer token for a program",
		Long:  tokenLong,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("token takes one NAME, by which the log knows it; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			token, entry, err := g.make(args[0], time.Now())
			if err != nil {
				return err
			}
			if g.write {
				file, err := writeEntry(*path, args[0], entry)
				if err != nil {
					return err
				}
				c.PrintErrf("wrote %s; ntptsctl reload takes it on\n", file)
			} else {
				c.PrintErrf("for the configuration, then ntptsctl reload:\n\n%s", entry)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), token)
			return err
		},
	}
	c.Flags().StringVar(&g.role, "role", "monitor", "monitor, operator or admin")
	c.Flags().StringSliceVar(&g.only, "only", nil, "confine it to these commands, and of metrics, stream, mode6, cmdmon")
	c.Flags().StringSliceVar(&g.from, "from", nil, "let it count from these networks alone, as in 192.0.2.0/24")
	c.Flags().IntVar(&g.days, "days", 365, "the days that it lasts")
	c.Flags().BoolVar(&g.write, "write", false, "write the entry beside the configuration, into ntptsd.d/token-NAME.toml")
	return c
}

// make gives the token, and its entry, which is proved to be a good one.
func (g grant) make(name string, now time.Time) (token string, entry []byte, err error) {
	if g.days < 1 || g.days > maxDays {
		return "", nil, fmt.Errorf("--days %d: must be from 1 to %d", g.days, maxDays)
	}
	for _, f := range g.from {
		if _, err := netip.ParsePrefix(f); err != nil {
			return "", nil, fmt.Errorf("--from %s: must be a network as in 192.0.2.0/24", f)
		}
	}
	token, hash := access.NewToken()
	var b bytes.Buffer
	key := name
	if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		key = fmt.Sprintf("%q", name)
	}
	fmt.Fprintf(&b, "[access.token.%s]\nhash    = %q\nrole    = %q\n", key, hash, g.role)
	if len(g.only) > 0 {
		fmt.Fprintf(&b, "only    = [%s]\n", quoted(g.only))
	}
	if len(g.from) > 0 {
		fmt.Fprintf(&b, "from    = [%s]\n", quoted(g.from))
	}
	fmt.Fprintf(&b, "expires = %s\n", now.AddDate(0, 0, g.days).UTC().Format(time.RFC3339))
	cfg, err := config.Parse("token", b.Bytes())
	if err == nil {
		_, err = access.New(cfg)
	}
	return token, b.Bytes(), err
}

func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, fmt.Sprintf("%q", w))
	}
	return strings.Join(all, ", ")
}

// writeEntry never overwrites: another token may be in use under that name. Everybody may read the file, as the configuration:
// the account that the daemon runs as must, and the hash of 32 random octets helps nobody.
func writeEntry(path, name string, entry []byte) (file string, err error) {
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: --config names the configuration that the token is for", err)
	}
	dir := strings.TrimSuffix(path, ".toml") + ".d"
	file = filepath.Join(dir, "token-"+name+".toml")
	switch _, err := os.Lstat(file); {
	case err == nil:
		return "", fmt.Errorf("%s is there already: remove it to revoke that token, or take another name", file)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if err := makeFolder(dir); err != nil {
		return "", err
	}
	return file, durable.WriteFile(file, entry, 0o644)
}
