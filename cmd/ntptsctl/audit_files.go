package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	auditCurrent = "current.log"
	auditHead    = "head"
	auditPublic  = "public.pem"

	maxAuditText = 4 << 10 // octets of a head's or key's file
)

// auditLog are the files of a log, open, the oldest first, and what is known of its end.
type auditLog struct {
	files []*os.File
	heads []expected
	key   ed25519.PublicKey // nil: not known
	gone  error             // a head that should be there
}

type expected struct {
	audit.Head
	from string
}

func (l *auditLog) close() {
	for _, f := range l.files {
		f.Close()
	}
}

// add opens a file, or what a folder has. All are open before the first is read, for they may be renamed.
func (l *auditLog) add(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() {
		l.files = append(l.files, f)
		return nil
	}
	defer f.Close()
	if err == nil {
		err = l.addFolder(path)
	}
	return err
}

func (l *auditLog) addFolder(path string) error {
	if err := l.addHead(path); err != nil { // before the files: the log may only be longer than it
		return err
	}
	names, err := filesOfAudit(path)
	if err != nil {
		return err
	}
	for _, n := range names {
		f, err := openRegular(filepath.Join(path, n))
		if errors.Is(err, fs.ErrNotExist) { // removed or renamed meanwhile: then something misses, and all is read again
			continue
		}
		if err != nil {
			return err
		}
		l.files = append(l.files, f)
	}
	return nil
}

func (l *auditLog) addHead(path string) error {
	if public := filepath.Join(path, auditPublic); l.key == nil {
		key, err := readPublic(public, openRegular)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.key = key
	}
	name := filepath.Join(path, auditHead)
	text, err := readText(name, openRegular)
	if errors.Is(err, fs.ErrNotExist) {
		l.gone = &audit.Fault{Kind: audit.Other, Text: name + " is gone, so that a tail may have been cut off; --head compares with one from elsewhere, if its files are given one by one"}
		return nil
	}
	if err != nil {
		return err
	}
	head, err := audit.ParseHead(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		l.gone = &audit.Fault{Kind: audit.Other, Text: name + " was altered: " + err.Error()}
		return nil
	}
	l.heads = append(l.heads, expected{head, name})
	return nil
}

// filesOfAudit are the names of a folder's files, the oldest first: they have the number of their first record.
func filesOfAudit(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
		if err != nil || !strings.HasSuffix(name, ".log") {
			return 0
		}
		return n
	}
	current := false
	for _, e := range entries {
		current = current || e.Name() == auditCurrent
		if number(e.Name()) > 0 {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		switch x, y := number(a), number(b); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	if current {
		names = append(names, auditCurrent)
	}
	return names, nil
}

func (l *auditLog) verify() (r auditReport, err error) {
	var v audit.Verifier
	r = auditReport{Right: true, Files: len(l.files), Heads: []headTold{}}
	if l.key != nil {
		r.KeyID = audit.KeyID(l.key)
	}
	for _, h := range l.heads {
		key := l.key
		if h.Signature == "" {
			key = nil // only --head can be without
			if h.from != "--head" {
				return r, &audit.Fault{Kind: audit.Altered, Text: h.from + " has no signature"}
			}
		}
		if err := v.Expect(h.Head, key); err != nil {
			return r, err
		}
		r.Heads = append(r.Heads, headTold{h.Sequence, h.from, key != nil})
	}
	for _, f := range l.files {
		if err = v.Read(f.Name(), f, nil); err != nil {
			break
		}
	}
	if err == nil {
		err = v.Finish()
	}
	if err == nil {
		err = l.gone
	}
	r.First, r.Last, r.Hash = v.First(), v.Last().Sequence, v.Last().Hash
	return r, err
}

// openRegular opens what ntptsd wrote: a pipe that somebody put in its place would be waited for without an end.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file, and so none of ntptsd's: find out who put it there", path))
	}
	return f, nil
}

func readText(path string, open func(string) (*os.File, error)) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAuditText+1))
	if err == nil && len(b) > maxAuditText {
		err = fmt.Errorf("%s is longer than %d octets", path, maxAuditText)
	}
	return b, err
}

func readPublic(path string, open func(string) (*os.File, error)) (ed25519.PublicKey, error) {
	text, err := readText(path, open)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s has no public key in PEM", path)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s: its key is not one of Ed25519", path)
	}
	return ed, nil
}
