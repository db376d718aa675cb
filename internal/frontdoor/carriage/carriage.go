// Package carriage hands the datagrams of ntpq and chronyc, which come over TLS in the frames of protocol/tunnel, on to the
// daemon next door, and its answers back. Every frame is judged by the role of who asks: a list says what each may, and what is
// not on it nobody may. The daemon takes what we hand on for our own, so that its own access rules do not count here.
//
// A frame that is refused is answered as the daemon would refuse it. Silence of the daemon stays silence. Each connection has
// one socket to the daemon, which stays: the nonce of an MRU list is bound to its port.
package carriage

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

// What one connection, or all of them, may cost us and the daemon next door, which serves time with the same thread.
const (
	perConnection        = 100 // frames a second, after a burst; ntpq and chronyc wait for each answer before they ask on
	burstOfConnection    = 200
	perCarriage          = 1000 // of all connections together
	burstOfCarriage      = 1000
	maxOpen              = 32 // questions of a connection that answers are let through for
	idleTimeout          = time.Minute
	loginTimeout         = 15 * time.Second // for the first frame of somebody who is nobody yet
	writeTimeout         = 10 * time.Second // for a frame to be taken: who does not read is cut
	daemonTimeout        = time.Second      // for a socket to the daemon, or room in its queue
	maxErrorsOfTheDaemon = 100              // of its socket in a row
)

// Dial opens a datagram socket to the daemon next door. Its error, if an *api.Error, is told to who asked.
type Dial func(ctx context.Context) (net.Conn, error)

// Login tells who has a token. The connection is the one that it came over, for those who count failures by address. An
// *api.Error is told to who tried.
type Login func(ctx context.Context, conn net.Conn, token string) (api.Caller, error)

// Options are what both carriages take.
type Options struct {
	Login Login // nil: no token counts
	// Writes lets frames through that change something, to those whose role allows it. Such changes leave no trace in the
	// audit, as those by commands do.
	Writes bool
	// Still tells whether what the caller showed still counts; it is asked for each frame. nil: always.
	Still func(who api.Caller) bool
	// Refused is told of those who are known and asked for what changes something, or what nobody may; what is in the words of
	// the protocol. nil: nobody is.
	Refused func(who api.Caller, what string)
	Log     *slog.Logger
}

// Carriage serves the connections of one protocol. It is a prometheus.Collector. Safe for concurrent use.
type Carriage struct {
	wire
	dial Dial
	Options

	pace   *pace // of all connections
	counts counts
}

// wire is one of the two protocols. Its decisions are functions of what they are given.
type wire interface {
	name() string // for people and metrics
	door() string // as a Caller is confined to it
	// judge says what becomes of a frame of somebody with the role.
	judge(frame []byte, role api.Role, writes bool) decision
	// answers is the key of the question that a datagram of the daemon answers.
	answers(datagram []byte) (key uint64, ok bool)
}

type decision struct {
	verdict verdict  // forwarded, refused or malformed
	asked   question // of what is forwarded
	refusal []byte   // the answer to what is refused
	change  string   // what of that would change something, or may nobody: to be written down; empty: it only reads
}

// Mode6 carries ntpq's datagrams to ntpd.
func Mode6(dial Dial, o Options) *Carriage { return carry(mode6Wire{}, dial, o) }

// Cmdmon carries chronyc's datagrams to chronyd.
func Cmdmon(dial Dial, o Options) *Carriage { return carry(cmdmonWire{}, dial, o) }

func carry(w wire, dial Dial, o Options) *Carriage {
	o.Log = o.Log.With("section", "monitoring", "carriage", w.name())
	return &Carriage{wire: w, dial: dial, Options: o, pace: newPace(perCarriage, burstOfCarriage), counts: newCounts(w.name())}
}

// Serve carries until the connection ends, closes it, and returns when nothing is left of it. who is known by a certificate,
// or is the zero Caller, who may log in by the first frame.
func (c *Carriage) Serve(ctx context.Context, conn net.Conn, who api.Caller) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &trip{Carriage: c, conn: conn, cancel: cancel, own: newPace(perConnection, burstOfConnection)}
	t.admit(who)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := t.run(ctx)
	cancel()
	stop()
	_ = conn.Close()
	t.stopClock()
	t.daemon.hangUp()
	c.Log.Debug("a connection has ended", "caller", t.who.Name, "from", conn.RemoteAddr(), "cause", err)
}

// permit is a Denied error for callers who may nothing here.
func (c *Carriage) permit(who api.Caller) error {
	who.Name = cmp.Or(who.Name, "nobody")
	return api.Declaration{Name: c.door(), Role: api.Monitor}.Permit(who)
}

// role is what the caller may here.
func (c *Carriage) role(who api.Caller) api.Role {
	if c.permit(who) != nil {
		return api.Anonymous
	}
	return who.Role
}

// rule is a row of a list of what may be asked. The zero rule forbids.
type rule struct {
	allowed bool
	role    api.Role // at least
	changes bool     // something in the daemon
}

func reading(role api.Role) rule  { return rule{allowed: true, role: role} }
func changing(role api.Role) rule { return rule{allowed: true, role: role, changes: true} }

func (r rule) permits(role api.Role, writes bool) bool {
	return r.allowed && role > api.Anonymous && role >= r.role && (writes || !r.changes)
}

// attempt is what somebody tried who is refused by this rule: empty for what only reads.
func (r rule) attempt(what string) string {
	if r.allowed && !r.changes {
		return ""
	}
	return what
}

// maxFrame is what the buffers of a connection hold.
const maxFrame = 2 + tunnel.MaxDatagram
