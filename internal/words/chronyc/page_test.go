package chronyc

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// The bounds of each unit, as chrony's own printing has them.
func TestAges(t *testing.T) {
	for s, want := range map[uint32]string{
		0: "   0", 1199: "1199", 1200: " 20m", 35999: "599m", 36000: " 10h", 345599: " 95h", 345600: "  4d",
		86400*1000 - 1: "999d", 86400 * 1000: "  2y", never - 1: "136y", never: "   -",
	} {
		if got := ago(s); got != want {
			t.Errorf("%d: %q, want %q", s, got, want)
		}
	}
}

func TestOffsets(t *testing.T) {
	for _, c := range []struct {
		s            float64
		signed, span string
	}{
		{0, "   +0ns", "   0ns"}, {-9999.4e-9, "-9999ns", "9999ns"}, {9999.6e-9, "  +10us", "  10us"}, {-0.0099994, "-9999us", "9999us"},
		{0.01, "  +10ms", "  10ms"}, {4, "+4000ms", "4000ms"}, {9.9996, " +10.0s", " 10.0s"}, {-999.4, "-999.4s", "999.4s"},
		{999.6, " +1000s", " 1000s"}, {-1e5, " -1667m", " 1667m"}, {1e7, " +2778h", " 2778h"}, {4e8, " +4630d", " 4630d"}, {-4e18, "-126839167935y", "126839167935y"},
	} {
		if got := offset(c.s); got != c.signed {
			t.Errorf("offset %v: %q, want %q", c.s, got, c.signed)
		}
		if got := span(-c.s); got != c.span {
			t.Errorf("span %v: %q, want %q", c.s, got, c.span)
		}
	}
}

func TestFrequencies(t *testing.T) {
	for f, want := range map[float64]string{0: "    +0.000", -99999.4: "-99999.400", 99999.6: "   +100000", -0.0001: "    -0.000"} {
		if got := ppm("+", f); got != want {
			t.Errorf("%v: %q, want %q", f, got, want)
		}
	}
	if got := ppm("", 2000); got != "  2000.000" {
		t.Errorf("%q", got)
	}
	if fast, slow, none := frequency(1), frequency(-1), frequency(0); fast != "1.000 ppm fast" || slow != "1.000 ppm slow" || none != "0.000 ppm slow" {
		t.Error(fast, slow, none)
	}
	if slow, fast, none := systemTime(1), systemTime(-1), systemTime(0); slow != "1.000000000 seconds slow of NTP time" ||
		fast != "1.000000000 seconds fast of NTP time" || none != "0.000000000 seconds fast of NTP time" {
		t.Error(slow, fast, none)
	}
}

func TestDates(t *testing.T) {
	for want, at := range map[string]time.Time{
		"Thu Jan 01 00:00:00 1970": {},
		"Sun Nov 22 22:17:36 2026": time.Date(2026, 11, 22, 23, 17, 36, 5, time.FixedZone("", 3600)),
	} {
		if got := date(at); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The reference id of an IPv6 address is the beginning of its MD5; the one here is that of a real chronyd's source ::1.
func TestNamesOfSources(t *testing.T) {
	six := cmdmon.Address{IP: netip.IPv6Loopback()}
	if refID(six) != 0xcf404dc8 || refID(cmdmon.Address{ID: 1}) != 0 || refID(cmdmon.Address{}) != 0 {
		t.Errorf("%08x", refID(six))
	}
	gps := [4]byte{'G', 0x1b, 'S', 0}
	for want, a := range map[string]cmdmon.Address{"::1": six, "ID#0000000042": {ID: 42}, "GS": {}} {
		if got := named(gps, a); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := address(cmdmon.Address{}); got != "[UNSPEC]" {
		t.Error(got)
	}
}
