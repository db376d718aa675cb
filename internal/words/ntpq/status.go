package ntpq

import (
	"fmt"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// statusLine is what comes before variables.
func statusLine(op mode6.Opcode, id, status uint16) string {
	var words string
	switch {
	case op == mode6.OpReadClock:
		words = clockStatus(mode6.ClockStatus(status))
	case id == 0:
		words = systemStatus(mode6.SystemStatus(status))
	default:
		words = peerStatus(mode6.PeerStatus(status))
	}
	return fmt.Sprintf("associd=%d status=%04x %s,\n", id, status, words)
}

func systemStatus(s mode6.SystemStatus) string {
	leap := [...]string{"leap_none", "leap_add_sec", "leap_del_sec", "leap_alarm"}[s.Leap()&3]
	return fmt.Sprintf("%s, %s, %s, %v", leap, code("sync", uint8(s.Source()), 10, s.Source()), events(s.Events()), s.LastEvent())
}

func peerStatus(s mode6.PeerStatus) string {
	var flags []string
	for _, flag := range []struct {
		set  bool
		name string
	}{{s.Configured(), "conf"}, {s.AuthEnabled(), "authenb"}, {s.Authentic(), "auth"}, {s.Reachable(), "reach"}, {s.Broadcast(), "bcast"}} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	text := fmt.Sprintf("%s, sel_%v, %s", strings.Join(flags, ", "), s.Selection(), events(s.Events()))
	if event := s.LastEvent(); event != 0 {
		text += ", " + event.String()
	}
	return text
}

func clockStatus(s mode6.ClockStatus) string {
	condition := "clk_unspec"
	if c := s.Condition(); c != 0 {
		condition = code("clk", uint8(c), 7, c)
	}
	return events(int(s>>4&15)) + ", " + condition
}

// code is the name of n, of which there are known.
func code(kind string, n, known uint8, name fmt.Stringer) string {
	if n >= known {
		return fmt.Sprintf("%s_%d", kind, n)
	}
	return kind + "_" + name.String()
}

func events(n int) string {
	switch n {
	case 0:
		return "no events"
	case 1:
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

const associationsHeader = "ind assid status  conf reach auth condition  last_event cnt\n" +
	"===========================================================\n"

// associationRows are the same with both, but for the events that they know.
func associationRows(all []mode6.Association, auth func(mode6.PeerStatus) string) string {
	var text strings.Builder
	text.WriteString(associationsHeader)
	for i, a := range all {
		s := a.Status
		reach := yes(s.Reachable())
		if s.Broadcast() {
			reach = "none"
		}
		row := fmt.Sprintf("%3d %5d  %04x   %3s  %4s  %4s %9.9s %11s %2d", i+1, a.ID, uint16(s), yes(s.Configured()), reach, auth(s),
			s.Selection(), lastEvent(s.LastEvent()), s.Events())
		text.WriteString(row + "\n")
	}
	return text.String()
}

// lastEvent is its name in the list of associations, which lacks the latest ones.
func lastEvent(e mode6.PeerEvent) string {
	const clock = 11
	switch {
	case e == 0 || e > clock:
		return ""
	case e == clock:
		return "clock_alarm"
	}
	return e.String()
}

// authentication is none where there is no key.
func authentication(s mode6.PeerStatus) string {
	switch {
	case !s.AuthEnabled():
		return "none"
	case s.Authentic():
		return "ok "
	}
	return "bad"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
