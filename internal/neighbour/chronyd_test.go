package neighbour

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// A replay is a chronyd that answers what a real one has answered to the same command. It listens on a unix socket and on
// UDP, as that one did.
type replay struct {
	t        *testing.T
	exchange []exchange
	socket   string
	unix     *net.UnixConn
	udp      *net.UDPConn
	stop     func()
	asked    atomic.Int32
	instead  atomic.Pointer[func(request, reply []byte) [][]byte] // what is sent instead of a reply

	mu       sync.Mutex
	commands map[cmdmon.Command]int
}

type exchange struct {
	command     cmdmon.Command
	body, reply []byte
	udp         bool
}

func recorded(t *testing.T, version string) (all []exchange) {
	t.Helper()
	b, err := os.ReadFile("../../protocol/cmdmon/testdata/cmdmon-chrony-" + version + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Transport string
			Request   struct {
				Hex     string
				Version int
				BodyLen int `json:"body_len"`
				Command cmdmon.Command
			}
			Reply *struct{ Hex string }
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		if v.Reply == nil || v.Request.Version != 6 {
			continue
		}
		request, err := hex.DecodeString(v.Request.Hex)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := hex.DecodeString(v.Reply.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if binary.BigEndian.Uint16(reply[8:]) == 19 || len(request) < 20+v.Request.BodyLen {
			continue // the request was too short on purpose
		}
		all = append(all, exchange{v.Request.Command, request[20:][:v.Request.BodyLen], reply, v.Transport == "udp"})
	}
	return all
}

func newReplay(t *testing.T, version string) *replay {
	t.Helper()
	dir, err := os.MkdirTemp("", "door") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &replay{t: t, exchange: recorded(t, version), socket: filepath.Join(dir, "chronyd.sock"), commands: map[cmdmon.Command]int{}}
	r.start()
	return r
}

func (r *replay) start() {
	r.t.Helper()
	var err error
	if r.unix, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: r.socket, Net: "unixgram"}); err != nil {
		r.t.Fatal(err)
	}
	if r.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		r.t.Fatal(err)
	}
	var running sync.WaitGroup
	unix, udp := r.unix, r.udp
	running.Go(func() { r.serve(unix, false) })
	running.Go(func() { r.serve(udp, true) })
	r.stop = sync.OnceFunc(func() {
		unix.Close()
		udp.Close()
		os.Remove(r.socket)
		running.Wait()
	})
	r.t.Cleanup(r.stop)
}

func (r *replay) serve(c net.PacketConn, udp bool) {
	b := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		r.asked.Add(1)
		reply := r.answer(b[:n], udp)
		replies := [][]byte{reply}
		if f := r.instead.Load(); f != nil {
			replies = (*f)(b[:n], reply)
		}
		for _, reply := range replies {
			if reply != nil {
				c.WriteTo(reply, from)
			}
		}
	}
}

// answer is the recorded one, over UDP that of UDP where there is one.
func (r *replay) answer(request []byte, udp bool) []byte {
	command := cmdmon.Command(binary.BigEndian.Uint16(request[4:]))
	r.mu.Lock()
	r.commands[command]++
	r.mu.Unlock()
	var best *exchange
	for i := range r.exchange {
		e := &r.exchange[i]
		body := request[20:]
		if e.command != command || !bytes.HasPrefix(body, e.body) || len(bytes.Trim(body[len(e.body):], "\x00")) > 0 {
			continue
		}
		if best == nil || (e.udp == udp) && (best.udp != udp) || e.udp == best.udp && len(e.body) > len(best.body) {
			best = e
		}
	}
	if best == nil {
		return nil
	}
	reply := slices.Clone(best.reply)
	copy(reply[16:20], request[8:12]) // the sequence
	return reply
}

func (r *replay) address() *net.UDPAddr { return r.udp.LocalAddr().(*net.UDPAddr) }

func (r *replay) count(c cmdmon.Command) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commands[c]
}

func (r *replay) client() *Chrony { return NewChrony(r.socket, r.address().AddrPort()) }
