package neighbour

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// tree writes files below a folder that stands for the root.
func tree(t *testing.T, files map[string]string) string {
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestClaims(t *testing.T) {
	const (
		chronyd, chronyConf = "usr/sbin/chronyd", "etc/chrony/chrony.conf"
		ntpd, ntpsecConf    = "usr/sbin/ntpd", "etc/ntpsec/ntp.conf"
		rust, rustConf      = "usr/bin/ntp-daemon", "etc/ntpd-rs/ntp.toml"
	)
	for name, c := range map[string]struct {
		files  map[string]string
		source string
		want   string
	}{
		"none":                      {nil, "kernel", ""},
		"file of a removed package": {map[string]string{ntpsecConf: "nts enable\n"}, "kernel", ""},
		"program without a file":    {map[string]string{chronyd: ""}, "kernel", ""},
		"chronyd as a client":       {map[string]string{chronyd: "", chronyConf: "pool x iburst\n# allow\n! allow\n"}, "chrony", ""},
		"chronyd as a server":       {map[string]string{chronyd: "", chronyConf: "Allow 192.0.2.0/24\n"}, "chrony", "udp [::]:123"},
		"chronyd without a port":    {map[string]string{chronyd: "", chronyConf: "allow\nport 0\n"}, "chrony", ""},
		"chronyd on an address": {map[string]string{chronyd: "", chronyConf: "allow\nbindaddress 192.0.2.1\n"}, "chrony",
			"udp 192.0.2.1:123, udp [::]:123"},
		"chronyd with NTS": {map[string]string{chronyd: "", chronyConf: "confdir /etc/chrony/conf.d\nntsserverkey /k\n",
			"etc/chrony/conf.d/nts.conf": "allow all\nntsservercert /c\n"}, "chrony", "udp [::]:123, tcp [::]:4460"},
		"chronyd with NTS elsewhere": {map[string]string{chronyd: "", chronyConf: "include /etc/chrony/n*\n",
			"etc/chrony/nts": "allow\nntsserverkey /k\nntsservercert /c\nntsport 14460\n"}, "chrony", "udp [::]:123, tcp [::]:14460"},
		"chronyd with a peer":             {map[string]string{chronyd: "", chronyConf: "peer 192.0.2.9\n"}, "chrony", "udp [::]:123"},
		"chronyd that broadcasts":         {map[string]string{chronyd: "", chronyConf: "broadcast 60 192.0.2.255\n"}, "chrony", "udp [::]:123"},
		"chronyd that asks from its port": {map[string]string{chronyd: "", chronyConf: "acquisitionport 123\n"}, "chrony", "udp [::]:123"},
		"chronyd that asks from another":  {map[string]string{chronyd: "", chronyConf: "acquisitionport 1123\n"}, "chrony", ""},
		"NTPsec":                          {map[string]string{ntpd: "", ntpsecConf: "server x\n"}, "ntpd", "udp [::]:123"},
		"NTPsec with NTS": {map[string]string{ntpd: "", ntpsecConf: "nts key /k cert /c enable # now\n"}, "ntpd",
			"udp [::]:123, tcp [::]:4460"},
		"NTPsec with NTS in its folder": {map[string]string{ntpd: "", ntpsecConf: "server x\n", "etc/ntpsec/ntp.d/a/nts.conf": "nts enable\n",
			"etc/ntpsec/ntp.d/README": "nts enable\n"}, "ntpd", "udp [::]:123, tcp [::]:4460"},
		"NTPsec with NTS in a relative file": {map[string]string{ntpd: "", ntpsecConf: "includefile more\n", "etc/ntpsec/more": "nts enable\n"}, "ntpd",
			"udp [::]:123, tcp [::]:4460"},
		"NTPsec with NTS in an included folder": {map[string]string{ntpd: "", ntpsecConf: "includefile \"/srv/ntp\"\n", "srv/ntp/x.conf": "nts enable\n"}, "ntpd",
			"udp [::]:123, tcp [::]:4460"},
		"NTPsec as an NTS client": {map[string]string{ntpd: "", ntpsecConf: "server x nts\nnts ca /etc/ssl # enable\n"}, "ntpd", "udp [::]:123"},
		"classic on an address": {map[string]string{ntpd: "", "etc/ntp.conf": "interface ignore wildcard\ninterface listen 192.0.2.1\n"}, "ntpd",
			"udp 127.0.0.1:123, udp [::1]:123, udp 192.0.2.1:123"},
		"classic with the wildcard": {map[string]string{ntpd: "", "etc/ntp.conf": "interface listen 192.0.2.1\n"}, "ntpd", "udp [::]:123"},
		"classic on an interface": {map[string]string{ntpd: "", "etc/ntp.conf": "interface ignore wildcard\ninterface listen eth0\n"}, "ntpd",
			"udp [::]:123"},
		"ntpd-rs": {map[string]string{rust: "", rustConf: "[[server]]\nlisten = \"0.0.0.0:123\"\n[[nts-ke-server]]\nlisten = \"[::]:4460\"\n"}, "kernel",
			"udp 0.0.0.0:123, tcp [::]:4460"},
	} {
		t.Run(name, func(t *testing.T) {
			claims, source, unread := Survey(tree(t, c.files))
			var got []string
			for _, c := range claims {
				got = append(got, fmt.Sprintf("%s %s", c.Network, c.At))
			}
			if s := strings.Join(got, ", "); s != c.want || source != c.source || len(unread) > 0 {
				t.Errorf("%s, source %s, %v; want %s, source %s", s, source, unread, c.want, c.source)
			}
		})
	}
}

func TestWhatCannotBeReadIsTold(t *testing.T) {
	root := tree(t, map[string]string{"usr/bin/ntp-daemon": "", "etc/ntpd-rs/ntp.toml": "[[server\n"})
	if _, _, unread := Survey(root); len(unread) != 1 {
		t.Errorf("%v", unread)
	}
}

// What is too much to read may claim anything: that is told.
func TestCutsAreTold(t *testing.T) {
	many := map[string]string{"usr/sbin/chronyd": "", "etc/chrony/chrony.conf": "confdir /etc/chrony/conf.d\n"}
	for i := range maxIncluded + 5 {
		many[fmt.Sprintf("etc/chrony/conf.d/%d.conf", i)] = "# nothing\n"
	}
	for name, files := range map[string]map[string]string{
		"many files":  many,
		"a long file": {"usr/sbin/chronyd": "", "etc/chrony/chrony.conf": strings.Repeat("# \n", maxConfiguration/3+1)},
		"a loop":      {"usr/sbin/ntpd": "", "etc/ntp.conf": "includefile /etc/ntp.conf\n"},
	} {
		if _, _, unread := Survey(tree(t, files)); len(unread) != 1 || !strings.Contains(unread[0].Error(), "not read to its end") {
			t.Errorf("%s: %v", name, unread)
		}
	}
}

func TestConflicts(t *testing.T) {
	for _, c := range []struct {
		claim, listen string
		conflict      bool
	}{
		{"[::]:123", "[::]:123", true}, {"[::]:123", "192.0.2.1:123", true}, {"192.0.2.1:123", "[::]:123", true},
		{"0.0.0.0:123", "192.0.2.1:123", true}, {"0.0.0.0:123", "[2001:db8::1]:123", false},
		{"192.0.2.1:123", "192.0.2.2:123", false}, {"192.0.2.1:123", "192.0.2.1:123", true}, {"[::]:123", "[::]:10123", false},
	} {
		cfg := &config.Config{
			TimeServer:  &config.TimeServer{Listen: []netip.AddrPort{netip.MustParseAddrPort(c.listen)}},
			KeyExchange: &config.KeyExchange{Listen: []netip.AddrPort{netip.MustParseAddrPort(c.listen)}},
		}
		got := Conflicts(cfg, []Claim{{"ntpd", "/etc/ntp.conf", "udp", netip.MustParseAddrPort(c.claim)}})
		if (len(got) > 0) != c.conflict {
			t.Errorf("%s beside %s: %v", c.listen, c.claim, got)
		}
		for _, err := range got {
			if text := err.Error(); !strings.Contains(text, "timeserver.listen") || !strings.Contains(text, "/etc/ntp.conf") {
				t.Error(text)
			}
		}
	}
}
