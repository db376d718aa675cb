package neighbour

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

func clockOf(r *replay, source string) *config.Config {
	return &config.Config{Clock: config.Clock{Source: source, ChronySocket: r.socket, ChronyAddress: r.address().AddrPort(),
		NTPDAddress: netip.MustParseAddrPort("127.0.0.1:9")}} // discard: nobody answers
}

func TestDoorLeadsToWhatIsConfigured(t *testing.T) {
	r := newReplay(t, "4.3")
	for source, want := range map[string]string{"kernel": "", "fixed": "", "chrony": "chrony", "ntpd": "ntpd", "auto": "chrony"} {
		d := NewDoor(clockOf(r, source), slog.New(slog.DiscardHandler))
		if got := d.Name(); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
		if _, err := d.Sources(t.Context()); want == "" && err != ErrNone {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// auto looks at start and at reload, and at no other time.
func TestAutoLooksAtReloadOnly(t *testing.T) {
	r := newReplay(t, "4.3")
	r.stop()
	var log bytes.Buffer
	d := NewDoor(clockOf(r, "auto"), slog.New(slog.NewTextHandler(&log, nil)))
	if d.Daemon() != nil || !d.Lacking() || !strings.Contains(log.String(), "no time daemon answers") {
		t.Errorf("%v: %s", d.Daemon(), &log)
	}
	r.start()
	cfg := clockOf(r, "auto")
	if d.Name() != "" {
		t.Error("found without being looked for")
	}
	commit, err := d.Prepare(cfg)
	if err != nil || d.Name() != "" {
		t.Fatalf("%v, or found before commit", err)
	}
	if commit(); d.Name() != "chrony" {
		t.Errorf("after a reload: %q", d.Name())
	}
	r.stop()
	time.Sleep(askEvery + nearly) // what was answered before is no answer any more
	commit, _ = d.Prepare(cfg)
	if commit(); d.Name() != "chrony" || d.Lacking() {
		t.Errorf("it was away at a reload, and swapped for %q", d.Name())
	}
	found := d.Daemon()
	commit, _ = d.Prepare(cfg)
	if commit(); d.Daemon() != found {
		t.Error("a reload that changes nothing made another client")
	}
}
