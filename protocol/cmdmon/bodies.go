package cmdmon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Index asks for one of several: SourceData, SourceStats, SelectDataCommand.
type Index uint32

func (i Index) appendTo(b []byte) []byte { return binary.BigEndian.AppendUint32(b, uint32(i)) }

// Of asks about one address: NTPDataCommand, AuthDataCommand, NTPSourceName, AccessCheck, CommandCheck, DelSource.
type Of Address

func (o Of) appendTo(b []byte) []byte { return Address(o).AppendTo(b) }

// Page asks for clients.
type Page struct {
	First   uint32
	MinHits uint32
	Reset   bool // sets what is reported to zero
}

func (p Page) appendTo(b []byte) []byte {
	for _, n := range []uint32{p.First, ClientsPerReply, p.MinHits, truth(p.Reset)} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// Zero is the argument of Dump, which nobody reads.
type Zero struct{}

func (Zero) appendTo(b []byte) []byte { return append(b, 0, 0, 0, 0) }

// Subnet chooses sources by address; the zero Subnet is all of them. Online, Offline.
type Subnet netip.Prefix

func (s Subnet) appendTo(b []byte) []byte {
	p := netip.Prefix(s)
	if !p.IsValid() {
		return Address{}.AppendTo(Address{}.AppendTo(b))
	}
	return Address{IP: p.Addr()}.AppendTo(Address{IP: maskOf(p)}.AppendTo(b)) // the mask comes first
}

func maskOf(p netip.Prefix) netip.Addr {
	all := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		all[i/8] |= 0x80 >> (i % 8)
	}
	m, _ := netip.AddrFromSlice(all)
	return m
}

// Measurements is the argument of Burst.
type Measurements struct {
	Of          Subnet
	Good, Total int32
}

func (m Measurements) appendTo(b []byte) []byte {
	b = m.Of.appendTo(b)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Good))
	return binary.BigEndian.AppendUint32(b, uint32(m.Total))
}

// Poll is the argument of ModifyMinPoll and ModifyMaxPoll.
type Poll struct {
	Of   Address
	Poll int32 // log2 s
}

func (p Poll) appendTo(b []byte) []byte {
	return binary.BigEndian.AppendUint32(p.Of.AppendTo(b), uint32(p.Poll))
}

// Moment is the argument of SetTime: what the time is when chronyd reads it.
type Moment time.Time

func (m Moment) appendTo(b []byte) []byte { return appendTime(b, time.Time(m)) }

// Clientele is whom Allow, AllowAll, Deny and DenyAll speak of; the zero one is everybody.
type Clientele netip.Prefix

func (c Clientele) appendTo(b []byte) []byte {
	p := netip.Prefix(c)
	if !p.IsValid() {
		return append(Address{}.AppendTo(b), 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint32(Address{IP: p.Addr()}.AppendTo(b), uint32(p.Bits()))
}

// Local is the local reference mode. Local2 takes the first four fields.
type Local struct {
	On       bool
	Stratum  int32
	Distance float64 // s
	Orphan   bool
	Activate float64 // s
	// Version 4.7 and later.
	WaitSynced, WaitUnsynced float64 // s
}

func (l Local) short(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, truth(l.On))
	b = binary.BigEndian.AppendUint32(b, uint32(l.Stratum))
	b = appendFloat(b, l.Distance)
	return binary.BigEndian.AppendUint32(b, truth(l.Orphan))
}

func (l Local) appendTo(b []byte) []byte {
	b = l.short(b)
	b = appendFloat(b, l.Activate)
	b = appendFloat(b, l.WaitSynced)
	return appendFloat(b, l.WaitUnsynced)
}

// OldLocal is the argument of Local2.
type OldLocal Local

func (l OldLocal) appendTo(b []byte) []byte { return Local(l).short(b) }

// Types of NewSource.
const (
	Server uint32 = 1
	Peer   uint32 = 2
	Pool   uint32 = 3
)

// Flags of NewSource.
const (
	SourceOnline      = 0x1
	SourceAutoOffline = 0x2
	SourceIBurst      = 0x4
	SourcePrefer      = 0x8
	SourceNoSelect    = 0x10
	SourceTrust       = 0x20
	SourceRequire     = 0x40
	SourceInterleaved = 0x80
	SourceBurst       = 0x100
	SourceNTS         = 0x200
	SourceCopy        = 0x400 // 4.1 and later
)

const maxSourceName = 255 // octets, and a NUL

var errName = errors.New("cmdmon: a source needs a name of 1 to 255 printable characters without blanks")

// NewSource is the argument of AddSource. Use DefaultSource, whose values are chronyc's.
type NewSource struct {
	Type                       uint32
	Name                       string
	Port                       uint32
	MinPoll, MaxPoll           int32
	PresendMinPoll             int32
	MinStratum, PollTarget     uint32
	Version, MaxSources        uint32
	MinSamples, MaxSamples     int32
	AuthKey, NTSPort           uint32
	MaxDelay, MaxDelayRatio    float64
	MaxDelayDevRatio, MinDelay float64
	Asymmetry, Offset          float64
	Flags                      uint32
	FilterLength               int32
	CertSet                    uint32  // 4.1 and later
	MaxDelayQuantile           float64 // 4.3 and later
	MaxUnreachable             int32   // 4.8 and later
}

// DefaultSource is a source as chronyc adds it. chronyd itself takes an empty name, for a source that never resolves.
func DefaultSource(kind uint32, name string) (NewSource, error) {
	odd := func(c rune) bool { return c <= ' ' || c > '~' }
	if name == "" || len(name) > maxSourceName || strings.ContainsFunc(name, odd) {
		return NewSource{}, fmt.Errorf("%w: %.40q", errName, name)
	}
	return NewSource{
		Type: kind, Name: name, Port: 123, MinPoll: 6, MaxPoll: 10, PresendMinPoll: 100, PollTarget: 8, MaxSources: 4,
		MinSamples: -1, MaxSamples: -1, NTSPort: 4460, MaxDelay: 3, MaxDelayDevRatio: 10, Asymmetry: 1,
		Flags: SourceOnline, MaxUnreachable: 100000,
	}, nil
}

func (s NewSource) appendTo(b []byte) []byte {
	integers := func(all ...uint32) {
		for _, n := range all {
			b = binary.BigEndian.AppendUint32(b, n)
		}
	}
	var name [maxSourceName + 1]byte
	copy(name[:maxSourceName], s.Name)
	integers(s.Type)
	b = append(b, name[:]...)
	integers(s.Port, uint32(s.MinPoll), uint32(s.MaxPoll), uint32(s.PresendMinPoll), s.MinStratum, s.PollTarget, s.Version,
		s.MaxSources, uint32(s.MinSamples), uint32(s.MaxSamples), s.AuthKey, s.NTSPort)
	for _, f := range []float64{s.MaxDelay, s.MaxDelayRatio, s.MaxDelayDevRatio, s.MinDelay, s.Asymmetry, s.Offset} {
		b = appendFloat(b, f)
	}
	integers(s.Flags, uint32(s.FilterLength), s.CertSet)
	b = appendFloat(b, s.MaxDelayQuantile)
	integers(uint32(s.MaxUnreachable))
	return b
}

func truth(yes bool) uint32 {
	if yes {
		return 1
	}
	return 0
}
