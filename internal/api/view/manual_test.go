package view

import (
	"os"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestManualShowsWhatIsShown(t *testing.T) {
	const prompt = "\n.Bd -literal\n# ntptsctl "
	b, err := os.ReadFile("../../../docs/manual/ntptsctl.1")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), `\-`, "-") // a minus is a minus
	for command, answer := range map[string]any{
		"status": api.Status{
			Version: "0.3.0", StartedAt: ago(3 * day), Clock: chrony(), Neighbour: api.Neighbour{Name: "chrony", Via: "/run/chrony/chronyd.sock", AgeSeconds: new(1.2)},
			Rings: []api.Ring{ourRing()}, Targets: targets()[:2], Problems: []string{"target b.example.net:10123 is not fit: no answer within 3s"},
		},
		"sources": api.Sources{Sources: []api.Source{
			{Name: "ntp1", Address: "192.0.2.10", Kind: "server", Selection: "selected", Stratum: 1, PollSeconds: 64, Reach: 0o377,
				LastRxSeconds: new(12.7), OffsetSeconds: new(0.000012), ErrorSeconds: new(0.000035), DelaySeconds: new(0.0032), Authentication: "nts"},
			{Name: "ntp2", Address: "192.0.2.20", Kind: "server", Selection: "falseticker", Stratum: 2, PollSeconds: 1024, Reach: 0o17,
				LastRxSeconds: new(700.0), OffsetSeconds: new(-0.0032), ErrorSeconds: new(0.00046), DelaySeconds: new(0.0123), Authentication: "none"},
		}},
	} {
		shown, _ := show(t, command, answer)
		if want := prompt + command + "\n" + shown + ".Ed\n"; !strings.Contains(page, want) {
			t.Errorf("docs/manual/ntptsctl.1 has not\n%s", want)
		}
	}
}
