package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/probe"
)

func writeKeyExchange(out io.Writer, ke probe.KE) {
	exporter := ""
	if ke.Compliant {
		exporter = ", record 1024"
	}
	fmt.Fprintf(out, "key exchange   %s in %.1f ms: %s, %s\n", ke.Address, ke.Seconds*1e3, ke.TLSVersion, ke.Group)
	fmt.Fprintf(out, "               %s%s, %d cookies of %d octets\n", ke.AEAD, exporter, ke.Cookies, ke.CookieLen)
	fmt.Fprintf(out, "certificate    %s ends %s\n", ke.ExpiresOf, ke.Expires.UTC().Format(time.RFC3339))
	if to := timeServer(ke); to != "" {
		fmt.Fprintf(out, "sends us to    %s\n", to)
	}
}

// timeServer is where the key exchange sends its clients; "" if they stay at the same host and the usual port.
func timeServer(ke probe.KE) string {
	var to []string
	if ke.Server != "" {
		to = append(to, "server "+ke.Server)
	}
	if ke.Port != 0 {
		to = append(to, fmt.Sprintf("port %d", ke.Port))
	}
	return strings.Join(to, ", ")
}

func writeExchange(out io.Writer, e probe.Exchange) {
	what := "plain"
	if e.Authenticated {
		what = "authenticated"
	}
	fmt.Fprintf(out, "%-14s offset %+.6f s  delay %.6f s  stratum %d  refid %s  root distance %.6f s",
		what, e.Offset, e.Delay, e.Stratum, e.ReferenceID, e.RootDistance)
	if e.Authenticated {
		fmt.Fprintf(out, "\n               cookie from the %s, refill %d of %d", e.Cookie, e.Refill, e.Asked)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(out, ", attempt %d", e.Attempts)
	}
	fmt.Fprintln(out)
}

func writeVerdict(out io.Writer, r probe.Report, s probe.Status, found []probe.Finding, ca string) {
	switch {
	case len(found) > 0:
		for _, f := range found {
			fmt.Fprintf(out, "%s: %s\n", f.Level, f.Text)
		}
		hint(out, r, ca)
	case r.Plain:
		fmt.Fprintf(out, "%s: %s answers; plain NTP is not authenticated\n", s, r.TimeServer)
	default:
		fmt.Fprintf(out, "%s: NTS protects: every answer of %s was authenticated\n", s, r.TimeServer)
	}
}

// hint says what to do next about the errors that people meet most.
func hint(out io.Writer, r probe.Report, ca string) {
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var dial *net.OpError
	var name *net.DNSError
	var noTLS tls.RecordHeaderError
	switch {
	case isOtherService(r.Err):
		fmt.Fprintln(out, "That is another TLS service: key exchange is at port 4460 and the services port of ntptsd at 4461, unless set otherwise.")
	case errors.As(r.Err, &noTLS):
		fmt.Fprintln(out, "Nothing speaks TLS there: key exchange is at TCP port 4460 unless set otherwise. Is it ntptsd's monitoring.plain-listen?")
	case errors.As(r.Err, &authority) && ca != "":
		fmt.Fprintf(out, "No authority in %s has signed the server's certificate: get the file from who runs the server.\n", ca)
	case errors.As(r.Err, &authority):
		fmt.Fprintln(out, "If the server has a private CA, name its certificate with --ca FILE.")
	case errors.As(r.Err, &hostname):
		fmt.Fprintln(out, "Probe the server by a name that is in its certificate.")
	case errors.As(r.Err, &name): // says it all
	case errors.As(r.Err, &dial) && dial.Op == "dial" && dial.Net == "tcp":
		fmt.Fprintln(out, "Does key exchange run there, on that TCP port, and does every firewall let it pass?")
	}
}
