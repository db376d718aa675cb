package neighbour

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// changeable is a chronyd that does what it is told, as far as these tests look.
type changeable struct {
	t      *testing.T
	socket string

	mu      sync.Mutex
	sources []*followed
	told    []string // the commands that change something, in words
	last    cmdmon.Body
	refuse  map[cmdmon.Command]cmdmon.Status
	silent  map[cmdmon.Command]bool
	ids     uint32
}

// followed is a source of it.
type followed struct {
	at      cmdmon.Address
	name    string
	mode    uint16
	offline bool
}

func newChangeable(t *testing.T, names ...string) *changeable {
	t.Helper()
	dir, err := os.MkdirTemp("", "changing") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	c := &changeable{t: t, socket: filepath.Join(dir, "s"), refuse: map[cmdmon.Command]cmdmon.Status{}, silent: map[cmdmon.Command]bool{}}
	for _, n := range names {
		c.follow(n)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: c.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { c.serve(conn) })
	t.Cleanup(func() { conn.Close(); running.Wait(); os.RemoveAll(dir) })
	return c
}

func (c *changeable) client() *Chrony { return NewChrony(c.socket, netip.AddrPort{}) }

// follow takes "name", "address", or "name=address". refclock is one.
func (c *changeable) follow(text string) {
	name, at, both := strings.Cut(text, "=")
	if !both {
		at = name
	}
	f := &followed{name: name}
	switch ip, err := netip.ParseAddr(at); {
	case name == "refclock":
		f.at, f.mode = cmdmon.Address{IP: netip.MustParseAddr("71.80.83.0")}, 2
	case err == nil:
		f.at.IP = ip
	default:
		c.ids++
		f.at.ID = c.ids
	}
	c.sources = append(c.sources, f)
}

func (c *changeable) serve(conn *net.UnixConn) {
	b := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		q, err := cmdmon.ParseRequest(b[:n])
		if err != nil {
			c.t.Errorf("not a request: %x", b[:n])
			continue
		}
		if reply, ok := c.reply(q); ok {
			conn.WriteTo(reply.AppendTo(nil), from)
		}
	}
}

func (c *changeable) reply(q cmdmon.Request) (p cmdmon.Reply, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p = cmdmon.Reply{Command: q.Command, Sequence: q.Sequence, Type: 1}
	body, err := cmdmon.ParseBody(q)
	if err != nil {
		c.t.Errorf("%v: %v", q.Command, err)
	}
	if c.silent[q.Command] {
		return p, false
	}
	if s, ok := c.refuse[q.Command]; ok {
		p.Status = s
		return p, true
	}
	switch q.Command {
	case cmdmon.NSources:
		p.Type, p.Body = 2, binary.BigEndian.AppendUint32(nil, uint32(len(c.sources)))
	case cmdmon.SourceData:
		i := int(binary.BigEndian.Uint32(q.Body.(cmdmon.Raw)))
		if i >= len(c.sources) {
			p.Status = cmdmon.NoSuchSource
			return p, true
		}
		p.Type, p.Body = 3, c.sources[i].at.AppendTo(nil)
		p.Body = append(p.Body, make([]byte, 28)...)
		binary.BigEndian.PutUint16(p.Body[26:], c.sources[i].mode)
	case cmdmon.NTPSourceName:
		p.Type, p.Body = 19, make([]byte, 256)
		for _, f := range c.sources {
			if string(f.at.AppendTo(nil)) == string(q.Body.(cmdmon.Raw)[:20]) {
				copy(p.Body, f.name)
			}
		}
	case cmdmon.ActivityCommand:
		var counts [5]uint32
		for _, f := range c.sources {
			switch {
			case f.mode == 2:
			case !f.at.IP.IsValid():
				counts[4]++
			case f.offline:
				counts[1]++
			default:
				counts[0]++
			}
		}
		p.Type = 12
		for _, n := range counts {
			p.Body = binary.BigEndian.AppendUint32(p.Body, n)
		}
	case cmdmon.TrackingCommand:
		p = cmdmon.Tracking{CurrentCorrection: 0.25}.Reply(q)
	case cmdmon.AuthDataCommand, cmdmon.NTPDataCommand, cmdmon.SmoothingCommand:
		p.Status = cmdmon.Invalid
	default:
		c.told, c.last = append(c.told, q.Command.String()), body
		p.Status = c.change(q.Command, body)
	}
	return p, true
}

func (c *changeable) change(q cmdmon.Command, body cmdmon.Body) cmdmon.Status {
	switch b := body.(type) {
	case cmdmon.NewSource:
		c.follow(b.Name)
	case cmdmon.Of:
		for i, f := range c.sources {
			if f.at == cmdmon.Address(b) {
				c.sources = append(c.sources[:i:i], c.sources[i+1:]...)
				return cmdmon.Success
			}
		}
		return cmdmon.NoSuchSource
	case cmdmon.Subnet:
		for _, f := range c.sources {
			if p := netip.Prefix(b); f.at.IP.IsValid() && (!p.IsValid() || p.Contains(f.at.IP)) {
				f.offline = q == cmdmon.Offline
			}
		}
	case cmdmon.Poll:
		for _, f := range c.sources {
			if f.at == b.Of {
				return cmdmon.Success
			}
		}
		return cmdmon.NoSuchSource
	}
	return cmdmon.Success
}

// body is that of the last of them.
func (c *changeable) body() cmdmon.Body {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// tellings are the commands that changed something since the last time.
func (c *changeable) tellings() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := strings.Join(c.told, ",")
	c.told = nil
	return told
}
