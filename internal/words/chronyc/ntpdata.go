package chronyc

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// ntpData is about the source with that address, or about all that have one, an empty line before each.
func ntpData(args []string) (say, error) {
	if len(args) > 0 {
		return one(func(ask Ask, a cmdmon.Address) (string, error) {
			d, err := read(ask, cmdmon.NTPDataCommand, cmdmon.Of(a), cmdmon.ParseNTPData)
			if err != nil {
				return "", err
			}
			var p page
			measurement(&p, d)
			return p.String(), nil
		})(args)
	}
	return func(ask Ask) (string, error) {
		return list(ask, shown{}, "", "", func(p *page, i cmdmon.Index) error {
			s, err := read(ask, cmdmon.SourceData, i, cmdmon.ParseSource)
			if err != nil || s.Mode > cmdmon.ModePeer || !s.Address.IP.IsValid() {
				return err
			}
			d, err := read(ask, cmdmon.NTPDataCommand, cmdmon.Of(s.Address), cmdmon.ParseNTPData)
			if err != nil {
				return err
			}
			p.linef("")
			measurement(p, d)
			return nil
		})
	}, nil
}

func measurement(p *page, d cmdmon.NTPData) {
	p.labels = 16
	p.field("Remote address", "%s (%08X)", address(d.Remote), refID(d.Remote))
	p.field("Remote port", "%d", d.Port)
	p.field("Local address", "%s (%08X)", address(d.Local), refID(d.Local))
	p.field("Leap status", "%s", leap(int(d.Leap)))
	p.field("Version", "%d", d.Version)
	p.field("Mode", "%s", pick(int(d.Mode), "Invalid", "Symmetric active", "Symmetric passive", "Invalid", "Server", "Invalid"))
	p.field("Stratum", "%d", d.Stratum)
	p.field("Poll interval", "%d (%.0f seconds)", d.Poll, power(d.Poll))
	p.field("Precision", "%d (%.9f seconds)", d.Precision, power(d.Precision))
	p.field("Root delay", "%.6f seconds", d.RootDelay)
	p.field("Root dispersion", "%.6f seconds", d.RootDispersion)
	code := ""
	if d.Stratum <= 1 {
		code = letters(d.ReferenceID)
	}
	p.field("Reference ID", "%08X (%s)", binary.BigEndian.Uint32(d.ReferenceID[:]), code)
	p.field("Reference time", "%s", date(d.ReferenceTime))
	p.field("Offset", "%+.9f seconds", d.Offset)
	p.field("Peer delay", "%.9f seconds", d.PeerDelay)
	p.field("Peer dispersion", "%.9f seconds", d.PeerDispersion)
	p.field("Response time", "%.9f seconds", d.ResponseTime)
	p.field("Jitter asymmetry", "%+.2f", d.Asymmetry)
	p.field("NTP tests", "%03b %03b %04b", d.Flags>>7&7, d.Flags>>4&7, d.Flags&15)
	p.field("Interleaved", "%s", yes(d.Flags&cmdmon.FlagInterleaved != 0))
	p.field("Authenticated", "%s", yes(d.Flags&cmdmon.FlagAuthenticated != 0))
	p.field("TX timestamping", "%s", stamped(d.TxSource))
	p.field("RX timestamping", "%s", stamped(d.RxSource))
	counters(p, d)
}

// counters are those that this version of chronyd has.
func counters(p *page, d cmdmon.NTPData) {
	for _, c := range []struct {
		label string
		n     *uint32
	}{
		{"Total TX", &d.Tx}, {"Total RX", &d.Rx}, {"Total valid RX", &d.Valid}, {"Total good RX", d.Good},
		{"Total kernel TX", d.KernelTx}, {"Total kernel RX", d.KernelRx}, {"Total HW TX", d.HardwareTx}, {"Total HW RX", d.HardwareRx},
	} {
		if c.n != nil {
			p.field(c.label, "%s", strconv.FormatUint(uint64(*c.n), 10))
		}
	}
}

// power is what a power of two says, as far as chronyc follows it.
func power(log2 int8) float64 { return math.Ldexp(1, min(max(int(log2), -31), 31)) }

func stamped(by byte) string {
	switch by {
	case 'D':
		return "Daemon"
	case 'K':
		return "Kernel"
	case 'H':
		return "Hardware"
	}
	return "Invalid"
}
