package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

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
	}, nil, nil)
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
		"empty host":        {[]string{"--host", ""}, exitUsage, "--host is empty"},
		"two places":        {[]string{"--host", at, "--socket", "/s"}, exitUsage, "give one of them"},
		"no such name":      {[]string{"--host", "none.invalid"}, exitUsage, "is the name right?"},
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

// What a server answers over TLS, or how it ends it, and what is said of that.
func TestRemoteFailures(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte("ntptsd_secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(status int, kind api.Kind, detail string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answerProblem(w, status, kind, detail) }
	}
	never := func(*tls.Config) {}
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		setup  func(*tls.Config)
		flags  string // D is the folder
		code   int
		want   string
	}{
		"401":           {says(401, api.Unknown, "log in"), never, "", exitFailed, "log in; --cert FILE and --key FILE, or --token-file FILE, say who you are"},
		"401 token":     {says(401, api.Unknown, "no such token"), never, "--token-file D/token", exitFailed, "no such token; who may what stands in [access] of its configuration"},
		"403":           {says(403, api.Denied, "you may not"), never, "--token-file D/token", exitFailed, "you may not; who may what stands in [access] of its configuration"},
		"403 nobody":    {says(403, api.Denied, "you may not"), never, "", exitFailed, "you may not; --cert FILE and --key FILE"},
		"421":           {says(421, api.Denied, "use a name of the certificate"), never, "", exitFailed, "use a name of the certificate"},
		"429":           {says(429, api.TooMany, "too many log-ins failed"), never, "", exitFailed, "too many log-ins failed; wait a minute before you try again"},
		"hostile":       {says(500, api.Internal, "a\x1b[2J\u202eb\r\nntptsctl: all is well"), never, "", exitFailed, `a\x1b[2J\u202eb\r` + "\n    ntptsctl: all is well"},
		"token back":    {says(401, api.Unknown, "no token ntptsd_secret"), never, "--token-file D/token", exitFailed, "no token [the token]; "},
		"token in HTTP": {hijacked("ntptsd_secret\r\n\r\n"), never, "--token-file D/token", exitUsage, `malformed HTTP response "[the token]"`},
		"huge":          {func(w http.ResponseWriter, _ *http.Request) { huge(w) }, never, "", exitUsage, "is longer than 8388608 octets"},
		"slow":          {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, never, "--timeout 50ms", exitUsage, "no whole answer from"},
		"another ALPN":  {says(200, "", ""), func(c *tls.Config) { c.NextProtos = []string{"ntske/1"} }, "", exitUsage, "speaks TLS for another service: the services port of ntptsd is 4461"},
		"old TLS": {says(200, "", ""), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, "", exitUsage,
			"protocol version not supported; is it the services port"},
		"wants a certificate": {says(200, "", ""), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, "", exitUsage, "certificate required; is it the services port"},
		"wants another certificate": {says(200, "", ""), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool() },
			"--cert D/alice.pem --key D/alice.key", exitUsage, "does it know the certificate of --cert"},
		"another authority": {says(200, "", ""), never, "--ca D/alice.pem", exitUsage, "of another authority than those of --ca"},
	} {
		at := services(t, dir, c.handle, nil, c.setup)
		args := strings.Fields(strings.ReplaceAll("--host "+at+" --ca D/ca.pem "+c.flags+" sources", "D", dir))
		code, stdout, stderr := remotely(t, args...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) || len(stderr) > 1000 {
			t.Errorf("%s: exit %d, %q, %.1000q; want %d and %q", name, code, stdout, stderr, c.code, c.want)
		}
		if strings.Contains(stderr, "ntptsd_secret") {
			t.Errorf("%s: the error tells the token: %s", name, stderr)
		}
		checkSafe(t, name, stderr)
	}
}

// hijacked answers with what is no HTTP.
func hijacked(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, answer)
	}
}

func huge(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	for range 2 * maxAnswer / (1 << 20) {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return
		}
	}
}

// Who listens there may be anything.
func TestNoServicesPort(t *testing.T) {
	for answer, want := range map[string]string{
		"SSH-2.0-x\r\n": "does not speak TLS: is it the services port of an ntptsd, and no monitoring.plain-listen?",
		"":              "hangs up at once: access.allow and access.deny there may keep this host out",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1<<16)) // what is unread makes of the end a reset
				_, _ = io.WriteString(c, answer)
				c.Close()
			}
		}()
		code, _, stderr := remotely(t, "--host", l.Addr().String(), "status")
		l.Close()
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("exit %d, %q; want %q", code, stderr, want)
		}
	}
}

// A certificate is a stranger's text before it is trusted.
func TestNamesInCertificatesAreHostile(t *testing.T) {
	dir := t.TempDir()
	at := services(t, dir, func(http.ResponseWriter, *http.Request) {}, func(c *x509.Certificate) {
		c.IPAddresses, c.DNSNames = nil, []string{"a\x1b[2J\r\nntptsctl: all is well", strings.Repeat("x", 5000)}
	}, nil)
	_, port, _ := net.SplitHostPort(at)
	code, _, stderr := remotely(t, "--host", "localhost:"+port, "--ca", filepath.Join(dir, "ca.pem"), "status")
	if code != exitUsage || !strings.Contains(stderr, `for other names: `) || !strings.Contains(stderr, `a\x1b[2J\r\nntptsctl`) || len(stderr) > 1000 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d, %d octets: %.1000q", code, len(stderr), stderr)
	}
	checkSafe(t, "error", stderr)
}

func TestCertificatesThatAreNotTheServers(t *testing.T) {
	for want, change := range map[string]func(*x509.Certificate){
		"shows a certificate for other names":         func(c *x509.Certificate) { c.IPAddresses = nil },
		"shows a certificate that is not valid":       func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"--host must be one of them":                  func(c *x509.Certificate) { c.IPAddresses = nil },
		"if it has not ended, look at the clock of t": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) },
	} {
		dir := t.TempDir()
		at := services(t, dir, func(http.ResponseWriter, *http.Request) {}, change, nil)
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
		if token, err := readToken(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", path, token, err)
		}
	}
	stdin := strings.NewReader("ntptsd_x\r\nmore")
	if token, err := typedToken(stdin); token != "ntptsd_x" || err != nil || stdin.Len() != len("more") {
		t.Errorf("from standard input: %q, %v; %d octets are left", token, err, stdin.Len())
	}
}

// A profile's token goes to its own host; one that is named on the command line goes where the user says.
func TestTokenStaysWithItsHost(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "ntptsd_secret", "config.toml": fmt.Sprintf(`
[profile.a]
host = "a.example"
token-file = "token"
[profile.fleet]
token-file = %q
`, filepath.Join(dir, "token"))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for args, want := range map[string]string{
		"--profile a":                                       "ntptsd_secret",
		"--profile a --host b.example":                      "",
		"--profile a --host a.example":                      "ntptsd_secret",
		"--profile a --host b.example --token-file D/token": "ntptsd_secret",
		"--profile fleet --host b.example":                  "ntptsd_secret",
	} {
		f := &flags{}
		root := rootFor(f)
		if err := root.ParseFlags(strings.Fields(strings.ReplaceAll(args+" --config D/config.toml", "D", dir))); err != nil {
			t.Fatal(err)
		}
		if asks, err := f.client(root); err != nil || asks.door.token != want {
			t.Errorf("%s: %q, %v; want %q", args, asks.door.token, err, want)
		}
	}
	f := &flags{config: filepath.Join(dir, "config.toml"), profile: "a", timeout: time.Second, given: func(string) bool { return false }}
	for host, want := range map[string]string{"a": "ntptsd_secret", "a.example": "ntptsd_secret", "b.example": ""} {
		if asks, err := f.at(rootFor(&flags{}), host); err != nil || asks.door.token != want {
			t.Errorf("%s: %q, %v; want %q", host, asks.door.token, err, want)
		}
	}
}

// Standard input is read once, whoever asks for the token of it how often.
func TestTypedTokenIsKept(t *testing.T) {
	f := &flags{place: place{TokenFile: "-"}, timeout: time.Second, given: func(flag string) bool { return flag == "token-file" }}
	root := rootFor(&flags{})
	root.SetIn(strings.NewReader("ntptsd_x\nfor the tool\n"))
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for range 2 {
		if asks, err := f.at(root, "a.example"); err != nil || asks.door.token != "ntptsd_x" {
			t.Errorf("%q, %v", asks.door.token, err)
		}
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

// The zone of an address says which interface; it is in no certificate and no header.
func TestZone(t *testing.T) {
	host, port, err := splitHost("fe80::1%eth0")
	d := door{host: host, port: port}
	if err != nil || d.String() != "[fe80::1%eth0]:4461" || d.header() != "[fe80::1]:4461" || d.name() != "fe80::1" {
		t.Errorf("%s, %s, %s, %v", d, d.header(), d.name(), err)
	}
	if r, err := d.newRequest(t.Context(), api.GetStatus.Declaration(), nil, ""); err != nil || r.Host != "[fe80::1]:4461" {
		t.Errorf("%+v, %v", r, err)
	}
}
