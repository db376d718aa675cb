package mode6

import (
	"encoding/binary"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// SystemStatus is the status word of answers about association 0, RFC 9327 section 3.1:
//
//	leap 2 bits | clock source 6 | count of events 4 | last event 4
type SystemStatus uint16

// Leap is what the system says of the next leap second, or that it is not synchronised.
func (s SystemStatus) Leap() ntp.Leap { return ntp.Leap(s >> 14) }

// Source is the kind of the system peer. NTPsec 1.2.2 leaves it 0: whether a clock is synchronised tells Leap.
func (s SystemStatus) Source() ClockSource { return ClockSource(s >> 8 & 0x3f) }

// Events counts events since the last read that had a MAC, up to 15.
func (s SystemStatus) Events() int { return int(s >> 4 & 15) }

// LastEvent is the event that happened last.
func (s SystemStatus) LastEvent() SystemEvent { return SystemEvent(s & 15) }

// ClockSource is the kind of clock behind the system.
type ClockSource uint8

func (c ClockSource) String() string {
	return word(uint8(c), "source", "unspec", "pps", "lf_radio", "hf_radio", "uhf_radio", "local", "ntp", "other", "wristwatch",
		"telephone")
}

// SystemEvent is what last happened to the system.
type SystemEvent uint8

func (e SystemEvent) String() string {
	return word(uint8(e), "event", "unspecified", "freq_not_set", "freq_set", "spike_detect", "freq_mode", "clock_sync", "restart",
		"panic_stop", "no_sys_peer", "leap_armed", "leap_disarmed", "leap_event", "clock_step", "kern", "TAI",
		"stale_leapsecond_values")
}

// PeerStatus is the status word of an association, RFC 9327 section 3.2:
//
//	configured, authentication enabled, authentic, reachable, broadcast 1 bit each | selection 3 | count of events 4 | last event 4
type PeerStatus uint16

// Configured tells that the association comes from the configuration.
func (s PeerStatus) Configured() bool { return s&0x8000 != 0 }

// AuthEnabled tells that the association has a key.
func (s PeerStatus) AuthEnabled() bool { return s&0x4000 != 0 }

// Authentic tells that the last packet was.
func (s PeerStatus) Authentic() bool { return s&0x2000 != 0 }

// Reachable tells that one of the last eight polls was answered.
func (s PeerStatus) Reachable() bool { return s&0x1000 != 0 }

// Broadcast tells of a broadcast association.
func (s PeerStatus) Broadcast() bool { return s&0x0800 != 0 }

// Selection is how the daemon judged the association.
func (s PeerStatus) Selection() Selection { return Selection(s >> 8 & 7) }

// Events counts events since the last read that had a MAC, up to 15.
func (s PeerStatus) Events() int { return int(s >> 4 & 15) }

// LastEvent is the event that happened last.
func (s PeerStatus) LastEvent() PeerEvent { return PeerEvent(s & 15) }

// Selection is how a daemon judges an association.
type Selection uint8

// The selections, from worst to best but for SelectBackup.
const (
	SelectReject    Selection = iota // not valid, or noselect
	SelectFalsetick                  // by the intersection algorithm
	SelectExcess                     // overflow of a table
	SelectOutlier                    // by the cluster algorithm
	SelectCandidate                  // combined
	SelectBackup                     // more than maxclock
	SelectSystem                     // the system peer
	SelectPPS                        // the system peer, and its pulse
)

func (s Selection) String() string {
	return word(uint8(s), "selection", "reject", "falsetick", "excess", "outlier", "candidate", "backup", "sys.peer", "pps.peer")
}

// Tally is the character that ntpq puts before the association.
func (s Selection) Tally() byte { return " x.-+#*o"[s&7] }

// PeerEvent is what last happened to an association.
type PeerEvent uint8

func (e PeerEvent) String() string {
	return word(uint8(e), "event", "unspecified", "mobilize", "demobilize", "unreachable", "reachable", "restart", "no_reply",
		"rate_exceeded", "access_denied", "leap_armed", "sys_peer", "clock_event", "bad_auth", "popcorn", "interleave_mode",
		"interleave_error")
}

// ClockStatus is the status word of answers to OpReadClock: 0 (8) | last event 4 | present condition 4.
type ClockStatus uint16

// LastEvent is the condition that was reported last.
func (s ClockStatus) LastEvent() ClockCondition { return ClockCondition(s >> 4 & 15) }

// Condition is the present one.
func (s ClockStatus) Condition() ClockCondition { return ClockCondition(s & 15) }

// ClockCondition is how a reference clock does.
type ClockCondition uint8

func (c ClockCondition) String() string {
	return word(uint8(c), "condition", "ok", "no_reply", "bad_format", "fault", "bad_signal", "bad_date", "bad_time")
}

// Flash is the peer variable of that name: the tests that the last packet failed, TEST1 in bit 0.
type Flash uint16

// Words are the names of the bits that are set.
func (f Flash) Words() []string {
	return bits(uint32(f), "pkt_dup", "pkt_bogus", "pkt_unsync", "pkt_denied", "pkt_auth", "pkt_stratum", "pkt_header",
		"pkt_autokey", "pkt_crypto", "peer_stratum", "peer_dist", "peer_loop", "peer_unreach")
}

// bits are the names of the bits that are set, from the lowest; bits without a name have none.
func bits(n uint32, names ...string) []string {
	var set []string
	for i, name := range names {
		if n>>i&1 != 0 {
			set = append(set, name)
		}
	}
	return set
}

// Association is one of the list that OpReadStatus gives for association 0: id 2 | status 2.
type Association struct {
	ID     uint16
	Status PeerStatus
}

const associationLen = 4

// ParseAssociations reads the data of the answer.
func ParseAssociations(data []byte) ([]Association, error) {
	if len(data)%associationLen != 0 {
		return nil, ErrMalformed
	}
	all := make([]Association, 0, len(data)/associationLen)
	for ; len(data) > 0; data = data[associationLen:] {
		all = append(all, Association{binary.BigEndian.Uint16(data), PeerStatus(binary.BigEndian.Uint16(data[2:]))})
	}
	return all, nil
}

// AppendTo appends the four octets.
func (a Association) AppendTo(b []byte) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, a.ID), uint16(a.Status))
}
