package interop

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == steadyArgument {
		fmt.Fprintln(os.Stderr, runSteady(os.Args[2:])) // only if it failed
		os.Exit(1)
	}
	flag.Parse()
	flag.Set("test.parallel", "16") // the cases wait for daemons most of their time, so cores do not bound them
	code := m.Run()
	results.write(os.Stdout)
	os.Exit(code)
}

// TestPeersAmongThemselves is the control: when it fails, the fault is the lab's and not ours.
func TestPeersAmongThemselves(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "chronyd", "ntpd", "rust", "classic", "chrony", "ntpsec", "client")
	a := newAuthority(l)
	chrony461.server(hosts[0], a.issue("chronyd", "chronyd.test"))
	startNTPsecServer(hosts[1], a.issue("ntpd", "ntpd.test"), l.dir+"/nts-keys")
	startNtpdrs(hosts[2], ntpdrsSource("nts", "chronyd.test", a), ntpdrsServer(l.dir+"/rust-keys", 3600),
		ntpdrsKeyExchange(a.issue("rust", "rust.test")))
	startClassic(hosts[3], "chronyd.test")
	c := chrony43.client(hosts[4], a, "ntpd.test nts", 0)
	n := startNTPsecClient(hosts[5], a, "chronyd.test nts")
	r := chrony461.client(hosts[6], a, "rust.test nts", 0)
	for _, client := range []interface{ synchronised() error }{c, n, r} {
		eventually(t, syncTimeout, client.synchronised)
	}
	eventually(t, syncTimeout, func() error { return following(hosts[6].plain(hosts[3].v4)) })
}
