package interop

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/protocol/ntske"
	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// acmeTimeout is how long an issuance may take: the authority lets itself be asked once a second.
const acmeTimeout = 25 * time.Second

// A pebble is a certificate authority on loopback, with a name server that it asks. No namespace and no root is needed.
type pebble struct {
	t                  *testing.T
	dir, config        string
	acme, management   netip.AddrPort
	httpPort, alpnPort uint16
	names              *nameServer
	env                []string
	settings           map[string]any
	stop               func()
	client             *http.Client
	host               *host // nil: this machine's own loopback
}

// inside is the command line that runs args where the authority is.
func (p *pebble) inside(args ...string) []string {
	if p.host == nil {
		return args
	}
	return p.host.inside(args)
}

// dial opens a connection to something there.
func (p *pebble) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.host == nil {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return p.host.dial(ctx, network, netip.MustParseAddrPort(address))
}

func newPebble(t *testing.T, env ...string) *pebble {
	t.Helper()
	if os.Getenv("NTPTSD_INTEROP") != "1" {
		t.Skip("a real authority: set NTPTSD_INTEROP=1 (make interop)")
	}
	p := &pebble{t: t, dir: t.TempDir(), acme: freePort(t), management: freePort(t), httpPort: freePort(t).Port(), alpnPort: freePort(t).Port(),
		names: newNameServer(t), env: append([]string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0", "PEBBLE_WFE_NONCEREJECT=0"}, env...)}
	ca, root, err := certs.NewAuthority("pebble's own", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own, err := ca.Issue(certs.ForServer, []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{"listenAddress": p.acme.String(), "managementListenAddress": p.management.String(),
		"certificate": p.write("own.pem", own.Certificate), "privateKey": p.write("own.key", own.Key), "httpPort": p.httpPort, "tlsPort": p.alpnPort,
		"keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 0, "order": 0},
		"profiles": map[string]any{"default": map[string]any{"description": "47 days", "validityPeriod": 47 * 86400},
			"shortlived": map[string]any{"description": "six days", "validityPeriod": 6 * 86400}}}
	p.settings = settings
	p.write("directory-ca.pem", root.Certificate)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root.Certificate)
	p.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true, DialContext: p.dial}}
	t.Cleanup(func() { p.end() })
	return p
}

func (p *pebble) write(name string, content []byte) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// begin starts the authority. It remembers nothing of an earlier start, not even its accounts.
func (p *pebble) begin() *pebble {
	p.t.Helper()
	dir, err := peers.Dir()
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"pebble": p.settings})
	if err != nil {
		p.t.Fatal(err)
	}
	p.config = p.write("pebble.json", text)
	program, err := peers.Pebble(p.t.Context(), dir)
	if err != nil {
		lacking(p.t, "%v", err)
	}
	p.stop, _ = launchOnLoopback(p.t, filepath.Join(p.dir, "pebble.log"), append(p.env, "PATH="+os.Getenv("PATH")),
		p.inside(program, "-config", p.config, "-dnsserver", p.names.address)...)
	eventually(p.t, 10*time.Second, func() error { _, err := p.root(); return err })
	return p
}

func (p *pebble) end() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// root is the certificate that those of this start go back to.
func (p *pebble) root() (*x509.CertPool, error) {
	answer, err := p.client.Get("https://" + p.management.String() + "/roots/0")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) && err == nil {
		err = fmt.Errorf("no root in %q", text)
	}
	return pool, err
}

// suggest lets the authority suggest a renewal between two moments.
func (p *pebble) suggest(leaf *x509.Certificate, from, to time.Time) {
	p.t.Helper()
	window, _ := json.Marshal(map[string]any{"suggestedWindow": map[string]time.Time{"start": from, "end": to}})
	body, _ := json.Marshal(map[string]string{"Certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})), "ARIResponse": string(window)})
	answer, err := p.client.Post("https://"+p.management.String()+"/set-renewal-info/", "application/json", bytes.NewReader(body))
	if err != nil || answer.StatusCode != http.StatusOK {
		p.t.Fatal(answer, err)
	}
	answer.Body.Close()
}

func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// launchOnLoopback starts a program and gives what ends it.
func launchOnLoopback(t *testing.T, log string, env []string, args ...string) (stop func(), signal func(syscall.Signal)) {
	t.Helper()
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = file, file, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(stopTimeout, func() { cmd.Process.Kill() })
		cmd.Wait()
		late.Stop()
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("--- %s\n%s", filepath.Base(log), text[max(0, len(text)-logTail):])
		}
	}), func(s syscall.Signal) { cmd.Process.Signal(s) }
}

// requireAccounts lets the authority demand an external account of that name, and gives the file with its MAC key.
func (p *pebble) requireAccounts(name string) (file string) {
	key := base64.RawURLEncoding.EncodeToString([]byte("thirty-two octets and not a few."))
	p.settings["externalAccountBindingRequired"] = true
	p.settings["externalAccountMACKeys"] = map[string]string{name: key}
	return p.write("mac", []byte(key))
}

// closeAccount closes the daemon's account by its key.
func (m *managed) closeAccount() {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "state", "certs", "acme-account.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	var kept struct{ Directory, Location, Key string }
	if err := json.Unmarshal(text, &kept); err != nil {
		m.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(kept.Key))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		m.t.Fatal(err)
	}
	client := acme.Client{Directory: kept.Directory, HTTPClient: m.pebble.client}
	if _, err := client.UpdateAccount(m.t.Context(), acme.Account{Status: acme.StatusDeactivated, Location: kept.Location, PrivateKey: key.(crypto.Signer)}); err != nil {
		m.t.Fatal(err)
	}
}

// A nameServer answers every question for an address by 127.0.0.1, but for those it was told otherwise, and takes signed
// dynamic updates of the zone test.
type nameServer struct {
	address   string // that the authority asks
	primary   string // that is told
	mu        sync.Mutex
	texts     map[string][]string   // guarded by mu
	addresses map[string]netip.Addr // guarded by mu
	updates   int                   // guarded by mu; records that were added
}

const (
	tsigName   = "ntptsd.key."
	tsigSecret = "c2VjcmV0IG9mIGEgdGVzdCwgd2hpY2ggbm9ib2R5IHVzZXM="
)

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	s := &nameServer{texts: make(map[string][]string), addresses: make(map[string]netip.Addr)}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = tcp.Addr().String()
	s.primary = s.address
	udp, err := net.ListenPacket("udp4", s.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		server.Handler, server.TsigSecret = s, map[string]string{tsigName: tsigSecret}
		server.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		go server.ActivateAndServe()
		t.Cleanup(func() { server.Shutdown() })
	}
	return s
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	answer := new(dns.Msg).SetReply(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Opcode == dns.OpcodeUpdate {
		s.update(w, m, answer)
		w.WriteMsg(answer)
		return
	}
	for _, q := range m.Question {
		name := strings.ToLower(q.Name)
		head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}
		switch q.Qtype {
		case dns.TypeA:
			addr, ok := s.addresses[name]
			if !ok {
				addr = netip.MustParseAddr("127.0.0.1")
			}
			answer.Answer = append(answer.Answer, &dns.A{Hdr: head, A: addr.AsSlice()})
		case dns.TypeTXT:
			for _, text := range s.texts[name] {
				answer.Answer = append(answer.Answer, &dns.TXT{Hdr: head, Txt: []string{text}})
			}
		}
	}
	w.WriteMsg(answer)
}

func (s *nameServer) update(w dns.ResponseWriter, m, answer *dns.Msg) {
	sign := m.IsTsig()
	switch {
	case sign == nil || w.TsigStatus() != nil:
		answer.Rcode = dns.RcodeNotAuth
		return
	case m.Question[0].Name != "test.":
		answer.Rcode = dns.RcodeNotZone
	default:
		for _, rr := range m.Ns {
			txt := rr.(*dns.TXT)
			name := strings.ToLower(txt.Hdr.Name)
			if txt.Hdr.Class == dns.ClassINET {
				s.texts[name] = append(s.texts[name], txt.Txt[0])
				s.updates++
			} else if all := s.texts[name]; len(all) > 0 {
				s.texts[name] = all[1:]
			}
		}
	}
	answer.SetTsig(sign.Hdr.Name, sign.Algorithm, 300, time.Now().Unix())
}

// left is how many records were added, and how many of them are still there.
func (s *nameServer) left() (added, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, all := range s.texts {
		left += len(all)
	}
	return s.updates, left
}

func (s *nameServer) point(name string, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses[name] = netip.MustParseAddr(to)
}

// managed is an ntptsd on loopback whose certificate is the authority's.
type managed struct {
	t           *testing.T
	dir, config string
	keyExchange netip.AddrPort
	pebble      *pebble
	program     string
	stop        func()
	signal      func(syscall.Signal)
}

// manage starts one that has these lines in [certs.acme].
func (p *pebble) manage(acme string) *managed {
	t := p.t
	t.Helper()
	dir, err := os.MkdirTemp("", prefix+fmt.Sprint(os.Getpid(), "-acme-")) // short: it has a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &managed{t: t, dir: dir, config: filepath.Join(dir, "ntptsd.toml"), keyExchange: freePort(t), pebble: p, program: program(t, "ntptsd")}
	m.configure(acme)
	t.Cleanup(func() { m.stop() })
	m.begin()
	return m
}

func (m *managed) configure(acme string) {
	m.t.Helper()
	text := fmt.Sprintf(`state-directory = "%[1]s/state"
[keyexchange]
listen = ["%[2]s"]
certificate = "acme"
[clock]
source = "fixed"
[management]
socket = "%[1]s/sock"
[certs.acme]
directory = "https://%[3]s/dir"
ca = "%[4]s/directory-ca.pem"
http-listen = ["127.0.0.1:%[5]d"]
tls-alpn-listen = ["127.0.0.1:%[6]d"]
%[7]s
`, m.dir, m.keyExchange, m.pebble.acme, m.pebble.dir, m.pebble.httpPort, m.pebble.alpnPort, acme)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *managed) begin() {
	m.t.Helper()
	m.stop, m.signal = launchOnLoopback(m.t, filepath.Join(m.dir, "ntptsd.log"), append(os.Environ(), "NOTIFY_SOCKET="), m.pebble.inside(m.program, "run", "--config", m.config)...)
}

func (m *managed) restart() { m.t.Helper(); m.stop(); m.begin() }

// ask asks the control socket.
func (m *managed) ask(method, path string, result any) error {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(m.dir, "sock"))
		}}}
	request, err := http.NewRequest(method, "http://ntptsd"+path, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s %w", path, answer.Status, text, err)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(text, result)
}

func (m *managed) certificate() (c api.Certificate, err error) {
	var all api.Certificates
	if err := m.ask(http.MethodGet, "/v1/certs", &all); err != nil {
		return c, err
	}
	if len(all.Certificates) != 1 {
		return c, fmt.Errorf("%d certificates", len(all.Certificates))
	}
	return all.Certificates[0], nil
}

// becomes waits until the certificate is as it should be.
func (m *managed) becomes(good func(c api.Certificate) bool) (c api.Certificate) {
	m.t.Helper()
	eventually(m.t, acmeTimeout, func() (err error) {
		if c, err = m.certificate(); err == nil && !good(c) {
			err = fmt.Errorf("certificate %+v", c)
		}
		return err
	})
	return c
}

func isValid(c api.Certificate) bool { return c.State == api.CertificateValid && c.Problem == "" }

// leaf is what a client of the key exchange is shown that trusts the authority; name "" is for an address.
func (m *managed) leaf(name string) (*x509.Certificate, error) {
	roots, err := m.pebble.root()
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	plain, err := m.pebble.dial(ctx, "tcp", m.keyExchange.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, &tls.Config{RootCAs: roots, ServerName: name, NextProtos: []string{ntske.ALPN}, MinVersion: tls.VersionTLS13})
	defer conn.Close()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

func (m *managed) log() string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "ntptsd.log"))
	return string(text)
}
