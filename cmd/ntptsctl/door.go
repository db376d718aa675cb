package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	defaultSocket = "/run/ntptsd/control.sock"
	servicesPort  = "4461"
	alpnHTTP      = "http/1.1"

	dialTimeout = 10 * time.Second
	maxSecret   = 1 << 16 // octets of a file with certificates, a key or a token
)

// door is where a daemon is asked: at its control socket, or by TLS at its services port.
type door struct {
	socket string

	host, port string // of the services port; empty: the socket
	ca         *x509.CertPool
	pair       []tls.Certificate
	token      string // a secret
}

func (d door) remote() bool { return d.host != "" }

// String is how errors call it.
func (d door) String() string {
	if d.remote() {
		return net.JoinHostPort(d.host, d.port)
	}
	return d.socket
}

// header is for HTTP's Host.
func (d door) header() string {
	if d.remote() {
		return net.JoinHostPort(d.host, d.port)
	}
	return "ntptsd"
}

// dial opens a connection on which the protocol was agreed upon; on the socket that is always HTTP. Its error says what to do.
func (d door) dial(ctx context.Context, alpn string) (net.Conn, error) {
	if !d.remote() {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", d.socket)
		return conn, explainSocket(err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, ServerName: d.host, RootCAs: d.ca, Certificates: d.pair, NextProtos: []string{alpn}}}
	conn, err := t.DialContext(ctx, "tcp", d.String())
	if err != nil {
		return nil, d.explain(err)
	}
	return conn, nil
}

// explainSocket says what to do about a socket that cannot be reached.
func explainSocket(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: is ntptsd running? --socket PATH names another socket, as management.socket does for ntptsd; --host HOST asks another host", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run it as root, or join the group ntptsd and log in again", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens there any more; see systemctl status ntptsd", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: too many wait for ntptsd there; try again later", err)
	}
	return err
}

// explain says what to do about a services port that cannot be reached. The peer's part of the text is cut to size by those
// who show it.
func (d door) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s shows a certificate of an authority that is not known here; --ca FILE names the one to trust (ntptsd init makes ca.pem)", d)
	case errors.As(err, &name):
		return fmt.Errorf("%s shows a certificate for other names: %w; --host must be one of them", d, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s shows a certificate that is not valid: %w; if it has not ended, look at the clock of this machine", d, err)
	case errors.As(err, &alert):
		return fmt.Errorf("%s ends the handshake: %w; is it the services port of an ntptsd?", d, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused: ntptsd does not run there, or monitoring.listen does not have this address", d)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %v: is the port open to this host?", d, dialTimeout)
	}
	return fmt.Errorf("%s: %w", d, err)
}

// howToLogIn ends the sentence of a refusal.
func (d door) howToLogIn() string {
	if !d.remote() {
		return "; run it as root, or join the group ntptsd and log in again"
	}
	if d.token == "" && d.pair == nil {
		return "; --cert FILE and --key FILE, or --token-file FILE, say who you are"
	}
	return "; who may what stands in [access] of its configuration"
}

// splitHost takes the port off HOST[:PORT].
func splitHost(s string) (host, port string, err error) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return addr.String(), servicesPort, nil
	}
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		host, port = s, servicesPort
	}
	_, notNumber := strconv.ParseUint(port, 10, 16)
	_, noAddress := netip.ParseAddr(host)
	if host == "" || notNumber != nil || noAddress != nil && strings.ContainsAny(host, ":/@ []") {
		return "", "", fmt.Errorf("--host %.80q: must be HOST or HOST:PORT, IPv6 addresses with a port in brackets", s)
	}
	return host, port, nil
}

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
	k, err := readSmall(key)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return nil, fmt.Errorf("--cert %s and --key %s: %w", cert, key, err)
	}
	return []tls.Certificate{pair}, nil
}

// readToken reads a token from a file that nobody else may read, or from standard input.
func readToken(file string, stdin io.Reader) (string, error) {
	var b []byte
	switch file {
	case "":
		return "", nil
	case "-":
		line, err := bufio.NewReader(io.LimitReader(stdin, maxSecret)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		b = []byte(line)
	default:
		info, err := os.Stat(file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("--token-file: others may read %s: chmod 600 %[1]s, and make another token if they could have", file)
		}
		if b, err = readSmall(file); err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("--token-file: %s has no token in it, which is one word", cmp.Or(file, "-"))
	}
	return token, nil
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s is longer than %d octets", file, maxSecret)
	}
	return b, err
}
