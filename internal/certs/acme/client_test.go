package acme

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/ntptsd/ntptsd/internal/config"
)

// authority is a server that is trusted by the file ca.
func authority(t *testing.T, h http.HandlerFunc) (url, ca string) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, ca
}

func TestAnswersOfAuthoritiesAreBounded(t *testing.T) {
	url, ca := authority(t, func(w http.ResponseWriter, r *http.Request) {
		if agent := r.Header.Get("User-Agent"); agent != "ntptsd/1" {
			t.Errorf("agent %q", agent)
		}
		switch r.URL.Path {
		case "/huge":
			w.Write(make([]byte, maxAnswer+1))
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, "http://127.0.0.1/", http.StatusFound)
		}
	})
	c, err := newHTTPClient(ca, "ntptsd/1")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Get(url + "/huge")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(answer.Body); err == nil || len(text) > maxAnswer {
		t.Errorf("%d octets, %v", len(text), err)
	}
	for _, path := range []string{"/loop", "/plain"} {
		if answer, err := c.Get(url + path); err == nil {
			answer.Body.Close()
			t.Errorf("%s is followed", path)
		}
	}
	if answer, err := c.Get("http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), "TLS alone") {
		t.Error(answer, err)
	}
}

func TestAuthorityTellsTheTime(t *testing.T) {
	url, ca := authority(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", "Sun, 06 Nov 1994 08:49:37 GMT") })
	i, err := New(&config.ACMECerts{Directory: url, CA: ca}, t.TempDir(), "1", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	at, err := i.Time(t.Context())
	if want := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC); err != nil || !at.Equal(want) {
		t.Errorf("%v, %v", at, err)
	}
}

func TestFilesOfTheSectionAreReadAtOnce(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := put("secret", testSecret)
	for name, c := range map[string]*config.ACMECerts{
		"certs.acme.ca: stat":                        {CA: dir + "/gone"},
		"has no certificate in PEM":                  {CA: good},
		"certs.acme.eab-mac-file: " + dir + "/lines": {EABKey: "k", EABFile: put("lines", "a\nb\n")},
		"is no regular file":                         {EABKey: "k", EABFile: dir},
		"the secret must be base64":                  {DNS: &config.DNSUpdate{TSIGName: "k", TSIGFile: put("bad", "not*base64")}},
		"certs.acme.dns.tsig-file: stat":             {DNS: &config.DNSUpdate{TSIGName: "k", TSIGFile: dir + "/gone"}},
		"must have the secret in its only line":      {DNS: &config.DNSUpdate{TSIGName: "k", TSIGFile: put("empty", "\n")}},
	} {
		_, err := New(c, dir, "1", nil, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "not*base64") {
			t.Error("the error tells the secret")
		}
	}
	for mode, loose := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true} {
		if err := os.Chmod(good, mode); err != nil {
			t.Fatal(err)
		}
		_, err := New(&config.ACMECerts{DNS: &config.DNSUpdate{TSIGName: "k", TSIGFile: good}}, dir, "1", nil, slog.New(slog.DiscardHandler))
		if loose != (err != nil && strings.Contains(err.Error(), "certs.acme.dns.tsig-file: "+good+" has mode")) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestAccountIsForItsDirectory(t *testing.T) {
	dir := t.TempDir()
	i := &Issuer{config: config.ACMECerts{Directory: "https://one.test/dir"}, file: filepath.Join(dir, "certs", "acme-account.json"), log: slog.New(slog.DiscardHandler)}
	if _, err := i.loadAccount(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none yet: %v", err)
	}
	key, err := newKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	if err := i.saveAccount(acme.Account{Location: "https://one.test/acct/1"}, key); err != nil {
		t.Fatal(err)
	}
	if a, err := i.loadAccount(); err != nil || a.Location != "https://one.test/acct/1" || !key.Public().(*ecdsa.PublicKey).Equal(a.PrivateKey.Public()) {
		t.Errorf("%+v, %v", a.Location, err)
	}
	i.config.Directory = "https://two.test/dir"
	if _, err := i.loadAccount(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of another directory: %v", err)
	}
	i.config.Directory = "https://one.test/dir"
	for _, text := range []string{"", `{"directory":"https://one.test/dir"}`, `{"directory":"https://one.test/dir","location":"x","key":"-----BEGIN"}`} {
		os.WriteFile(i.file, []byte(text), 0o600)
		if _, err := i.loadAccount(); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOperatorsAreToldWhatTheAuthoritySays(t *testing.T) {
	p := acme.Problem{Type: acme.ProblemTypeConnection, Detail: "Timeout", Status: 400, Resource: acme.Authorization{Identifier: acme.Identifier{Type: "dns", Value: "a.test"}}}
	want := "the authority says: connection: Timeout (a.test); it must reach this host from outside, by the name and on the port of the challenge"
	if got := told(errors.Join(errors.New("attempt 1"), p)).Error(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if err := errors.New("dial"); told(err) != err {
		t.Error("another error is changed")
	}
}

func TestTheClientIsQuiet(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	l := slog.New(quiet{slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})})
	l.With("a", 1).WithGroup("g").Error("from the network")
	if out.Len() > 0 {
		t.Errorf("it tells %s", out.String())
	}
	level.Set(slog.LevelDebug)
	l.Error("from the network")
	if !strings.Contains(out.String(), "level=DEBUG") {
		t.Errorf("it tells %s", out.String())
	}
}
