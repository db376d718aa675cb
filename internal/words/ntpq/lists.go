package ntpq

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

func (t *talk) interfaceTable() (string, error) {
	_, data, err := t.ask(mode6.Request{Op: mode6.OpReadOrdered, Data: []byte("ifstats")})
	if err != nil {
		return "", err
	}
	all, err := mode6.ParseInterfaces(data)
	return t.tongue.interfaces(all), err
}

func (t *talk) restrictionTable() (string, error) {
	_, data, err := t.ask(mode6.Request{Op: mode6.OpReadOrdered, Data: []byte("addr_restrictions")})
	if err != nil {
		return "", err
	}
	all, err := mode6.ParseRestrictions(data)
	return t.tongue.restrictions(all), err
}

func (classic) interfaces(all []mode6.Interface) string {
	var text strings.Builder
	text.WriteString("    interface name                                        send\n" +
		" #  address/broadcast     drop flag ttl mc received sent failed peers   uptime\n" + rule(classicWidth))
	for _, i := range all {
		fmt.Fprintf(&text, "%3d %-24s %c %4x %3d %2d %6d %6d %6d %5d %8d\n%s", i.Index, first(24, i.Name), enabled(i.Enabled), uint32(i.Flags),
			i.TTL, i.Groups, i.Received, i.Sent, i.SendErrors, i.Peers, int64(i.Up.Seconds()), addresses(i))
	}
	return text.String()
}

func (sec) interfaces(all []mode6.Interface) string {
	const width = 74
	var text strings.Builder
	text.WriteString("    interface name                                  send\n" +
		" #  address/broadcast     drop flag received sent failed peers   uptime\n " + rule(width))
	for n, i := range all {
		fmt.Fprintf(&text, "%3d %-24s %c %4x %6d %6d %6d %5d %8d\n%s", n, first(24, i.Name), enabled(i.Enabled), uint32(i.Flags),
			i.Received, i.Sent, i.SendErrors, i.Peers, int64(i.Up.Seconds()), addresses(i))
	}
	return text.String()
}

func addresses(i mode6.Interface) string {
	text := "    ?\n"
	if i.Address.IsValid() {
		text = fmt.Sprintf("    %v\n", i.Address)
	}
	if i.Broadcast.IsValid() && !i.Broadcast.Addr().IsUnspecified() {
		text += fmt.Sprintf("    %v\n", i.Broadcast)
	}
	return text
}

func enabled(is bool) byte {
	if is {
		return '.'
	}
	return 'D'
}

const restrictionsHeader = "   hits    addr/prefix or addr mask\n           restrictions\n"

func (classic) restrictions(all []mode6.Restriction) string {
	return restrictionsHeader + rule(classicWidth) + restrictionRows(all)
}

func (sec) restrictions(all []mode6.Restriction) string {
	const width = 72
	return restrictionsHeader + rule(width) + restrictionRows(all)
}

func restrictionRows(all []mode6.Restriction) string {
	var text strings.Builder
	for _, r := range all {
		if !r.Address.IsValid() || !r.Mask.IsValid() {
			continue
		}
		network := fmt.Sprintf("%v/%d", r.Address, ones(r.Mask))
		if !contiguous(r.Mask) {
			network = fmt.Sprintf("%v %v", r.Address, r.Mask)
		}
		fmt.Fprintf(&text, "%10d %s\n           %s\n", r.Hits, network, strings.Join(r.Flags, " "))
	}
	return text.String()
}

func ones(mask netip.Addr) (n int) {
	for _, b := range mask.AsSlice() {
		n += bits.OnesCount8(b)
	}
	return n
}

// contiguous tells whether a mask is a prefix.
func contiguous(mask netip.Addr) bool {
	p, err := mask.Prefix(ones(mask))
	return err == nil && p.Addr() == mask
}
