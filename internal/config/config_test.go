package config

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the .want files anew")

// Each testdata/NAME.toml has a NAME.want with its whole message; without one it must be valid.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			wantFile := strings.TrimSuffix(file, ".toml") + ".want"
			c, err := Load(file)
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			}
			if (c == nil) != (err != nil) {
				t.Errorf("Load gives %v with the error %v", c, err)
			}
			if *update && got != "" {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestPackagedConfigurationIsValid(t *testing.T) {
	c, err := Load("../../packaging/ntptsd.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c.KeyExchange == nil || c.TimeServer == nil || c.Monitoring == nil || c.Management == nil {
		t.Errorf("a section is off: %+v", c)
	}
	if c.KeyExchange.NTPPort != 0 {
		t.Errorf("port %d is told, but 123 is where clients look", c.KeyExchange.NTPPort)
	}
}

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("ntptsd.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMissingSectionIsOff(t *testing.T) {
	c := parsed(t, "")
	if c.KeyExchange != nil || c.TimeServer != nil || c.Monitoring != nil || c.Management != nil {
		t.Errorf("a service is on: %+v", c)
	}
	if c = parsed(t, "[timeserver]\n[management]"); c.TimeServer == nil || c.Management == nil {
		t.Fatal("an empty section must be on")
	}
	if got := c.TimeServer.Listen[0].String(); got != "[::]:123" || !*c.TimeServer.Plain {
		t.Errorf("listen %s, plain %v", got, *c.TimeServer.Plain)
	}
	if c.Management.Socket != DefaultSocket {
		t.Errorf("socket %q", c.Management.Socket)
	}
}

const exchange = "[keyexchange]\ncertificate = '/a'\nkey = '/b'\n"

func TestDefaults(t *testing.T) {
	c := parsed(t, exchange+"[keyexchange.rate-limit]\ninterval='1s'\n[timeserver.rate-limit]\ninterval='1s'")
	x := c.KeyExchange
	if x.MaxConnections != 1000 || x.MaxConnectionsPerPrefix != 64 || x.MaxMessage != 4096 || x.RateLimit.Burst != 8 {
		t.Errorf("keyexchange: %+v", x)
	}
	if time.Duration(x.HelloTimeout) != 2*time.Second || time.Duration(x.RequestTimeout) != 3*time.Second || time.Duration(x.TotalTimeout) != 5*time.Second {
		t.Errorf("timeouts: %v %v %v", x.HelloTimeout, x.RequestTimeout, x.TotalTimeout)
	}
	if l := c.TimeServer.RateLimit; l.Burst != 8 || l.Leak != 2 || l.KoD || time.Duration(l.Interval) != time.Second {
		t.Errorf("timeserver.rate-limit: %+v", l)
	}
	if got := c.Clock; got != (Clock{
		"kernel", DefaultChronySocket, netip.MustParseAddrPort("127.0.0.1:323"), netip.MustParseAddrPort("127.0.0.1:123"),
		NTPDControl{}, 10, "127.127.1.1", Duration(time.Millisecond),
	}) {
		t.Errorf("clock: %+v", got)
	}
	if k := c.KeyRing; k.File != "/var/lib/ntptsd/keys" || k.Keep != 7 || time.Duration(k.RotateEvery) != 24*time.Hour || k.AEAD != 15 {
		t.Errorf("keyring: %+v", k)
	}
}

func TestDefaultsThatDependOnOthers(t *testing.T) {
	c := parsed(t, "state-directory = '/srv'\n"+exchange+"[keyring]\ndialect = 'chrony'\nneighbour-file = '/n'")
	k := c.KeyRing
	if k.Keep != 2 || time.Duration(k.RotateEvery) != 168*time.Hour || k.NeighbourFormat != "nks0" || k.File != "/srv/keys" {
		t.Errorf("keyring: %+v", k)
	}
	for format, want := range map[string][]uint16{"": {15}, "nks0": {15}, "nks1": {15, 30}} {
		text := exchange + "[keyring]\ndialect = 'chrony'\nneighbour-file = '/n'\n"
		if format != "" {
			text += "neighbour-format = '" + format + "'\n"
		}
		if got := parsed(t, text).KeyExchange.AEADs; !slices.Equal(got, want) {
			t.Errorf("aeads beside a neighbour's %q: %v, want %v", format, got, want)
		}
	}
}

// Beside another daemon, port 123 is that one's, and nobody asks on another port without NTS.
func TestTimeServerBesideANeighbour(t *testing.T) {
	for text, want := range map[string]string{
		"[timeserver]": "[::]:123 true",
		"[timeserver]\n[clock]\nsource = 'kernel'":                                          "[::]:123 true",
		"[timeserver]\n[clock]\nsource = 'ntpd'":                                            "[::]:10123 false",
		"[timeserver]\n[clock]\nsource = 'auto'":                                            "[::]:10123 false",
		"[timeserver]\nplain = true\n[clock]\nsource = 'chrony'":                            "[::]:10123 true",
		"[timeserver]\nlisten = ['192.0.2.1:123']\n[clock]\nsource = 'chrony'":              "192.0.2.1:123 true",
		"[timeserver]\nlisten = ['192.0.2.1:4123']\n[clock]\nsource = 'chrony'":             "192.0.2.1:4123 false",
		"[timeserver]\nlisten = ['192.0.2.1:123']\nplain = false\n[clock]\nsource = 'ntpd'": "192.0.2.1:123 false",
	} {
		c := parsed(t, text).TimeServer
		if got := fmt.Sprint(c.Listen[0], " ", *c.Plain); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestRingsOfNeighbours(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "ntptsd 15 '' socket '' server ''",
		"dialect = 'ntpsec'": "ntptsd 15 '' socket '' server ''",
		"dialect = 'chrony'\nneighbour-file = '/n'":                              "ntptsd 15 'nks0' socket '/run/chrony/chronyd.sock' server '127.0.0.1:123'",
		"dialect = 'chrony'\nneighbour-file = '/n'\naead = 30":                   "ntptsd 30 'nks1' socket '/run/chrony/chronyd.sock' server '127.0.0.1:123'",
		"dialect = 'chrony'\nneighbour-file = '/n'\nneighbour-server = 'none'":   "ntptsd 15 'nks0' socket '/run/chrony/chronyd.sock' server 'none'",
		"dialect = 'chrony'\nneighbour-file = '/n'\nowner = 'neighbour'":         "neighbour 15 'nks0' socket '' server ''",
		"dialect = 'ntpsec'\nneighbour-file = '/n'":                              "neighbour 15 'ntpsec' socket '' server ''",
		"dialect = 'ntpsec'\nneighbour-file = '/n'\nowner = 'ntptsd'\naead = 17": "ntptsd 17 'ntpsec' socket '' server '127.0.0.1:123'",
		"dialect = 'ntpdrs'\nneighbour-file = '/n'":                              "neighbour 17 'ntpdrs' socket '' server ''",
	} {
		c := parsed(t, "[keyring]\n"+text+"\n[rings.second]\n"+strings.ReplaceAll(text, "/n", "/m"))
		for name, file := range map[string]string{DefaultRing: "/var/lib/ntptsd/keys", "second": "/var/lib/ntptsd/keys-second"} {
			k, ok := c.Ring(name)
			got := fmt.Sprintf("%s %d '%s' socket '%s' server '%s'", k.Owner, k.AEAD, k.NeighbourFormat, k.NeighbourSocket, k.NeighbourServer)
			if !ok || got != want || k.File != file {
				t.Errorf("%s %q: %s in %s, want %s in %s", name, text, got, k.File, want, file)
			}
		}
	}
}

func TestTargets(t *testing.T) {
	c, err := Load("testdata/neighbours.toml")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.KeyExchange.AEADs); got != "[15 16 17 30]" {
		t.Errorf("offered are %s", got)
	}
	for i, want := range []string{
		"this-host:10123 default [15 16 17 30] 1 any 127.0.0.1:10123",
		"192.0.2.1 chrony [15] 3 ipv4 192.0.2.1:123",
		"ntp2.example.net rust [15 17] 1 any 192.0.2.2:123",
	} {
		s := c.KeyExchange.Servers[i]
		if got := fmt.Sprint(s.ID(), " ", s.Ring, " ", s.AEADs, " ", s.Weight, " ", s.Family, " ", s.Probe); got != want {
			t.Errorf("target %d: %s, want %s", i, got, want)
		}
	}
}

func TestTimeServerThatClientsAreTold(t *testing.T) {
	for server, valid := range map[string]bool{
		"time.example.org": true, "192.0.2.1": true, "2001:db8::1": true, "localhost": true, "3com.example": true,
		strings.Repeat("a.", 49) + "a": true, strings.Repeat("a.", 49) + "aa": false, // 99 and 100 characters
		"time.example.org.": false, "time..org": false, "-a.example": false, "time example": false, "[2001:db8::1]": false,
		"192.0.2.300": false, "192.0.2": false, "192.0.2.1:123": false, // not an address, and no name either
		"0.0.0.0": false, "::": false, "224.0.1.1": false, "ff05::101": false, "fe80::1%eth0": false,
	} {
		_, err := Parse("x", []byte(exchange+"ntp-server = '"+server+"'"))
		if (err == nil) != valid {
			t.Errorf("ntp-server %q: %v", server, err)
		}
	}
	if _, err := Parse("x", []byte(exchange+"ntp-port = 0")); err == nil || !strings.Contains(err.Error(), "x:4:1: keyexchange.ntp-port = 0: must be from 1") {
		t.Errorf("ntp-port 0: %v", err)
	}
}

func TestEverythingIsRead(t *testing.T) {
	c, err := Load("testdata/everything.toml")
	if err != nil {
		t.Fatal(err)
	}
	x, s := c.KeyExchange, c.TimeServer
	if x.Certificates[0].Key != "/b.key" || x.AEADs[0] != 30 || !x.LegacyGCMSIV || x.NTPPort != 1123 || x.Deny[0].Bits() != 32 || x.RateLimit.Burst != 3 {
		t.Errorf("keyexchange: %+v", x)
	}
	if *s.Plain || !s.Freebind || s.Device != "eth0" || s.Workers != 2 || s.RateLimit.Leak != 3 || !s.RateLimit.KoD || len(s.Listen) != 2 {
		t.Errorf("timeserver: %+v", s)
	}
	if c.Clock.ReferenceID != "GPS" || c.Clock.MinRootDispersion != 0 || c.KeyRing.AEAD != 30 || c.User != "ntptsd" || c.Log.Level != "debug" {
		t.Errorf("%+v", c)
	}
}

func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#", maxFileSize+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "none.toml: no such file or directory",
		dir:                             ": is no regular file",
		large:                           "large.toml: is larger than 1048576 octets",
	} {
		if _, err := Load(path); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("Load(%s) = %v, want ...%s", path, err, want)
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("[timeserver]\nallow = [")
	for range maxList {
		b.WriteString("1,")
	}
	b.WriteString("]")
	_, err := Parse("x", []byte(b.String()))
	if all, ok := err.(Errors); !ok || len(all) != maxErrors {
		t.Errorf("%d errors, want %d", len(all), maxErrors)
	}
}

// Whatever the text, Parse gives a configuration or errors that name the file.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.toml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("[[keyexchange.certificates]]\n[keyexchange.certificates.x.y]\na.b.c = [[], {a = [{}]}]"))
	f.Add([]byte("log = { level = 1979-05-27 }\nuser = nan\n\"\" = {}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f", text)
		if err == nil {
			if c == nil {
				t.Fatal("neither a configuration nor an error")
			}
			return
		}
		all, ok := err.(Errors)
		if !ok || len(all) == 0 || len(all) > maxErrors {
			t.Fatalf("%T with %d errors", err, len(all))
		}
		for _, e := range all {
			if e.File != "f" || e.Problem == "" || e.Line < 0 || e.Line > strings.Count(string(text), "\n")+1 {
				t.Fatalf("error %+v", e)
			}
		}
	})
}
