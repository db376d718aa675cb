package main

import (
	"slices"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/sandbox"
)

// crypto/x509 takes a list of folders; one that is out of the sandbox would make every authority unknown.
func TestFoldersOfAuthoritiesStayOpen(t *testing.T) {
	t.Setenv("SSL_CERT_DIR", "/one:/two")
	places := rulesOf(config.Default(), "/etc/ntptsd/ntptsd.toml").Places
	for _, folder := range []string{"/one", "/two"} {
		if !slices.Contains(places, sandbox.Place{Path: folder, Access: sandbox.Read}) {
			t.Errorf("%s is closed", folder)
		}
	}
}
