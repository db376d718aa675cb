package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

// maxKeyFile bounds a key's file, in octets.
const maxKeyFile = 4 << 10

// readKey reads the key that signs heads. It is made once, when there is no log yet.
func (l *Log) readKey(fresh bool) error {
	path := filepath.Join(l.options.State, keyName)
	text, err := readSmall(l.disk, path, maxKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && fresh:
		err = l.makeKey(path)
	case errors.Is(err, fs.ErrNotExist):
		return &audit.Fault{Kind: audit.Missing, Text: path + ", the key that signs the head, is gone: put it back from a copy"}
	case err == nil:
		l.notes.again = l.notes.again || fresh
		l.key, err = parseKey(text)
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	if err != nil {
		return err
	}
	public := l.key.Public().(ed25519.PublicKey)
	l.mu.Lock()
	l.public = public
	l.mu.Unlock()
	return l.showKey(public)
}

func (l *Log) makeKey(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	l.key = key
	return replace(l.disk, path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// showKey keeps the public half beside the log, for whoever verifies it.
func (l *Log) showKey(public ed25519.PublicKey) error {
	want := publicPEM(public)
	if is, err := readSmall(l.disk, l.path(publicName), maxKeyFile); err == nil && string(is) == string(want) {
		return nil
	}
	return replace(l.disk, l.path(publicName), want, 0o644)
}

func publicPEM(public ed25519.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // it takes every Ed25519 key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func parseKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it has no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not one of Ed25519")
	}
	return ed, nil
}

// PublicKey is the public half of the key that signs heads, in PEM, and what it is called by. Empty: there is none yet.
func (l *Log) PublicKey() (text, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.public == nil {
		return "", ""
	}
	return string(publicPEM(l.public)), audit.KeyID(l.public)
}
