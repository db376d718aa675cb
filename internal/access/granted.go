package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/durable"
)

// Who was let in or shut out by a command is kept beside the configuration, in the state directory: a restart and a reload
// find it as it was. There are hashes alone: whoever steals the file has nothing to log in with.
const (
	grantedFile = "access.json"
	// maxGranted bounds those who were let in by commands; every token shown is compared with all.
	maxGranted = 256
	// maxShutOut bounds what is remembered to be revoked: more than all logins that there can be.
	maxShutOut     = 1024
	maxGrantedFile = 4 << 20
)

// The kinds of login.
const (
	KindCertificate = "certificate"
	KindToken       = "token"
	kindLoopback    = "loopback"
)

// Grant is somebody who was let in by a command.
type Grant struct {
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	Role   string         `json:"role"`
	Only   []string       `json:"only,omitempty"`
	From   []netip.Prefix `json:"from,omitempty"` // of a token
	Hash   string         `json:"hash"`           // SHA-256 of the token, or of the certificate
	Until  time.Time      `json:"until"`
	Issued time.Time      `json:"issued"`
	By     string         `json:"by"`
}

// shutOut is a login that counts no more, whoever let it in.
type shutOut struct {
	Of   string    `json:"of"` // see login.of
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	By   string    `json:"by"`
}

// granted is the file. Immutable: a change makes another.
type granted struct {
	Issued  []Grant   `json:"issued"`
	Revoked []shutOut `json:"revoked"`
}

func (g *granted) revoked(of string) *shutOut {
	if i := slices.IndexFunc(g.Revoked, func(s shutOut) bool { return s.Of == of }); i >= 0 {
		return &g.Revoked[i]
	}
	return nil
}

func (g *granted) clone() *granted {
	return &granted{slices.Clone(g.Issued), slices.Clone(g.Revoked)}
}

// login is who a grant lets in.
func (g *Grant) login() (certificateLogin, tokenLogin, error) {
	until := config.Time(g.Until)
	if g.Kind == KindCertificate {
		c, err := newCertificate(g.Name, config.CertificateLogin{Fingerprint: g.Hash, Role: g.Role, Only: g.Only})
		c.until = g.Until
		return c, tokenLogin{}, err
	}
	t, err := newTokenLogin(g.Name, config.TokenLogin{Hash: g.Hash, Role: g.Role, Only: g.Only, From: g.From, Expires: until})
	return certificateLogin{}, t, err
}

// check is what each entry keeps to.
func (g *Grant) check() error {
	if !config.IsLoginName(g.Name) || g.Kind != KindCertificate && g.Kind != KindToken || len(g.Hash) != 64 || g.Until.IsZero() {
		return errors.New("an entry lacks something")
	}
	_, _, err := g.login()
	return err
}

// parseGranted reads the file. What a command table of another version knows is not asked here: a word that is gone permits
// nothing.
func parseGranted(b []byte) (*granted, error) {
	g := &granted{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(g); err != nil {
		return nil, err
	}
	if len(g.Issued) > maxGranted || len(g.Revoked) > maxShutOut {
		return nil, errors.New("it has too many entries")
	}
	for i := range g.Issued {
		if err := g.Issued[i].check(); err != nil {
			return nil, err
		}
	}
	for _, s := range g.Revoked {
		if s.Of == "" {
			return nil, errors.New("an entry lacks something")
		}
	}
	return g, nil
}

func (g *granted) append(b []byte) []byte {
	text, _ := json.MarshalIndent(g, "", "  ") // texts and times
	return append(append(b, text...), '\n')
}

// Open is New, with what was let in and shut out by commands.
func Open(cfg *config.Config) (*Access, error) {
	path := filepath.Join(cfg.StateDirectory, grantedFile)
	g, err := readGranted(path)
	if err != nil {
		return nil, fmt.Errorf("%s, the logins that commands have issued and revoked: %w; where that does not help, restore it from a backup; "+
			"moved away, it would let revoked logins in again (the audit log tells which)", path, err)
	}
	return newAccess(cfg, path, g)
}

func readGranted(path string) (*granted, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &granted{}, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxGrantedFile:
		return nil, fmt.Errorf("must be a file of at most %d octets", maxGrantedFile)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("has mode %04o, so others may have written it: find out, then run chmod 600 on it", info.Mode().Perm())
	}
	if err := durable.Foreign(path, info); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseGranted(b)
}

// save writes what is to be. a.mu is held.
func (a *Access) save(g *granted) error {
	if a.frozen {
		return errors.New("another ntptsd is taking over: do it again there")
	}
	if a.path == "" {
		return nil
	}
	write := a.write
	if write == nil {
		write = durable.WriteFile
	}
	return write(a.path, g.append(nil), 0o600)
}

// kindAndName splits what an operator names a login by: NAME, token/NAME or certificate/NAME.
func kindAndName(text string) (kind, name string) {
	if kind, name, ok := strings.Cut(text, "/"); ok {
		return kind, name
	}
	return "", text
}

// Issued tells whether commands may have let somebody in beside the configuration.
func Issued(cfg *config.Config) bool {
	_, err := os.Stat(filepath.Join(cfg.StateDirectory, grantedFile))
	return err == nil
}
