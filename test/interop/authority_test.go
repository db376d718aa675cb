package interop

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/certs"
)

// Every client takes the chain that ntptsd init lays out: a root that is trusted, an authority below it whose names are
// constrained (RFC 5280 section 4.2.1.10), and what the daemon lets that one certify.
func TestOwnAuthorityIsTakenByEveryClient(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "server", "chrony43", "chrony461", "ntpsec", "ntpdrs")
	ca, root, err := certs.NewAuthority("root", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"server.test", "server-v6.test", hosts[0].v4.String(), "localhost"}
	below, err := ca.ServerAuthority("servers", names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(root.Certificate)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{lab: l, cert: cert, root: l.write("ca.pem", string(root.Certificate))}
	startNtptsd(hosts[0], settings{pair: pair{cert: "authority"}, keyExchange: fmt.Sprintf(`[certs.authority]
names = ["server.test", "server-v6.test", %q, "localhost"]
certificate = %q
key = %q`, names[2], l.write("server-ca.pem", string(below.Certificate)), l.write("server-ca.key", string(below.Key)))})
	chain, err := certificate(hosts[1], hosts[0], a, "server.test")
	if err != nil || chain == nil {
		t.Fatal(err)
	}
	for name, client := range map[string]interface{ synchronised() error }{
		"chronyd 4.3":   chrony43.client(hosts[1], a, "server.test nts", -1),
		"chronyd 4.6.1": chrony461.client(hosts[2], a, "server.test nts", -1),
		"NTPsec":        startNTPsecClient(hosts[3], a, "server.test nts"),
		"ntpd-rs":       startNtpdrs(hosts[4], ntpdrsSource("nts", "server.test", a)),
	} {
		t.Log(name)
		eventually(t, syncTimeout, client.synchronised)
	}
}
