package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

const (
	defaultSocket = "/run/ntptsd/control.sock"
	servicesPort  = "4461"
	alpnHTTP      = "http/1.1"

	dialTimeout = 10 * time.Second
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
		return net.JoinHostPort(d.name(), d.port)
	}
	return "ntptsd"
}

// name is what the certificate must be for: the zone of an address is this machine's business alone.
func (d door) name() string {
	if addr, err := netip.ParseAddr(d.host); err == nil {
		return addr.WithZone("").String()
	}
	return d.host
}

// hide keeps the token out of what is shown of a text: a server could send it back.
func (d door) hide(text string) string {
	if d.token == "" {
		return text
	}
	return strings.ReplaceAll(text, d.token, "[the token]")
}

// dial opens a connection on which the protocol was agreed upon; on the socket that is always HTTP. Its error says what to do.
func (d door) dial(ctx context.Context, alpn string) (net.Conn, error) {
	if !d.remote() {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", d.socket)
		return conn, explainSocket(err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, ServerName: d.name(), RootCAs: d.ca, Certificates: d.pair, NextProtos: []string{alpn}}}
	conn, err := t.DialContext(ctx, "tcp", d.String())
	if err != nil {
		return nil, d.explain(err)
	}
	if c, ok := conn.(*tls.Conn); !ok || c.ConnectionState().NegotiatedProtocol != alpn {
		_ = conn.Close()
		return nil, fmt.Errorf("%s speaks TLS, and does not know %s: is it the services port of an ntptsd?", d, alpn)
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

// explain says what to do about a services port that cannot be reached, or ends the connection by TLS.
func (d door) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var noTLS tls.RecordHeaderError
	var dns *net.DNSError
	says := view.Sentence(err.Error()) // names in a certificate are a stranger's text
	switch {
	case errors.As(err, &unknown) && d.ca != nil:
		return fmt.Errorf("%s shows a certificate of another authority than those of --ca: is it the right host, and the right file?", d)
	case errors.As(err, &unknown):
		return fmt.Errorf("%s shows a certificate of an authority that is not known here; --ca FILE names the one to trust (ntptsd init makes ca.pem)", d)
	case errors.As(err, &name):
		return fmt.Errorf("%s shows a certificate for other names: %s; --host must be one of them", d, says)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s shows a certificate that is not valid: %s; if it has not ended, look at the clock of this machine", d, says)
	case isOtherService(err):
		return fmt.Errorf("%s speaks TLS for another service: the services port of ntptsd is 4461 unless monitoring.listen says another, and 4460 is that of key exchange", d)
	case isAlert(err) && d.pair != nil:
		return fmt.Errorf("%s ends the connection: %s; does it know the certificate of --cert, and has that not ended?", d, says)
	case isAlert(err):
		return fmt.Errorf("%s ends the connection: %s; is it the services port of an ntptsd?", d, says)
	case errors.As(err, &noTLS):
		return fmt.Errorf("%s does not speak TLS: is it the services port of an ntptsd, and no monitoring.plain-listen?", d)
	case errors.As(err, &dns):
		return fmt.Errorf("%s: %s; is the name right?", d, says)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused: ntptsd does not run there, or monitoring.listen does not have this address", d)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s hangs up at once: access.allow and access.deny there may keep this host out, or it has too many connections", d)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s does not answer within %v: is the port open to this host?", d, dialTimeout)
	}
	return fmt.Errorf("%s: %s", d, says)
}

// isAlert tells of a connection that the other side ended by an alert of TLS.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// isOtherService tells of a connection that was ended because the port is not for what we wanted: RFC 7301 section 3.2.
func isOtherService(err error) bool {
	const noApplicationProtocol tls.AlertError = 120
	op, ok := errors.AsType[*net.OpError](err)
	return ok && isAlert(err) && op.Err.Error() == noApplicationProtocol.Error() // crypto/tls keeps the type to itself
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
