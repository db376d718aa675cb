package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxAnswer    = 1 << 20 // octets of one answer of the authority
	maxHeaders   = 16 << 10
	maxRedirects = 3
	maxCA        = 1 << 20
	maxSecret    = 4096 // octets of a file with a secret

	// maxAnswers bounds what all answers of an attempt may take of memory, since much of them is kept until its end: an order can
	// name any number of authorizations. An order of a hundred names that is looked at every second needs a third of it.
	maxAnswers = 64 << 20
	answerCost = maxHeaders // whatever it says
	objectCost = 512        // one of JSON, of two octets at least
)

// newHTTPClient speaks TLS only, to authorities of the PEM file ca or those of the system.
func newHTTPClient(ca, agent string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, _, err := readBounded("certs.acme.ca", ca, maxCA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("certs.acme.ca: %s has no certificate in PEM", ca)
		}
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 20 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		MaxResponseHeaderBytes: maxHeaders,
		IdleConnTimeout:        30 * time.Second,
		MaxConnsPerHost:        4,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{
		Transport: bounded{transport, agent},
		Timeout:   2 * time.Minute,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects || r.URL.Scheme != "https" {
				return errors.New("the authority sends elsewhere too often, or to where there is no TLS")
			}
			return nil
		},
	}, nil
}

// bounded cuts answers off that would fill the memory, and says who asks.
type bounded struct {
	next  http.RoundTripper
	agent string
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", b.agent)
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s: an authority is spoken to by TLS alone", r.URL.Redacted())
	}
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Header.Del("Link") // other chains, of which we take none, and parts of this one, without an end
	answer.Body = struct {
		io.Reader
		io.Closer
	}{http.MaxBytesReader(nil, answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

var errAnswers = errors.New("the authority's answers are too many or too long")

// budget is what the answers of one attempt may still take.
type budget struct {
	next http.RoundTripper
	left atomic.Int64
}

func newBudget(next http.RoundTripper) *budget {
	b := &budget{next: next}
	b.left.Store(maxAnswers)
	return b
}

func (b *budget) spend(n int) error {
	if b.left.Add(-int64(n)) < 0 {
		return errAnswers
	}
	return nil
}

func (b *budget) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.spend(answerCost); err != nil {
		return nil, err
	}
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = spending{answer.Body, b}
	}
	return answer, err
}

type spending struct {
	io.ReadCloser
	budget *budget
}

func (s spending) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if spent := s.budget.spend(n + objectCost*bytes.Count(p[:n], []byte{'{'})); spent != nil {
		return 0, spent
	}
	return n, err
}

// readSecret reads a file with a secret in one line of text, which is one to every user of the machine no more if they may read it.
func readSecret(key, name string) (string, error) {
	text, mode, err := readBounded(key, name, maxSecret)
	switch {
	case err != nil:
		return "", err
	case mode&0o007 != 0:
		return "", fmt.Errorf("%s: %s has mode %04o, so every user of this machine may know the secret: replace it if that matters, then chmod %04o %s",
			key, name, mode, mode&0o640, name)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || strings.ContainsAny(secret, " \t\r\n") {
		return "", fmt.Errorf("%s: %s must have the secret in its only line", key, name)
	}
	return secret, nil
}

func readBounded(key, name string, limit int64) (text []byte, mode fs.FileMode, err error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("%s: %w; put the file there, readable for the user that ntptsd runs as", key, err)
	case !info.Mode().IsRegular() || info.Size() > limit:
		return nil, 0, fmt.Errorf("%s: %s is no regular file of at most %d octets", key, name, limit)
	}
	if text, err = os.ReadFile(name); err != nil {
		return nil, 0, fmt.Errorf("%s: %w; make it readable for the user that ntptsd runs as", key, err)
	}
	return text, info.Mode().Perm(), nil
}

// quiet makes debug lines of all that the client tells: what it comes to is state, and told by package certs.
type quiet struct{ next slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.next.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.next.Handle(ctx, r)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.next.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.next.WithGroup(name)} }
