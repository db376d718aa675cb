package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret bounds a file with certificates, a key, a token or profiles, in octets.
const maxSecret = 1 << 16

// readAuthorities reads what --ca names; without it the system's are trusted.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--ca: %s has no certificate in PEM", file)
	}
	return pool, nil
}

func readPair(cert, key string) ([]tls.Certificate, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, errors.New("--cert and --key belong together: a client certificate and its key")
	}
	c, err := readSmall(cert)
	if err != nil {
		return nil, fmt.Errorf("--cert: %w", err)
	}
	k, err := readPrivate("--key", "key", key)
	if err != nil {
		return nil, err
	}
	defer clear(k)
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return nil, fmt.Errorf("--cert %s and --key %s: %w", cert, key, err)
	}
	return []tls.Certificate{pair}, nil
}

// readToken reads a token from a file.
func readToken(file string) (string, error) {
	b, err := readPrivate("--token-file", "token", file)
	if err != nil {
		return "", err
	}
	return token(file, string(b))
}

// readPrivate reads a key or a token from a file that nobody else may read.
func readPrivate(flag, what, file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read %s: chmod 600 %[2]s, and make another %s if they could have", flag, file, what)
	}
	b, err := readBounded(f, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return b, nil
}

// typedToken reads a line of standard input, and nothing behind it: that is for others.
func typedToken(stdin io.Reader) (string, error) {
	var line strings.Builder
	one := make([]byte, 1)
	for line.Len() < maxSecret {
		n, err := stdin.Read(one)
		if n == 1 && one[0] == '\n' || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("--token-file -: %w", err)
		}
		line.Write(one[:n])
	}
	return token("standard input", line.String())
}

// token is the one word of a text, but for lines that begin with #, as ntptsctl access token writes.
func token(from, text string) (string, error) {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			kept.WriteString(line)
		}
	}
	text = strings.TrimSpace(kept.String())
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("--token-file: %s has no token in it, which is one word", from)
	}
	return text, nil
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, file)
}

func readBounded(r io.Reader, file string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s is longer than %d octets", file, maxSecret)
	}
	return b, err
}
