package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// https CODE URL CA [TOKEN-FILE | CERT KEY] waits until the services port answers with that status.
func https(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ts.ReadFile(args[2]))) {
		ts.Fatalf("%s: no certificate", args[2])
	}
	shown := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	token := ""
	switch rest := args[3:]; len(rest) {
	case 1:
		token = strings.TrimSpace(ts.ReadFile(rest[0]))
	case 2:
		pair, err := tls.X509KeyPair([]byte(ts.ReadFile(rest[0])), []byte(ts.ReadFile(rest[1])))
		ts.Check(err)
		shown.Certificates = []tls.Certificate{pair}
	}
	// Without ForceAttemptHTTP2 it would send no ALPN, and be taken for somebody who types.
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: shown}}
	until(ts, func() error {
		request, err := http.NewRequest(http.MethodGet, args[1], nil)
		if err != nil {
			return err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != want {
			return fmt.Errorf("%s: %s, want %d", args[1], answer.Status, want)
		}
		return nil
	})
}
