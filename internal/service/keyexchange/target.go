package keyexchange

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const (
	usualPort = 123 // where clients look without record 7
	maxAEADs  = 4   // known to package aead
)

// target is a time server that cookies are handed out for. Immutable but for its count.
type target struct {
	config.Target
	id     string
	server string    // record 6, "" for none
	port   uint16    // record 7, 0 for none
	aeads  []aead.ID // that may be offered, as far as the ring's cookies carry them
	digest [sha256.Size]byte
	served *atomic.Uint64 // key exchanges; lives on in the next target of this id
}

// newTargets makes the targets of a configuration: those that it names, or else the one that ntp-server and ntp-port tell
// of, which has no id and is never probed.
func newTargets(k *config.KeyExchange) ([]*target, error) {
	offered, err := knownAEADs("keyexchange.aeads", k.AEADs)
	if err != nil {
		return nil, err
	}
	if len(k.Servers) == 0 {
		only := &target{Target: config.Target{Ring: config.DefaultRing}, server: k.NTPServer, port: k.NTPPort, aeads: offered}
		only.served = new(atomic.Uint64)
		return []*target{only}, nil
	}
	var all []*target
	known := make(map[string]bool)
	for i, c := range k.Servers {
		t := &target{Target: c, id: c.ID(), server: c.Name, served: new(atomic.Uint64)}
		if known[t.id] { // by the ports of our sockets, which no configuration knows
			return nil, fmt.Errorf("keyexchange.server[%d]: there is another target %s; give each its own name or port", i, t.id)
		}
		known[t.id] = true
		t.digest = sha256.Sum256([]byte(t.id))
		if c.Port != usualPort {
			t.port = c.Port
		}
		name := fmt.Sprintf("keyexchange.server[%d].aeads", i)
		own, err := knownAEADs(name, c.AEADs)
		if err != nil {
			return nil, err
		}
		for _, id := range offered {
			if slices.Contains(own, id) {
				t.aeads = append(t.aeads, id)
			}
		}
		if len(t.aeads) == 0 {
			return nil, fmt.Errorf("%s: keyexchange.aeads has none of %v; add one there", name, c.AEADs)
		}
		all = append(all, t)
	}
	return all, nil
}

func knownAEADs(name string, numbers []uint16) ([]aead.ID, error) {
	var ids []aead.ID
	for _, n := range numbers {
		id := aead.ID(n)
		if !id.Known() {
			return nil, fmt.Errorf("%s: %d is unknown; use 15, 16, 17, 30", name, n)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// takesOver tells whether what is known of old's health holds for t: it is the same server, asked in the same way.
func (t *target) takesOver(old *target) bool {
	return t.Probe == old.Probe && t.Ring == old.Ring && t.Family == old.Family
}

// reaches tells whether a client from there surely can use the target; if not, it may have the other family, too.
func (t *target) reaches(from netip.Addr) bool {
	switch t.Family {
	case "ipv4":
		return from.Is4()
	case "ipv6":
		return from.Is6()
	}
	return true
}

// offered are the AEADs whose sessions the ring's cookies can carry; room saves the allocation.
func (t *target) offered(keys *keyring.KeySet, room *[maxAEADs]aead.ID) []aead.ID {
	offered := room[:0]
	for _, id := range t.aeads {
		if keys.Carries(id) {
			offered = append(offered, id)
		}
	}
	return offered
}

// agree finds the AEAD that the client wants most.
func (t *target) agree(r *ntske.Request, keys *keyring.KeySet, legacyGCMSIV bool) (aead.ID, bool) {
	var room [maxAEADs]aead.ID
	return r.Choose(t.offered(keys, &room), legacyGCMSIV)
}

// score ranks the targets for a client, best first: weighted rendezvous hashing, where adding or removing a target moves
// only the clients that come to it or were its own. The hash has no key, since a client is to meet the same server after a
// restart, and whichever of several ntptsd with this configuration it asks; who seeks out an address that is sent to a
// certain server gains nothing.
func (t *target) score(network [16]byte) float64 {
	var b [16 + sha256.Size]byte
	copy(b[:], network[:])
	copy(b[16:], t.digest[:])
	sum := sha256.Sum256(b[:])
	uniform := (float64(binary.BigEndian.Uint64(sum[:])>>11) + 0.5) / (1 << 53) // never 0 or 1
	return -float64(t.Weight) / math.Log(uniform)
}

// networkOf is what counts as one client: an IPv4 address or an IPv6 /64, as with all limits. Within its /64 a host changes
// its address every day (RFC 8981); and coarser networks would send the whole of a company's clients to one server.
func networkOf(from netip.Addr) [16]byte {
	if !from.IsValid() {
		return [16]byte{}
	}
	if from.Is6() {
		p, _ := from.Prefix(64)
		from = p.Addr()
	}
	return from.As16()
}

// distance is how far off the clock may be by its own account.
func distance(rootDelay, rootDispersion float64) time.Duration {
	return time.Duration((rootDelay/2 + rootDispersion) * float64(time.Second))
}
