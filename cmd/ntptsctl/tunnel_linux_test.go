package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Somebody else may have the address, too, if both let it be used again: then it is nobody's.
func TestSocketsOfTwo(t *testing.T) {
	const head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
	line := func(local string, uid int) string {
		return fmt.Sprintf("15121: %s 00000000:0000 07 00000000:00000000 00:00000000 00000000 %5d        0 11145979 2 00000000ac598b11 0\n", local, uid)
	}
	here := fmt.Sprintf("%08X:3BF9", binary.NativeEndian.Uint32([]byte{127, 0, 0, 1}))
	const all, another = "00000000:3BF9", "00000000:3BFA"
	for name, c := range map[string]struct {
		sockets string
		want    bool
	}{
		"ours":               {line(another, 7) + line(here, 1000), true},
		"ours, bound to all": {line(all, 1000), true},
		"the program's":      {line(here, 7), true},
		"nobody's":           {line(another, 1000), false},
		"another's":          {line(here, 33), false},
		"another's behind":   {line(all, 1000) + line(here, 33), false},
		"another's before":   {line(here, 33) + line(all, 1000), false},
	} {
		if got := onlyOf(strings.NewReader(head+c.sockets), netip.MustParseAddrPort("127.0.0.1:15353"), "1000", "7"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
