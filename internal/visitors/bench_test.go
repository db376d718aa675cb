package visitors

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// batch is how many requests the time server adds at once.
const batch = 64

func BenchmarkAdd(b *testing.B) {
	for _, c := range []struct {
		name     string
		networks uint32
	}{
		{"one network", 1},
		{"1000 networks", 1000},
		{"strangers", 1 << 24},
	} {
		b.Run(c.name, func(b *testing.B) {
			t := NewTables(1)[0]
			from := make([]netip.Addr, 1<<16)
			for i := range from {
				from[i] = inNetwork(rand.Uint32N(c.networks))
			}
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				if at%batch == 0 {
					t.Begin()
				}
				t.Add(from[at%len(from)], NTS)
				if at++; at%batch == 0 {
					t.End()
				}
			}
		})
	}
}

// BenchmarkTop is what it costs to ask, when all places of eight workers' tables are taken.
func BenchmarkTop(b *testing.B) {
	tables := NewTables(8)
	for _, t := range tables {
		for _, now := range []uint32{0, windowTicks} {
			t.begin(now)
			for range 4 * sets * ways {
				t.Add(inNetwork(rand.Uint32N(1<<24)), Plain)
			}
			t.End()
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Top(20, tables, nil)
	}
}

// inNetwork is an address in the nth network.
func inNetwork(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n<<8|1)
	return netip.AddrFrom4(b)
}
