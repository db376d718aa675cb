package view

import (
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestViewsOfTheNeighbour(t *testing.T) {
	sources := api.Sources{Sources: []api.Source{{Name: "ntp1.example", Kind: "server", Selection: "unselectable", PollSeconds: 64, Authentication: "nts"}}}
	for _, c := range []struct {
		command string
		answer  any
		want    string
	}{
		{"neighbour", api.NextDoor{}, "no time daemon next door is looked at: clock.source says which\n"},
		{"neighbour", api.NextDoor{Daemon: "chrony", Via: "/run/chrony/chronyd.sock", Added: []string{"server ntp1.example iburst nts"}},
			"daemon    chrony\nasked by  /run/chrony/chronyd.sock\nadded here: server ntp1.example iburst nts\n"},
		{"sources add", sources, `NAME          ADDRESS  KIND    STATE         STRATUM  POLL  REACH  LAST  OFFSET  ERROR  DELAY  AUTH
ntp1.example  -        server  unselectable  0        64s   0      -     -       -      -      nts
a source whose name is looked up, or whose keys are exchanged, is not usable at once: sources shows when it is
`},
		{"neighbour", api.NextDoor{Daemon: "chrony\x1b[2J", Via: "udp", Added: []string{"server a\x1b[2J"}},
			"daemon    chrony\\x1b[2J\nasked by  udp\nadded here: server a\\x1b[2J\n"},
		{"neighbour rekey", api.Told{Daemon: "chrony"},
			"chrony has read its key files again, as far as it could: its log tells of those that it could not\n"},
		{"neighbour step", api.Confirmation{Command: "neighbour step", Would: "let chronyd correct the clock at once", Token: "ABC",
			Until: new(now.Add(time.Minute))},
			"nothing was done yet. It would let chronyd correct the clock at once\nto confirm, ends in 1m: neighbour step --token=ABC\n"},
		{"neighbour settime", api.Confirmation{Done: true}, "done\n"},
	} {
		got, _ := show(t, c.command, c.answer)
		if got != c.want {
			t.Errorf("%s: got\n%q, want\n%q", c.command, got, c.want)
		}
	}
}
