package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// issue writes a certificate and its key, signed by ca, or by itself.
func issue(t *testing.T, dir, name string, ca *tls.Certificate, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if change != nil {
		change(template)
	}
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	} else {
		template.IsCA, template.BasicConstraintsValid = true, true
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, k := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	for file, b := range map[string][]byte{name + ".pem": cert, name + ".key": k} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(cert, k)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// services is a services port that answers as h does, with certificates of a CA whose file is ca.pem of the folder.
func services(t *testing.T, dir string, h http.HandlerFunc, change func(*x509.Certificate)) (address string) {
	t.Helper()
	ca := issue(t, dir, "ca", nil, nil)
	server := issue(t, dir, "server", &ca, change)
	issue(t, dir, "alice", &ca, nil)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// remotely runs ntptsctl, which finds no configuration of the machine's user.
func remotely(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestRemote(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("ntptsd_secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := services(t, dir, func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("Authorization")
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if who == "" {
			answerProblem(w, http.StatusUnauthorized, api.Unknown, "log in first")
			return
		}
		answerJSON(w, api.Identity{Name: who + " at " + r.Host, Role: "monitor", Only: []string{}})
	}, nil)
	ca := []string{"--host", at, "--ca", filepath.Join(dir, "ca.pem")}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"certificate":       {append(ca, "--cert", filepath.Join(dir, "alice.pem"), "--key", filepath.Join(dir, "alice.key")), 0, "you are  alice at " + at},
		"token":             {append(ca, "--token-file", token), 0, "you are  Bearer ntptsd_secret at " + at},
		"nobody":            {ca, exitFailed, "log in first; --cert FILE and --key FILE, or --token-file FILE, say who you are"},
		"unknown authority": {[]string{"--host", at}, exitUsage, "--ca FILE names the one to trust"},
		"key alone":         {append(ca, "--key", token), exitUsage, "--cert and --key belong together"},
		"not a key":         {append(ca, "--cert", token, "--key", token), exitUsage, "failed to find any PEM data"},
		"no such authority": {[]string{"--host", at, "--ca", "/none"}, exitUsage, "--ca: open /none: no such file"},
		"not an authority":  {[]string{"--host", at, "--ca", token}, exitUsage, "has no certificate in PEM"},
		"not a host":        {[]string{"--host", "a b"}, exitUsage, "must be HOST or HOST:PORT"},
		"nobody listens":    {[]string{"--host", "127.0.0.1:1"}, exitUsage, "connection refused: ntptsd does not run there"},
		"no such profile":   {[]string{"--profile", "x"}, exitUsage, `there is no profile "x"`},
	} {
		code, stdout, stderr := remotely(t, append(c.args, "whoami")...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, %q, %q; want %d and %q", name, code, stdout, stderr, c.code, c.want)
		}
		if strings.Contains(stderr, "ntptsd_secret") {
			t.Errorf("%s: the error tells the token: %s", name, stderr)
		}
	}
}

func TestCertificatesThatAreNotTheServers(t *testing.T) {
	for want, change := range map[string]func(*x509.Certificate){
		"shows a certificate for other names":         func(c *x509.Certificate) { c.IPAddresses = nil },
		"shows a certificate that is not valid":       func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"--host must be one of them":                  func(c *x509.Certificate) { c.IPAddresses = nil },
		"if it has not ended, look at the clock of t": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) },
	} {
		dir := t.TempDir()
		at := services(t, dir, func(http.ResponseWriter, *http.Request) {}, change)
		if code, _, stderr := remotely(t, "--host", at, "--ca", filepath.Join(dir, "ca.pem"), "status"); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("exit %d, %s; want %q", code, stderr, want)
		}
	}
}

func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		file("open", "ntptsd_x", 0o644):                       "others may read",
		file("empty", "\n", 0o600):                            "has no token in it",
		file("two", "a b", 0o600):                             "has no token in it",
		file("evil", "a\x1b[2J", 0o600):                       "has no token in it",
		file("huge", strings.Repeat("x", maxSecret+1), 0o600): "is longer than",
		filepath.Join(dir, "none"):                            "no such file",
	} {
		if token, err := readToken(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", path, token, err)
		}
	}
	if token, err := readToken("-", strings.NewReader("ntptsd_x\nmore")); token != "ntptsd_x" || err != nil {
		t.Errorf("from standard input: %q, %v", token, err)
	}
}

func TestSplitHost(t *testing.T) {
	for in, want := range map[string]string{
		"a.example": "a.example:4461", "a.example:1": "a.example:1", "::1": "[::1]:4461", "[::1]": "[::1]:4461", "[::1]:5": "[::1]:5", "192.0.2.1": "192.0.2.1:4461",
		"": "", ":1": "", "a:": "", "a:b:c": "", "https://a": "", "u@a": "", "a/b": "",
	} {
		host, port, err := splitHost(in)
		if got := net.JoinHostPort(host, port); (want == "") != (err != nil) || want != "" && got != want {
			t.Errorf("%q: %s, %v; want %q", in, got, err, want)
		}
	}
}

func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "config.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("default-profile = \"a\"\n[profile.a]\nhost = \"a.example\"\n[profile.b]\nsocket = \"/run/b\"\n")
	for args, want := range map[string]string{
		"":                       "a.example:4461",
		"--profile b":            "/run/b",
		"--socket /run/c":        "/run/c",
		"--host d":               "d:4461",
		"--profile b --host d:1": "d:1",
	} {
		f := &flags{}
		root := rootFor(f)
		if err := root.ParseFlags(append(strings.Fields(args), "--config", good)); err != nil {
			t.Fatal(err)
		}
		asks, err := f.client(root)
		if err != nil || asks.door.String() != want {
			t.Errorf("%s: %s, %v; want %s", args, asks.door, err, want)
		}
	}
	code, stdout, _ := remotely(t, "--config", good, "profiles")
	if code != 0 || stdout != "* a  a.example\n  b  /run/b\n" {
		t.Errorf("exit %d, %q", code, stdout)
	}
	for text, want := range map[string]string{
		"[profile.a]\nhots = \"x\"\n":  "config.toml:2:1: unknown key profile.a.hots; a profile has socket, host",
		"[profile.a]\nhost = 7\n":      "config.toml:2:8: ",
		"[profile":                     "config.toml:1:",
		"[profile.a]\n":                `profile "a" says nothing`,
		"default-profile = \"none\"\n": `profile "none" says nothing`,
	} {
		if code, _, stderr := remotely(t, "--config", write(text), "status"); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit %d, %s; want %q", text, code, stderr, want)
		}
	}
	if code, _, stderr := remotely(t, "--config", filepath.Join(dir, "none"), "status"); code != exitUsage || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// stream is a daemon that tells its events and then breaks the connection.
func TestWatchComesBack(t *testing.T) {
	var asked []string
	answers := []string{
		"id: 7\nevent: sample\ndata: {}\n\n: alive\nid: 8\nevent: event\ndata: {\"id\":8,\"kind\":\"key\",\"severity\":\"info\",\"text\":\"first\\u001b[2J\"}\n\n",
		"id: 9\nevent: event\ndata: {\"id\":9,\ndata: \"kind\":\"key\",\"text\":\"second\"}\n\n",
	}
	ctx, cancel := context.WithCancel(t.Context())
	socket := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		if len(asked) > len(answers) {
			cancel()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answers[len(asked)-1])
	})
	var out, errs strings.Builder
	code := run(ctx, []string{"--socket", socket, "watch", "events"}, &out, &errs)
	if code != 0 || fmt.Sprint(asked) != "[ 8 9]" {
		t.Errorf("exit %d, asked %q, %s", code, asked, &errs)
	}
	checkSafe(t, "watch", out.String())
	if !strings.Contains(out.String(), `first\x1b[2J`) || !strings.Contains(out.String(), "second\n") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q", &out)
	}
}

func TestWatchEndsWhereItMayNot(t *testing.T) {
	socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
		answerProblem(w, http.StatusForbidden, api.Denied, "stream needs the role monitor")
	})
	code, stdout, stderr := ctl(t, socket, "watch", "events")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "stream needs the role monitor") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// Whatever a daemon streams: what is taken is bounded, and ids that go into a header are numbers.
func FuzzStream(f *testing.F) {
	f.Add("id: 1\nevent: event\ndata: {}\n\n")
	f.Add(": x\n\ndata\n\nid: 9\r\n\n")
	f.Add("data: a\ndata: b\nid: x\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := readStream(strings.NewReader(text), func() {}, func(i streamed) error {
			if strings.Trim(i.id, "0123456789") != "" || len(i.id) > 20 {
				t.Errorf("id %q", i.id)
			}
			if len(i.data) > len(text)+1 || i.data == nil {
				t.Errorf("%d octets of %d", len(i.data), len(text))
			}
			return nil
		})
		if err == nil {
			t.Error("a stream never ends well")
		}
	})
}
