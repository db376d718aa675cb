package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
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
	if ke.Server != "" || ke.Port != 0 {
		fmt.Fprintf(out, "sends us to    server %q, port %d\n", ke.Server, ke.Port)
	}
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

func writeVerdict(out io.Writer, r probe.Report, s probe.Status, found []probe.Finding) {
	switch {
	case len(found) > 0:
		for _, f := range found {
			fmt.Fprintf(out, "%s: %s\n", f.Level, f.Text)
		}
		hint(out, r)
	case r.Plain:
		fmt.Fprintf(out, "%s: %s answers; plain NTP is not authenticated\n", s, r.TimeServer)
	default:
		fmt.Fprintf(out, "%s: NTS protects: every answer of %s was authenticated\n", s, r.TimeServer)
	}
}

// hint says what to do next about the errors that people meet most.
func hint(out io.Writer, r probe.Report) {
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	switch {
	case errors.As(r.Err, &authority):
		fmt.Fprintln(out, "If the server has a private CA, name its certificate with --ca FILE.")
	case errors.As(r.Err, &hostname):
		fmt.Fprintln(out, "Probe the server by a name that is in its certificate.")
	}
}
