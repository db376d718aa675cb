// Package neighbour asks and changes the time daemons next door: chronyd over its command socket (protocol/cmdmon), ntpd and NTPsec by
// mode 6 (protocol/mode6). One bounded client per daemon is shared by all who ask; a daemon is asked the same thing at most
// once a second, however many want to know, and never waited for beyond a deadline. A daemon that is away or hangs is an
// error with its cause, and is found again when it is back. What the answers mean for our own clients is left to others.
// It also knows which ports the configurations of such daemons claim.
package neighbour

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// The bounds of what a daemon may cost us.
const (
	// firstWait is for one answer. On this host one takes microseconds; a daemon that is busy with names, on a machine that is, takes
	// longer, and a change must not fail for that: each further attempt over UDP waits twice as long. The clock has questionTimeout.
	firstWait = 500 * time.Millisecond
	// answerTimeout is what they come to, and for one answer where nothing is lost.
	answerTimeout = firstWait * (1<<attempts - 1)
	// questionTimeout is for all the answers that make up one reading.
	questionTimeout = 1500 * time.Millisecond
	// listTimeout is for a walk through all sources or clients.
	listTimeout = 8 * time.Second
	maxSources  = 256
	// maxForeign is how many datagrams that answer something else are read while one answer is waited for.
	maxForeign = 1000
	// attempts over UDP, where a datagram is lost when a queue is full.
	attempts = 3
)

// Daemon is a time daemon next door. Safe for concurrent use; no call lasts much longer than its own deadlines.
type Daemon interface {
	// Name is chrony, ntpd or ntpsec.
	Name() string
	Tracking(ctx context.Context) (api.Tracking, error)
	Sources(ctx context.Context) ([]api.Source, error)
	// Clients are at most limit of those that asked the daemon for time, the busiest first.
	Clients(ctx context.Context, limit int) (api.Clients, error)
	// Via is how the daemon was asked last, and why not in a better way.
	Via() string
}

// unsynchronised is the stratum that says so, RFC 5905 figure 11.
const unsynchronised = 16

// era is half of one of NTP's: no clock was updated longer ago.
const era = 1 << 31 * time.Second

// errForeign tells that a datagram is not the answer that is waited for.
var errForeign = errors.New("neighbour: a datagram that answers another question")

// receive reads datagrams until accept takes one; it skips those that it finds errForeign.
func receive(conn net.Conn, room []byte, accept func(b []byte) error) error {
	for range maxForeign {
		n, err := conn.Read(room)
		if err != nil {
			return bare(err)
		}
		if err := accept(room[:n]); !errors.Is(err, errForeign) {
			return err
		}
	}
	return fmt.Errorf("neighbour: none of %d datagrams from %s answers the question: who else answers there?", maxForeign, conn.RemoteAddr())
}

// until bounds the next answer by limit and by what is left of ctx.
func until(ctx context.Context, conn net.Conn, limit time.Duration) error {
	at := time.Now().Add(limit)
	if end, ok := ctx.Deadline(); ok && end.Before(at) {
		at = end
	}
	return conn.SetDeadline(at)
}

// again asks over UDP until there is an answer: there is no other way to get a datagram that was lost.
func again(ctx context.Context, ask func(limit time.Duration) error) (err error) {
	for i := range attempts {
		if err = ask(firstWait << i); !tooLate(err) || ctx.Err() != nil {
			break
		}
	}
	return err
}

// tooLate tells whether a daemon did not answer in time.
func tooLate(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// bare is the cause without the addresses that package net adds: ours are new for each question, and the reader is told which
// daemon it was.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}

// duration is s, as far as a Duration goes: a daemon may say anything.
func duration(s float64) time.Duration {
	const most = 1e9 // s: some 30 years
	return time.Duration(min(max(s, -most), most) * float64(time.Second))
}

// interval is what a power of two says, which a daemon may exaggerate.
func interval(log2 int) float64 { return math.Ldexp(1, min(max(log2, -20), 40)) }
