package mode6

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

func TestSystemStatus(t *testing.T) {
	for s, want := range map[SystemStatus]string{
		0xc616: "3 ntp 1 restart",
		0x0615: "0 ntp 1 clock_sync",
		0xc016: "3 unspec 1 restart", // NTPsec 1.2.2
		0x419f: "1 pps 9 stale_leapsecond_values",
		0xbff0: "2 source 63 15 unspecified",
	} {
		if got := fmt.Sprintf("%d %v %d %v", s.Leap(), s.Source(), s.Events(), s.LastEvent()); got != want {
			t.Errorf("%04x: %s, want %s", uint16(s), got, want)
		}
	}
	if SystemStatus(0xc616).Leap() != ntp.LeapUnknown {
		t.Error("leap 3 is not ntp.LeapUnknown")
	}
}

func TestPeerStatus(t *testing.T) {
	flags := func(s PeerStatus) string {
		var set []string
		for name, is := range map[string]bool{"configured": s.Configured(), "enabled": s.AuthEnabled(), "authentic": s.Authentic(),
			"reachable": s.Reachable(), "broadcast": s.Broadcast()} {
			if is {
				set = append(set, name)
			}
		}
		slices.Sort(set)
		return strings.Join(set, "+")
	}
	for s, want := range map[PeerStatus]string{
		0xf61a: "authentic+configured+enabled+reachable sys.peer * 1 sys_peer",
		0x9014: "configured+reachable reject   1 reachable",
		0x8811: "broadcast+configured reject   1 mobilize",
		0x9414: "configured+reachable candidate + 1 reachable",
		0x17df: "reachable pps.peer o 13 interleave_error",
		0x1100: "reachable falsetick x 0 unspecified",
		0x1200: "reachable excess . 0 unspecified",
		0x1300: "reachable outlier - 0 unspecified",
		0x1500: "reachable backup # 0 unspecified",
	} {
		if got := fmt.Sprintf("%s %v %c %d %v", flags(s), s.Selection(), s.Selection().Tally(), s.Events(), s.LastEvent()); got != want {
			t.Errorf("%04x: %q, want %q", uint16(s), got, want)
		}
	}
	if SelectSystem.String() != "sys.peer" || Selection(8).Tally() != ' ' {
		t.Error("the selections moved")
	}
}

func TestClockStatus(t *testing.T) {
	s := ClockStatus(0x0021)
	if got := fmt.Sprint(s.LastEvent(), " ", s.Condition(), " ", ClockCondition(0), " ", ClockCondition(9)); got != "bad_format no_reply ok condition 9" {
		t.Error(got)
	}
}

func TestWordsOfBits(t *testing.T) {
	for got, want := range map[string]string{
		fmt.Sprint(Flash(0x1604).Words()):                     "[pkt_unsync peer_stratum peer_dist peer_unreach]",
		fmt.Sprint(Flash(0).Words()):                          "[]",
		fmt.Sprint(InterfaceFlags(0x89).Words()):              "[up broadcast wildcard]",
		fmt.Sprint(Restrictions(0x80).Words(false)):           "[nomodify]",
		fmt.Sprint(Restrictions(0x100).Words(true)):           "[nomodify]",
		fmt.Sprint(Restrictions(0x7d0).Words(true)):           "[nopeer limited noquery nomodify notrap lowpriotrap]",
		fmt.Sprint(Restrictions(0x24e1).Words(false)):         "[ignore limited noquery nomodify kod nomrulist]",
		fmt.Sprint(Restrictions(0xffff8020).Words(true)):      "[noepeer server response fuzz]",
		fmt.Sprint(len(Restrictions(1<<32 - 1).Words(false))): "14",
		fmt.Sprint(len(Restrictions(1<<32 - 1).Words(true))):  "16",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzParseAssociations(f *testing.F) {
	f.Add([]byte{0x0b, 0xd3, 0x90, 0x14, 0x0b, 0xd2, 0x90, 0x14})
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ParseAssociations(data)
		if len(data)%associationLen != 0 {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		var again []byte
		for _, a := range all {
			again = a.AppendTo(again)
		}
		if err != nil || string(again) != string(data) || cap(all) > len(data) {
			t.Fatalf("%x becomes %x, %v", data, again, err)
		}
	})
}
