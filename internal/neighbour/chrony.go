package neighbour

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/durable"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// maxSocketPath is sun_path without its end.
const maxSocketPath = 107

// Chrony is chronyd. It implements Daemon and Changer.
type Chrony struct {
	socket  string         // its command socket, asked first
	address netip.AddrPort // where it answers over UDP, asked when the socket cannot be opened; zero: nowhere
	tidy    sync.Once
	via     atomic.Pointer[string]

	memory
	tracking memo[api.Tracking]
	sources  memo[[]api.Source]
	clients  memo[population]
}

// NewChrony makes the client; nothing is opened until somebody asks.
func NewChrony(socket string, address netip.AddrPort) *Chrony {
	return &Chrony{socket: socket, address: address, tracking: newMemo[api.Tracking](), sources: newMemo[[]api.Source](),
		clients: newMemo[population]()}
}

// Name implements Daemon.
func (c *Chrony) Name() string { return "chrony" }

// Via is how it was asked last; of UDP also why.
func (c *Chrony) Via() string {
	if via := c.via.Load(); via != nil {
		return *via
	}
	return ""
}

// Rekey lets chronyd read its key files again. It says OK whether or not it could. The command socket is needed.
func (c *Chrony) Rekey(ctx context.Context) error {
	return c.ask(ctx, false, func(s *session) error {
		_, err := s.command(ctx, cmdmon.Rekey, nil)
		return err
	})
}

// Converse lets talk ask what it likes, in chronyd's own protocol and over one socket, UDP if there is no other way: ask gives
// the reply, or an error with the cmdmon.Status that chronyd refuses with. Nothing of it is remembered here.
func (c *Chrony) Converse(ctx context.Context, talk func(ask func(cmdmon.Command, cmdmon.Body) (cmdmon.Reply, error)) error) error {
	return c.ask(ctx, true, func(s *session) error {
		return talk(func(q cmdmon.Command, body cmdmon.Body) (cmdmon.Reply, error) { return s.command(ctx, q, body) })
	})
}

// ask lets f ask over a fresh socket, by which a chronyd that was started anew is met again. Over UDP only if f can do with
// what is answered there, and only if there is no other way: a chronyd that hangs does so on both.
func (c *Chrony) ask(ctx context.Context, overUDP bool, f func(*session) error) error {
	s, err := c.openSocket()
	if err == nil {
		defer s.close()
		c.via.Store(&s.where)
		return s.explain(f(s))
	}
	if !overUDP || !c.address.IsValid() {
		return err
	}
	conn, failed := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.address))
	if failed != nil {
		return fmt.Errorf("%w; over UDP: %w", err, failed)
	}
	s = &session{Conn: conn, where: "udp " + c.address.String()}
	defer s.close()
	c.via.Store(new(s.where + ", since " + err.Error()))
	if failed := s.explain(f(s)); failed != nil {
		return fmt.Errorf("%w; over UDP: %w", err, failed)
	}
	return nil
}

// openSocket connects to the command socket. chronyd answers to the path of the one who asks, which must lie where chronyd
// may write: beside its own (and for AppArmor's profile in no folder below that).
func (c *Chrony) openSocket() (*session, error) {
	c.tidy.Do(func() { removeStale(filepath.Dir(c.socket)) })
	path := filepath.Join(filepath.Dir(c.socket), fmt.Sprintf("ntptsd.%016x.sock", rand.Uint64()))
	if len(path) > maxSocketPath || len(c.socket) > maxSocketPath {
		return nil, fmt.Errorf("chronyd's command socket %s: its path is too long for a socket beside it, which may have %d octets", c.socket, maxSocketPath)
	}
	conn, err := net.DialUnix("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}, &net.UnixAddr{Name: c.socket, Net: "unixgram"})
	if err == nil {
		err = c.letAnswer(path)
	}
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		_ = os.Remove(path)
		return nil, explainSocket(c.socket, err)
	}
	return &session{Conn: conn, where: c.socket, path: path}, nil
}

// letAnswer lets chronyd write to our socket, if it is another user than we. Nobody else enters the folder; but chronyd owns
// it, and might put something else under our name: it is the socket that is opened to all, and nothing that the name leads to.
func (c *Chrony) letAnswer(path string) error {
	var its unix.Stat_t
	if err := unix.Stat(c.socket, &its); err != nil || int(its.Uid) == os.Geteuid() {
		return err
	}
	return durable.ChmodSocket(path, 0o666)
}

// removeStale removes what a killed ntptsd has left: sockets that nobody is bound to.
func removeStale(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, "ntptsd.*.sock"))
	for _, path := range left {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
		if err == nil {
			_ = conn.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(path)
		}
	}
}

func explainSocket(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("chronyd's command socket %s: permission denied to user %d: only root and chronyd's own user may use it; "+
			"run ntptsd as that one: see ntptsd-neighbours(7)", socket, os.Geteuid())
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("chronyd's command socket %s: its folder is read-only here: let the unit of ntptsd have ReadWritePaths=/run", socket)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("chronyd's command socket %s is not there: chronyd does not run, or has another bindcmdaddress: "+
			"start it, or name that one in clock.chrony-socket", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("chronyd's command socket %s: connection refused: chronyd does not run any more: start it again", socket)
	}
	return fmt.Errorf("chronyd's command socket %s: %w", socket, err)
}

// session is a socket to chronyd for a few questions.
type session struct {
	net.Conn
	where string
	path  string // of our own end; empty over UDP
}

func (s *session) close() {
	_ = s.Close()
	if s.path != "" {
		_ = os.Remove(s.path)
	}
}

// full tells whether all commands are answered.
func (s *session) full() bool { return s.path != "" }

// command sends one and gives the reply, if its status is success.
func (s *session) command(ctx context.Context, c cmdmon.Command, body cmdmon.Body) (reply cmdmon.Reply, err error) {
	ask := func(limit time.Duration) error {
		reply, err = s.attempt(ctx, c, body, limit)
		return err
	}
	if s.full() { // nothing is lost
		err = ask(answerTimeout)
	} else {
		err = again(ctx, ask)
	}
	if err != nil {
		return reply, fmt.Errorf("%v: %w", c, err)
	}
	return reply, nil
}

func (s *session) attempt(ctx context.Context, c cmdmon.Command, body cmdmon.Body, limit time.Duration) (reply cmdmon.Reply, err error) {
	q := cmdmon.Request{Command: c, Sequence: rand.Uint32(), Body: body}
	if err := until(ctx, s, limit); err != nil {
		return reply, err
	}
	if _, err := s.Write(q.AppendTo(nil)); err != nil {
		return reply, bare(err)
	}
	room := make([]byte, cmdmon.MaxReply+1)
	err = receive(s, room, func(b []byte) error {
		r, err := cmdmon.ParseReply(b)
		if err != nil {
			return errForeign
		}
		reply, err = r, r.Check(q)
		if errors.Is(err, cmdmon.ErrForeign) {
			return errForeign
		}
		return err
	})
	return reply, err
}

// explain says what to do about a chronyd that does not answer.
func (s *session) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case tooLate(err):
		return fmt.Errorf("chronyd does not answer at %s: it hangs, or is stopped (%w)", s.where, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("chronyd does not answer at %s: connection refused: it does not run, or has cmdport 0", s.where)
	}
	return fmt.Errorf("chronyd at %s: %w", s.where, err)
}
