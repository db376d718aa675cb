package interop

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8") // the cases wait for daemons most of their time, so cores do not bound them
	os.Exit(m.Run())
}

// TestPeersAmongThemselves is the control: when it fails, the fault is the lab's and not ours.
func TestPeersAmongThemselves(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "", "chronyd", "ntpd", "chrony", "ntpsec")
	a := newAuthority(l)
	chrony461.server(hosts[0], a.issue("chronyd", "chronyd.test"))
	startNTPsecServer(hosts[1], a.issue("ntpd", "ntpd.test"), l.dir+"/nts-keys")
	c := chrony43.client(hosts[2], a, "ntpd.test nts", 0)
	n := startNTPsecClient(hosts[3], a, "chronyd.test nts")
	eventually(t, syncTimeout, c.synchronised)
	eventually(t, syncTimeout, n.synchronised)
}
