package ntp

import (
	"testing"
	"time"
)

func TestNoAllocations(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	packet := datagram(4, field(16), field(28), make([]byte, 20))
	header := headerTests[1].want
	body := make([]byte, 13)
	buf := make([]byte, 0, MaxPacket)
	now := time.Unix(1_800_000_000, 123_456_789)
	for name, f := range map[string]func(){
		"ParseHeader": func() { _, _ = ParseHeader(packet) },
		"Parse":       func() { _, _ = Parse(packet) },
		"AppendTo":    func() { buf = header.AppendTo(buf[:0]) },
		"AppendField": func() { buf = AppendField(buf[:0], 0x0104, body) },
		"TimestampOf": func() { header.Receive = TimestampOf(now) },
		"SetKiss":     func() { header.SetKiss(KissRate) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct {
		name   string
		packet []byte
	}{
		{"plain", datagram(4)},
		{"fields", datagram(4, field(36), field(104), field(104), field(40))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bb.packet); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHeaderAppendTo(b *testing.B) {
	header := headerTests[1].want
	buf := make([]byte, 0, HeaderLen)
	b.ReportAllocs()
	for b.Loop() {
		buf = header.AppendTo(buf[:0])
	}
}
