package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// A real BIND is the zone's primary, another one its secondary, which looks for changes every few seconds only and is never told. The authority
// asks the secondary.
const (
	bindPrimary   = "127.0.0.61"
	bindSecondary = "127.0.0.62"
	secondaryLags = 4 // seconds

	bindOptions = `options { directory "%[1]s"; listen-on { %[2]s; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no;
  dnssec-validation no; notify no; min-refresh-time %[3]d; max-refresh-time %[3]d; };
controls { };
`
	primaryZone = `key "ntptsd.key" { algorithm hmac-sha256; secret "%s"; };
zone "test" { type primary; file "zone"; allow-transfer { any; };
  update-policy { grant ntptsd.key name _acme-challenge.a.test. TXT; }; };
`
	secondaryZone = `zone "test" { type secondary; file "zone"; primaries { ` + bindPrimary + `; }; };
`
	zoneFile = `$TTL 60
@ SOA ns1 hostmaster 1 %[3]d %[3]d 3600 1
@ NS ns1
@ NS ns2
ns1 A %[1]s
ns2 A %[2]s
a A 127.0.0.1
b A 127.0.0.1
`
)

func (p *pebble) startBIND(address, zone string) {
	t := p.t
	t.Helper()
	p.host.lab.ip("-n", p.host.ns, "addr", "add", address+"/32", "dev", "lo") // BIND listens where the machine has an address
	dir := t.TempDir()
	for name, text := range map[string]string{
		"named.conf": fmt.Sprintf(bindOptions, dir, address, secondaryLags) + zone,
		"zone":       fmt.Sprintf(zoneFile, bindPrimary, bindSecondary, secondaryLags),
	} {
		if name == "zone" && address == bindSecondary {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop, _ := launchOnLoopback(t, filepath.Join(dir, "named.log"), []string{"PATH=" + os.Getenv("PATH")},
		p.inside(tree(t, peers.Bookworm()).Command("usr/sbin/named", "-g", "-4", "-n", "1", "-c", filepath.Join(dir, "named.conf"))...)...)
	t.Cleanup(stop)
	eventually(t, 20*time.Second, func() error {
		answer, err := p.look(address, "a.test.", dns.TypeA)
		if err == nil && len(answer.Answer) != 1 {
			err = fmt.Errorf("it answers %v", answer)
		}
		return err
	})
}

func (p *pebble) look(server, name string, kind uint16) (*dns.Msg, error) {
	conn, err := p.dial(p.t.Context(), "tcp", server+":53")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answer, _, err := new(dns.Client).ExchangeWithConn(new(dns.Msg).SetQuestion(name, kind), &dns.Conn{Conn: conn})
	return answer, err
}

// BIND takes our updates, the authority is called when the secondary has them, nothing stays behind, and a policy's no is told.
func TestACMEByBIND(t *testing.T) {
	t.Parallel()
	_, hosts := newLab(t, "", "zone")
	p := newPebble(t)
	p.host = hosts[0]
	p.startBIND(bindPrimary, fmt.Sprintf(primaryZone, tsigSecret))
	p.startBIND(bindSecondary, secondaryZone)
	p.names.address, p.names.primary = bindSecondary+":53", bindPrimary+":53"
	p.begin()
	update := strings.Replace(dnsUpdate(p), `"0s"`, `"20s"`, 1)
	m := p.manage("profile = \"default\"\nnames = [\"a.test\", \"*.a.test\"]\n" + update)
	begun := time.Now()
	got := m.becomes(isValid)
	t.Logf("issued after %v", time.Since(begun).Round(100*time.Millisecond))
	if _, err := m.leaf("x.a.test"); err != nil || got.Source != api.CertificateACME {
		t.Errorf("%+v, %v", got, err)
	}
	left, err := p.look(bindPrimary, "_acme-challenge.a.test.", dns.TypeTXT)
	if err != nil || len(left.Answer) != 0 {
		t.Errorf("BIND still has %v, %v", left, err)
	}

	m.configure("profile = \"default\"\nnames = [\"b.test\"]\n" + update)
	m.signal(syscall.SIGHUP)
	got = m.becomes(func(c api.Certificate) bool { return c.State == api.CertificateFailing })
	if !strings.Contains(got.LastError, "REFUSED") || !strings.Contains(got.LastError, "policy") {
		t.Errorf("%+v", got)
	}
}
