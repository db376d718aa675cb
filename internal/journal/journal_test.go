package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ntptsd/ntptsd/internal/api"
)

var start = time.UnixMilli(1_700_000_000_000)

func event(text string) api.Event { return api.Event{At: start, Kind: api.EventClock, Text: text} }

// text of what a reader got, in order.
func said(items []api.Item) (all []string) {
	for _, i := range items {
		var e api.Event
		if i.Kind == api.ItemSample {
			all = append(all, "sample")
			continue
		}
		_ = json.Unmarshal(i.JSON, &e)
		all = append(all, e.Text)
	}
	return all
}

func TestReadersGetWhatComesBehindTheirPlace(t *testing.T) {
	j := New(start)
	j.Add(event("a"))
	first, _ := j.Events(0, 10)
	if err := j.Show(api.Sample{}); err != nil {
		t.Fatal(err)
	}
	j.Add(event("b"))
	for name, c := range map[string]struct {
		after uint64
		want  string
	}{
		"from the beginning of the stream": {0, "[sample]"},
		"behind a":                         {first[0].ID, "[sample b]"},
		"from before the start":            {5, "[a sample b]"},
		"from a clock that was ahead":      {1 << 52, "[sample]"},
	} {
		items, err := j.Next(t.Context(), c.after)
		if err != nil || fmt.Sprint(said(items)) != c.want {
			t.Errorf("%s: %v, %v, want %s", name, said(items), err, c.want)
		}
		for i := 1; i < len(items); i++ {
			if items[i].ID <= items[i-1].ID {
				t.Errorf("%s: the ids do not grow: %v", name, items)
			}
		}
	}
}

// A reader that never misses anything: its place is always the last id that it got.
func TestFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := New(start)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 3*maxItems)
		ended := make(chan error)
		go func() {
			var after uint64
			for {
				items, err := j.Next(ctx, after)
				if err != nil {
					ended <- err
					return
				}
				for _, i := range items {
					got <- said([]api.Item{i})[0]
					after = i.ID
				}
			}
		}()
		synctest.Wait()
		if !j.Followed() {
			t.Error("nobody is known to follow")
		}
		if err := j.Show(api.Sample{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 2 * maxItems {
			j.Add(event(fmt.Sprint(i)))
		}
		synctest.Wait()
		if first := <-got; first != "sample" {
			t.Errorf("the first is %s", first)
		}
		for i := range 2 * maxItems {
			if text := <-got; text != fmt.Sprint(i) {
				t.Fatalf("got %s instead of %d", text, i)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if j.Followed() {
			t.Error("who has left still counts")
		}
	})
}

func TestNothingGrows(t *testing.T) {
	j := New(start)
	j.Add(event("first"))
	first, lost := j.Events(0, 10)
	if lost {
		t.Error("nothing was forgotten yet")
	}
	for range 3 * maxEvents {
		j.Add(event(strings.Repeat("ü", 1000)))
	}
	all, lost := j.Events(first[0].ID, 10*maxEvents)
	if !lost || len(all) != maxEvents {
		t.Errorf("%d events, lost %v", len(all), lost)
	}
	if text := all[0].Text; len(text) > maxText || !utf8.ValidString(text) || !strings.HasSuffix(text, "ü...") {
		t.Errorf("%d octets: %q", len(text), text)
	}
	if newest, _ := j.Events(0, 3); len(newest) != 3 || newest[2].ID != all[maxEvents-1].ID {
		t.Errorf("%d events, which are not the newest", len(newest))
	}
	if items, err := j.Next(t.Context(), first[0].ID); err != nil || len(items) != maxItems {
		t.Errorf("%d items at once, %v", len(items), err)
	}
}
