package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	maxAnswer    = 1 << 20 // octets of one answer of the authority
	maxRedirects = 3
	maxCA        = 1 << 20
	maxSecret    = 4096 // octets of a file with a secret
)

// newHTTPClient speaks TLS only, to authorities of the PEM file ca or those of the system.
func newHTTPClient(ca, agent string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := readBounded("certs.acme.ca", ca, maxCA)
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
		MaxResponseHeaderBytes: 64 << 10,
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
	answer.Body = struct {
		io.Reader
		io.Closer
	}{http.MaxBytesReader(nil, answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

// readSecret reads a file with a secret in one line of text.
func readSecret(key, name string) (string, error) {
	text, err := readBounded(key, name, maxSecret)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || strings.ContainsAny(secret, " \t\r\n") {
		return "", fmt.Errorf("%s: %s must have the secret in its only line", key, name)
	}
	return secret, nil
}

func readBounded(key, name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w; put the file there, readable for the user that ntptsd runs as", key, err)
	case !info.Mode().IsRegular() || info.Size() > limit:
		return nil, fmt.Errorf("%s: %s is no regular file of at most %d octets", key, name, limit)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; make it readable for the user that ntptsd runs as", key, err)
	}
	return text, nil
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
