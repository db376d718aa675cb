package cmdmon

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
)

// ErrBody tells that the body of a request is not that of its command.
var ErrBody = fmt.Errorf("%w: its body is not that of the command", ErrRequest)

// ParseBody reads the body of a request that changes something, as ParseRequest gives it: the padding is no part of it. What
// no chronyc sends is refused: a subnet whose mask has holes, a name without its end. Commands that have no body, or that
// only read, have their Raw.
func ParseBody(q Request) (Body, error) {
	raw, ok := q.Body.(Raw)
	if !ok {
		return q.Body, nil
	}
	r := &reader{b: raw}
	var body Body
	switch q.Command {
	case Online, Offline:
		body, ok = r.subnet()
	case Burst:
		var m Measurements
		m.Of, ok = r.subnet()
		m.Good, m.Total = r.i32(), r.i32()
		body = m
	case ModifyMinPoll, ModifyMaxPoll:
		body = Poll{r.address(), r.i32()}
	case DelSource:
		body = Of(r.address())
	case AddSource:
		body, ok = r.newSource()
	case SetTime:
		body = Moment(r.time())
	default:
		return raw, nil
	}
	if !ok || r.short || len(bytes.Trim(r.b, "\x00")) > 0 {
		return nil, ErrBody
	}
	return body, nil
}

// subnet has its mask first.
func (r *reader) subnet() (Subnet, bool) {
	mask, to := r.address(), r.address()
	if !mask.IP.IsValid() || !to.IP.IsValid() {
		return Subnet{}, mask == Address{} && to == Address{}
	}
	ones := 0
	for _, octet := range mask.IP.AsSlice() {
		ones += bits.OnesCount8(octet)
	}
	p := netip.PrefixFrom(to.IP, ones)
	return Subnet(p), p.IsValid() && maskOf(p) == mask.IP
}

func (r *reader) newSource() (s NewSource, ok bool) {
	s.Type = r.u32()
	name, _, ended := bytes.Cut(r.take(maxSourceName+1), []byte{0})
	s.Name = string(name)
	s.Port, s.MinPoll, s.MaxPoll, s.PresendMinPoll = r.u32(), r.i32(), r.i32(), r.i32()
	s.MinStratum, s.PollTarget, s.Version, s.MaxSources = r.u32(), r.u32(), r.u32(), r.u32()
	s.MinSamples, s.MaxSamples, s.AuthKey, s.NTSPort = r.i32(), r.i32(), r.u32(), r.u32()
	s.MaxDelay, s.MaxDelayRatio, s.MaxDelayDevRatio = r.float(), r.float(), r.float()
	s.MinDelay, s.Asymmetry, s.Offset = r.float(), r.float(), r.float()
	s.Flags, s.FilterLength = r.u32(), r.i32()
	// What later versions added reads as zero where an older chronyc ended.
	later := reader{b: r.b}
	r.b = nil
	s.CertSet, s.MaxDelayQuantile, s.MaxUnreachable = later.u32(), later.float(), later.i32()
	return s, ended && len(bytes.Trim(later.b, "\x00")) == 0
}
