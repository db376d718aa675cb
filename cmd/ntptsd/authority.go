package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/config"
)

// clientAuthority signs client certificates with the private authority, whose key is read for each: it need not be in memory,
// nor on this machine at all while nobody is let in.
type clientAuthority struct{ running func() *config.Config }

// IssueClient implements management.Authority.
func (c clientAuthority) IssueClient(name string, until time.Time) (certificate, key []byte, err error) {
	a, err := c.read()
	if err != nil {
		return nil, nil, err
	}
	const backdate = time.Hour // for clients whose clock is a little behind
	issued, err := a.IssueFor(certs.ForClient, []string{name}, time.Now().Add(-backdate), until)
	return issued.Certificate, issued.Key, err
}

// maxAuthorityFile is far more than a certificate or a key.
const maxAuthorityFile = 1 << 20

// clientSigners are where the key of access.client-ca may be: client-ca.pem beside it, as "ntptsd init" writes both, or itself.
func clientSigners(cfg *config.Config) []config.Pair {
	root := cfg.Access.ClientCA
	if root == "" {
		return nil
	}
	beside := filepath.Join(filepath.Dir(root), "client-ca")
	return []config.Pair{{Certificate: beside + ".pem", Key: beside + ".key"}, {Certificate: root, Key: strings.TrimSuffix(root, ".pem") + ".key"}}
}

// read finds the first of these whose key is here and that may certify clients: those of access.client-ca, [certs.authority].
func (c clientAuthority) read() (*certs.Authority, error) {
	cfg := c.running()
	candidates := clientSigners(cfg)
	if own := cfg.Certs.Authority; own != nil {
		candidates = append(candidates, config.Pair{Certificate: own.Certificate, Key: own.Key})
	}
	err := errors.New("there is no private authority: ntptsd init makes one")
	for i, p := range candidates {
		a, failure := readAuthority(p)
		switch {
		case failure == nil && a.Certifies(certs.ForClient):
			return a, nil
		case failure != nil && (i == 0 || !errors.Is(failure, fs.ErrNotExist)):
			err = failure
		}
	}
	return nil, err
}

func readAuthority(p config.Pair) (*certs.Authority, error) {
	var texts [2][]byte
	for i, path := range []string{p.Certificate, p.Key} {
		info, err := os.Stat(path)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxAuthorityFile) {
			err = fmt.Errorf("%s: must be a file of at most %d octets", path, maxAuthorityFile)
		}
		if err == nil {
			texts[i], err = os.ReadFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("the private authority cannot sign here: %w; let the account of ntptsd read its key, or sign where the key is", err)
		}
	}
	a, err := certs.ParseAuthority(texts[0], texts[1])
	clear(texts[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", p.Certificate, p.Key, err)
	}
	return a, nil
}
