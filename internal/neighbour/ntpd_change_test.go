package neighbour

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// configurable is an ntpd that takes lines by a control key, as far as these tests look.
type configurable struct {
	t       *testing.T
	conn    *net.UDPConn
	version string
	secret  string
	key     *mode6.Key

	mu      sync.Mutex
	peers   map[uint16]string // association: srcadr, or name of those that have none yet
	next    uint16
	lines   []string
	verdict string
	deaf    bool // understands, and does nothing
	silent  bool
	forged  bool // answers without a MAC
}

func newConfigurable(t *testing.T, version string, peers ...string) *configurable {
	t.Helper()
	const secret = "control"
	key, err := mode6.NewKey(10, mode6.MD5, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	c := &configurable{t: t, version: version, secret: secret, key: key, peers: map[uint16]string{}, next: 100, verdict: "Config Succeeded"}
	for _, p := range peers {
		c.follow(p)
	}
	if c.conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(c.serve)
	t.Cleanup(func() { c.conn.Close(); running.Wait() })
	return c
}

// sent are the lines that came.
func (c *configurable) sent() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

func (c *configurable) follow(peer string) { c.peers[c.next] = peer; c.next++ }

func (c *configurable) client() *NTPD {
	file := filepath.Join(c.t.TempDir(), "ntp.keys")
	if err := os.WriteFile(file, []byte("# comment\n1 MD5 other # too\n10 M "+c.secret+" 127.0.0.1\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	n := NewNTPD(c.conn.LocalAddr().(*net.UDPAddr).AddrPort())
	n.control = controlKey{file, 10}
	return n
}

func (c *configurable) serve() {
	b := make([]byte, 1024)
	for {
		n, from, err := c.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		q, err := mode6.ParseRequest(b[:n])
		if err != nil {
			c.t.Errorf("no request: %v: %x", err, b[:n])
			continue
		}
		if answer := c.answer(q, b[:n]); answer != nil {
			c.conn.WriteToUDPAddrPort(answer, from)
		}
	}
}

func (c *configurable) answer(q mode6.Request, datagram []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := mode6.Fragment{Version: 2, Op: q.Op, Sequence: q.Sequence, Association: q.Association}
	switch {
	case q.Op == mode6.OpReadStatus:
		for id := range c.peers {
			f.Data = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(f.Data, id), 0x8000)
		}
	case q.Op == mode6.OpReadVariables && q.Association == 0:
		f.Data = []byte(`version="` + c.version + `"`)
	case q.Op == mode6.OpReadVariables && string(q.Data) == "":
		address, name, _ := strings.Cut(c.peers[q.Association], "=")
		f.Data = fmt.Appendf(nil, "srcadr=%s, srchost=%q, hmode=3, hpoll=6", address, name)
		if c.peers[q.Association] == "" {
			f.Error, f.Status, f.Data = true, uint16(mode6.CodeAssociation)<<8, nil
		}
	case q.Op == mode6.OpConfigure:
		if c.silent {
			return nil
		}
		if c.key.Verify(datagram) != nil {
			f.Error, f.Status = true, uint16(mode6.CodePermission)<<8
			return f.AppendTo(nil)
		}
		return c.signed(c.configure(f, string(q.Data)))
	default:
		f.Error, f.Status = true, uint16(mode6.CodeVariable)<<8
	}
	return f.AppendTo(nil)
}

func (c *configurable) configure(f mode6.Fragment, line string) mode6.Fragment {
	words := strings.Fields(line)
	c.lines = append(c.lines, strings.Join(words, " "))
	f.Data = []byte(c.verdict + "\r\n")
	switch {
	case c.deaf || c.verdict != "Config Succeeded":
	case words[0] == "unpeer":
		var id uint16
		fmt.Sscan(words[1], &id)
		delete(c.peers, id)
	case strings.ContainsAny(words[1][:1], "0123456789"):
		c.follow(words[1])
	default:
		c.follow("0.0.0.0=" + words[1])
	}
	return f
}

// signed appends a MAC where daemons do.
func (c *configurable) signed(f mode6.Fragment) []byte {
	b := f.AppendTo(nil)
	if c.forged {
		return b
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	sum := md5.Sum(append([]byte(c.secret), b...))
	return append(binary.BigEndian.AppendUint32(b, 10), sum[:]...)
}

const (
	classicNTPD = "ntpd 4.2.8p15@1.3728-o"
	secNTPD     = "ntpd ntpsec-1.2.2"
)

func TestNtpdIsChanged(t *testing.T) {
	d := newConfigurable(t, secNTPD, "192.0.2.1=ntp1.example", "127.127.20.0=NMEA(0)")
	client := d.client()
	n := NewSource{Name: "192.0.2.9", Kind: KindServer, IBurst: true, NTS: true, MinPoll: Log2(4), MaxPoll: Log2(6)}
	o, err := client.Plan(t.Context(), Add{n})
	want := Outlook{Summary: "add source 192.0.2.9 (server iburst nts minpoll 4 maxpoll 6) to NTPsec's ntpd",
		After: "server 192.0.2.9 iburst nts minpoll 4 maxpoll 6", Undo: Delete{"192.0.2.9"}}
	if err != nil || o != want || len(d.sent()) > 0 {
		t.Errorf("%+v, %v, sent %q", o, err, d.sent())
	}
	changed(t, client, Add{n})
	if all, err := client.Sources(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if o, err = client.Plan(t.Context(), Delete{"192.0.2.9"}); err != nil || o.Undo != (Add{n}) {
		t.Errorf("%+v, %v", o, err)
	}
	changed(t, client, Add{server("pool.example")}, Delete{"192.0.2.9"}, Delete{"pool.example"}, Delete{"NTP1.example"})
	if got := []string{"server 192.0.2.9 iburst nts minpoll 4 maxpoll 6", "server pool.example", "unpeer 102", "unpeer 103", "unpeer 100"}; !slices.Equal(d.sent(), got) {
		t.Errorf("sent %q, want %q", d.sent(), got)
	}
	if all, err := client.Sources(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// What one of them cannot do, it says by name, before anything is sent.
func TestWhatNtpdCannot(t *testing.T) {
	with := func(change func(*NewSource)) Change {
		n := server("ntp1.example")
		change(&n)
		return Add{n}
	}
	type refusal struct {
		change        Change
		classic, ntps string // empty: it can
	}
	for _, c := range []refusal{
		{SetOnline{"", false}, "ntpd cannot stop asking", "NTPsec's ntpd cannot stop asking"},
		{Burst{"", 1, 1}, "in a burst", "in a burst"},
		{SetPoll{"a", true, 6}, "change the poll interval", "change the poll interval"},
		{Refresh{}, "resolve names", "resolve names"}, {ReloadSources{}, "its sources again", "its sources again"}, {Rekey{}, "its keys again", "its keys again"},
		{Dump{}, "drift file", "drift file"}, {CycleLogs{}, "SIGHUP", "SIGHUP"}, {Step{}, "tinker step", "tinker step"}, {SetTime{}, "tinker step", "tinker step"},
		{with(func(n *NewSource) { n.NTS = true }), "ntpd has no NTS", ""},
		{with(func(n *NewSource) { n.Kind = KindPeer }), "", "has no peers"},
		{with(func(n *NewSource) { n.Interleaved = true }), "interleaved mode but between peers", "has no interleaved mode"},
		{with(func(n *NewSource) { n.Interleaved, n.Kind = true, KindPeer }), "", "has no interleaved mode"},
		{with(func(n *NewSource) { n.MinPoll = Log2(1) }), "from 3 to 17", ""},
		{with(func(n *NewSource) { n.MaxPoll = Log2(18) }), "from 3 to 17", "from 0 to 17"},
		{with(func(n *NewSource) { n.Port = 1123 }), "has no port", "has no port"},
		{with(func(n *NewSource) { n.NTS, n.NTSPort = true, 4461 }), "has no ntsport", "has no ntsport"},
		{with(func(n *NewSource) { n.Kind, n.MaxSources = KindPool, 4 }), "has no maxsources", "has no maxsources"},
		{with(func(n *NewSource) { n.Trust = true }), "has no trust", "has no trust"},
		{with(func(n *NewSource) { n.Require = true }), "has no require", "has no require"},
		{Add{server("127.127.20.0")}, "clock driver", "clock driver"},
		{Add{server("a\nserver b")}, "must be a host name", "must be a host name"},
		{Delete{"127.127.20.0"}, "has no source", "has no source"},
		{Delete{"NMEA(0)"}, "is a clock driver of ntpd", "is a clock driver of NTPsec's"},
	} {
		for version, want := range map[string]string{classicNTPD: c.classic, secNTPD: c.ntps} {
			d := newConfigurable(t, version, "127.127.20.0=NMEA(0)")
			client := d.client()
			_, planned := client.Plan(t.Context(), c.change)
			made := client.Change(t.Context(), c.change)
			if want == "" {
				if planned != nil || made != nil || len(d.sent()) != 1 {
					t.Errorf("%s, %s: %v, %v, sent %q", version, c.change.what(), planned, made, d.sent())
				}
				continue
			}
			for _, err := range []error{planned, made} {
				if err == nil || !strings.Contains(err.Error(), want) || api.KindOf(err) == api.Internal || api.KindOf(err) == api.Unavailable {
					t.Errorf("%s, %s: %v of kind %s", version, c.change.what(), err, api.KindOf(err))
				}
			}
			if len(d.sent()) > 0 {
				t.Errorf("%s, %s: sent %q", version, c.change.what(), d.sent())
			}
		}
	}
}

func TestRefusalsOfNtpd(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*configurable, *NTPD)
		kind api.Kind
		want string
	}{
		"another key":      {func(_ *configurable, n *NTPD) { rekey(t, n, "10 MD5 guessed") }, api.Conflict, "controlkey"},
		"no MAC":           {func(d *configurable, _ *NTPD) { d.forged = true }, api.Conflict, "MAC"},
		"a refusal":        {func(d *configurable, _ *NTPD) { d.verdict = "column 7 syntax error" }, api.Conflict, "refuses the line: column 7 syntax error"},
		"hostile":          {func(d *configurable, _ *NTPD) { d.verdict = "\x1b[31mno\x00\n" }, api.Conflict, "refuses the line: [31mno"},
		"understood alone": {func(d *configurable, _ *NTPD) { d.deaf = true }, api.Conflict, "understood"},
		"silence":          {func(d *configurable, _ *NTPD) { d.silent = true }, api.Unavailable, "does not answer"},
		"no keys":          {func(_ *configurable, n *NTPD) { n.control = controlKey{} }, api.Conflict, "set clock.ntpd-keys"},
		"no such key":      {func(_ *configurable, n *NTPD) { n.control.id = 11 }, api.Conflict, "no key of that number (clock.ntpd-control-key = 11)"},
		"no file":          {func(_ *configurable, n *NTPD) { n.control.file += ".gone" }, api.Conflict, "no such file"},
		"a folder":         {func(_ *configurable, n *NTPD) { n.control.file = t.TempDir() }, api.Conflict, "is no regular file"},
		"a broken key":     {func(_ *configurable, n *NTPD) { rekey(t, n, "10 ROT13 sesame") }, api.Conflict, "line 1: mode6: not a key"},
		"not a keys file":  {func(_ *configurable, n *NTPD) { rekey(t, n, strings.Repeat("sesame", 20000)) }, api.Conflict, "is no keys file"},
	} {
		d := newConfigurable(t, secNTPD)
		n := d.client()
		d.mu.Lock()
		c.set(d, n)
		d.mu.Unlock()
		err := n.Change(t.Context(), Add{server("192.0.2.1")})
		if api.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\x1b\x00\n") || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v of kind %s", name, err, api.KindOf(err))
		}
		if added, _ := n.Remembered(); len(added) > 0 {
			t.Errorf("%s: remembers %+v", name, added)
		}
		known := c.kind == api.Conflict && strings.Contains(c.want, " key") || strings.Contains(c.want, "clock.") || strings.Contains(c.want, "file")
		if _, err := n.Plan(t.Context(), Add{server("192.0.2.2")}); known != (err != nil) { // what a plan can know, it says
			t.Errorf("plan, %s: %v", name, err)
		}
	}
	d := newConfigurable(t, secNTPD, "192.0.2.1")
	d.mu.Lock()
	d.deaf = true
	d.mu.Unlock()
	if err := d.client().Change(t.Context(), Delete{"192.0.2.1"}); api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), "still follows 192.0.2.1") {
		t.Errorf("%v", err)
	}
}

func rekey(t *testing.T, n *NTPD, line string) {
	t.Helper()
	if err := os.WriteFile(n.control.file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever the file says, an error tells none of it but the number of a line.
func FuzzFindKey(f *testing.F) {
	f.Add("# c\n1 MD5 other\n10 AES 000102030405060708090a0b0c0d0e0f # c\n")
	f.Add("10 ROT13 sesame")
	f.Add("10 SHA1 " + strings.Repeat("0g", 20))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := findKey(strings.NewReader(text), 10)
		switch {
		case err == nil && k.ID() != 10:
			t.Fatalf("key %d of %q", k.ID(), text)
		case err != nil:
			for _, word := range strings.Fields(text) {
				const telling = 12 // characters that no word of ours has
				if len(word) >= telling && !strings.Contains("clock.ntpd-control-key", word) && strings.Contains(err.Error(), word) {
					t.Fatalf("%q: %v", text, err)
				}
			}
		}
	})
}
