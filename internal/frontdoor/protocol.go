package frontdoor

import (
	"sync/atomic"

	"github.com/ntptsd/ntptsd/protocol/tunnel"
)

// protocol is what a connection speaks.
type protocol uint8

const (
	ofNone protocol = iota // not known yet
	ofHTTP
	ofLine
	ofMode6
	ofCmdmon
	protocols
)

func (p protocol) String() string { return [...]string{"none", "http", "line", "mode6", "cmdmon"}[p] }

// The names that a client asks for a protocol by, in the order of our choice.
const (
	alpnLine   = "ntptsd-line/1"
	alpnMode6  = tunnel.Mode6
	alpnCmdmon = tunnel.Cmdmon
)

func alpns() []string { return []string{"h2", "http/1.1", alpnLine, alpnMode6, alpnCmdmon} }

// byALPN is the protocol of a name that was agreed upon.
func byALPN(name string) protocol {
	switch name {
	case "h2", "http/1.1":
		return ofHTTP
	case alpnLine:
		return ofLine
	case alpnMode6:
		return ofMode6
	case alpnCmdmon:
		return ofCmdmon
	}
	return ofNone
}

// shares of a hundred connections that each protocol may hold, so that none takes those of another. What they leave is for
// handshakes.
func share(p protocol) int { return [...]int{0, 70, 15, 5, 5}[p] }

// budgets count the connections of each protocol.
type budgets [protocols]struct{ open, most atomic.Int64 }

func (b *budgets) acquire(p protocol) bool {
	for {
		n := b[p].open.Load()
		if n >= b[p].most.Load() {
			return false
		}
		if b[p].open.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (b *budgets) release(p protocol) {
	if p != ofNone {
		b[p].open.Add(-1)
	}
}

// divide gives each protocol its share.
func (b *budgets) divide(connections int) {
	for p := range protocols {
		if p != ofNone {
			b[p].most.Store(int64(max(1, connections*share(p)/100)))
		}
	}
}

// verdict is how a connection began, or why it did not.
type verdict uint8

const (
	accepted        verdict = iota
	denied                  // by the policy for addresses
	full                    // no slot, in all or of the network
	limited                 // too many handshakes of the network
	handshakeFailed         //
	crowded                 // all connections of the protocol are open
	unknown                 // its certificate does not count
	notServed               // the protocol is not configured
	verdicts
)

func (v verdict) String() string {
	return [...]string{"accepted", "denied", "full", "limited", "handshake_failed", "crowded", "unknown", "not_served"}[v]
}
