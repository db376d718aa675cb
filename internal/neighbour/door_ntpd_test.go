package neighbour

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// doorTo leads to an ntpd, if the source is ntpd.
func doorTo(n *ntpd, source string) *Door {
	var c config.Config
	c.Clock.Source = source
	c.Clock.NTPDAddress = n.client().address
	return NewDoor(&c, slog.New(slog.DiscardHandler))
}

// Others may ask ntpd in its own protocol, as many things as they like over one socket. What they have of an answer is not
// overwritten by the next, and they see why ntpd refuses.
func TestConverseMode6(t *testing.T) {
	n := newNTPD(t, "ntpsec-1.2.5")
	var first, second []byte
	err := doorTo(n, "ntpd").ConverseMode6(t.Context(), func(ask func(mode6.Request) (uint16, []byte, error)) (err error) {
		if _, first, err = ask(mode6.Request{Op: mode6.OpReadVariables}); err != nil {
			return err
		}
		status, data, err := ask(mode6.Request{Op: mode6.OpReadStatus})
		if second = data; err != nil || status == 0 {
			t.Errorf("status %x, %v", status, err)
		}
		_, _, err = ask(mode6.Request{Op: mode6.OpReadVariables, Association: 1})
		return err
	})
	if v, bad := mode6.ParseVariables(first); bad != nil || !isNTPsec(v) || len(second)%4 != 0 || len(second) == 0 {
		t.Errorf("%q, %x", first, second)
	}
	if !errors.Is(err, mode6.CodeAssociation) || !strings.Contains(err.Error(), n.client().address.String()) {
		t.Errorf("%v", err)
	}
}

func TestConverseMode6WithAnotherDaemon(t *testing.T) {
	n := newNTPD(t, "ntpsec-1.2.5")
	for source, want := range map[string]string{"kernel": "set clock.source", "chrony": "the daemon next door is chrony, not ntpd: use chronyc"} {
		err := doorTo(n, source).ConverseMode6(t.Context(), func(func(mode6.Request) (uint16, []byte, error)) error {
			t.Error("talks")
			return nil
		})
		if api.KindOf(err) != api.Conflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
}
