package interop

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

const renewalTimeout = 45 * time.Second // the files are looked at now and then

func TestCertificateReplacedUnderRunningServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		renew func(*ntptsd, *authority) pair
	}{
		{"files change", func(_ *ntptsd, a *authority) pair { return a.issue("server", "server.test") }},
		{"SIGHUP", func(d *ntptsd, a *authority) pair {
			renewed := a.issue("renewed", "server.test") // other files, so that looking at the old ones tells nothing
			d.configure(settings{pair: renewed})
			d.signal(syscall.SIGHUP)
			return renewed
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, hosts := newLab(t, "", "server", "client", "newcomer")
			a := newAuthority(l)
			old := a.issue("server", "server.test")
			server := startNtptsd(hosts[0], settings{pair: old})
			client := chrony43.client(hosts[1], a, "server.test nts", -1)
			eventually(t, syncTimeout, client.synchronised)
			if got, err := certificate(hosts[1], hosts[0], a, "server.test"); err != nil || got.Cmp(old.serial) != 0 {
				t.Fatalf("certificate %v, %v; want %v", got, err, old.serial)
			}
			renewed := c.renew(server, a)
			eventually(t, renewalTimeout, func() error {
				got, err := certificate(hosts[1], hosts[0], a, "server.test")
				if err == nil && got.Cmp(renewed.serial) != 0 {
					err = fmt.Errorf("certificate %v, want %v", got, renewed.serial)
				}
				return err
			})
			newcomer := chrony461.client(hosts[2], a, "server.test nts", 0)
			eventually(t, syncTimeout, newcomer.synchronised)
			eventually(t, syncTimeout, client.synchronised)
			if all, valid, err := client.received(); err != nil || all != valid {
				t.Errorf("%d answers, %d valid, %v", all, valid, err)
			}
		})
	}
}

func TestCertificateChosenByName(t *testing.T) {
	t.Parallel()
	l, hosts := newLab(t, "other.test", "server", "client", "guest")
	a := newAuthority(l)
	first, second := a.issue("first", "server.test"), a.issue("second", "other.test")
	startNtptsd(hosts[0], settings{pair: first,
		keyExchange: fmt.Sprintf("certificates = [{ certificate = %q, key = %q }]", second.cert, second.key)})
	for name, want := range map[string]pair{"server.test": first, "other.test": second} {
		if got, err := certificate(hosts[1], hosts[0], a, name); err != nil || got.Cmp(want.serial) != 0 {
			t.Errorf("%s: certificate %v, %v; want %v", name, got, err, want.serial)
		}
	}
	clients := []interface{ synchronised() error }{
		chrony461.client(hosts[1], a, "server.test nts", 0), chrony43.client(hosts[2], a, "other.test nts", 0),
	}
	for _, c := range clients {
		eventually(t, syncTimeout, c.synchronised)
	}
}
