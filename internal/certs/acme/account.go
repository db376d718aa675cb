package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/ntptsd/ntptsd/internal/durable"
)

const (
	maxAccountFile = 64 << 10
	folderMode     = 0o700
	fileMode       = 0o600 // it holds the account's key
)

// kept is the account as it lies in the state directory.
type kept struct {
	Directory string    `json:"directory"`
	Location  string    `json:"location"`
	Key       string    `json:"key"` // PEM
	Created   time.Time `json:"created"`
}

// openAccount takes the account from the state directory, or makes one.
func (i *Issuer) openAccount(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	account, err := i.loadAccount()
	if err == nil {
		return account, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		i.log.Warn("the account at the authority cannot be read, another one is made", "file", i.file, "error", err)
	}
	return i.register(ctx, c)
}

func (i *Issuer) loadAccount() (acme.Account, error) {
	info, err := os.Stat(i.file)
	if err != nil {
		return acme.Account{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxAccountFile {
		return acme.Account{}, fmt.Errorf("%s is no file of ours", i.file)
	}
	text, err := os.ReadFile(i.file)
	if err != nil {
		return acme.Account{}, err
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return acme.Account{}, err
	}
	if k.Directory != i.config.Directory {
		return acme.Account{}, fmt.Errorf("it is one of %q: %w", k.Directory, os.ErrNotExist)
	}
	block, _ := pem.Decode([]byte(k.Key))
	if block == nil {
		return acme.Account{}, errors.New("there is no key in it")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return acme.Account{}, err
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok || k.Location == "" {
		return acme.Account{}, errors.New("it is not whole")
	}
	return acme.Account{Status: acme.StatusValid, Location: k.Location, PrivateKey: signer}, nil
}

// register makes an account with a new key, and writes it down before it is used.
func (i *Issuer) register(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	key, err := newKey("p256")
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if i.config.Email != "" {
		account.Contact = []string{"mailto:" + i.config.Email}
	}
	if i.eab != nil {
		if err := account.SetExternalAccountBinding(ctx, c.Client, *i.eab); err != nil {
			return acme.Account{}, err
		}
	}
	account, err = c.NewAccount(ctx, account)
	if err != nil {
		return acme.Account{}, err
	}
	if err := i.saveAccount(account, key); err != nil {
		return acme.Account{}, fmt.Errorf("the account cannot be written down: %w; make room there, and the folder writable for the user that ntptsd runs as", err)
	}
	i.log.Info("an account at the authority was made", "directory", i.config.Directory)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.account = account.Location
	return account, nil
}

func (i *Issuer) saveAccount(account acme.Account, key crypto.Signer) error {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(kept{i.config.Directory, account.Location,
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), time.Now().UTC()}, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.MakeFolder(filepath.Dir(i.file), folderMode); err != nil {
		return err
	}
	return durable.WriteFile(i.file, append(text, '\n'), fileMode)
}

// lost tells whether an order failed because the account is no more: the authority has forgotten it, or closed it. Both
// words stand for other failures too, so it is asked.
func (i *Issuer) lost(ctx context.Context, c *acmez.Client, account acme.Account, failure error) bool {
	p, ok := errors.AsType[acme.Problem](failure)
	if !ok || p.Resource != nil {
		return false
	}
	switch p.Type {
	case acme.ProblemTypeAccountDoesNotExist:
		return true
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeMalformed:
	default:
		return false
	}
	found, err := c.GetAccount(ctx, acme.Account{PrivateKey: account.PrivateKey})
	if p, ok := errors.AsType[acme.Problem](err); ok {
		return p.Type == acme.ProblemTypeAccountDoesNotExist || p.Type == acme.ProblemTypeUnauthorized
	}
	return err == nil && (found.Status == acme.StatusDeactivated || found.Status == acme.StatusRevoked || found.Location != account.Location)
}
