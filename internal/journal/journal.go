// Package journal keeps what happened lately, and the newest sample of how everything is, for those who follow. Its memory is
// fixed; each entry is encoded once for all. Readers fetch at their own pace, and nobody waits for them: a reader who is
// too slow misses what has been forgotten meanwhile. What counts as an event is left to those who add them.
package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	// maxEvents is how many are remembered: more than a bad night brings, less than a megabyte.
	maxEvents = 1024
	// maxText bounds an event's text in octets, which may quote another daemon.
	maxText = 400
	// maxItems is what a reader gets at once.
	maxItems = 64
)

// Journal is safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	id      uint64        // of the newest item; guarded by mu, as all below
	events  []api.Event   // oldest first, at most maxEvents
	encoded []api.Item    // the same
	dropped uint64        // id of the newest event that was forgotten
	sample  *api.Item     // the newest
	news    chan struct{} // closed at the next item
	waiting int           // readers in Next
}

// New makes an empty journal. Its ids begin at the time of the start, so that a reader who comes back after a restart
// with an id from before gets everything of since.
func New(now time.Time) *Journal {
	return &Journal{id: uint64(max(now.UnixMilli(), 1)), news: make(chan struct{})}
}

// Add takes an event; it gives it its id and bounds its text.
func (j *Journal) Add(e api.Event) {
	e.Text = shorten(e.Text)
	e.At = e.At.UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	e.ID = j.id + 1
	b, err := json.Marshal(e)
	if err != nil {
		return // a time after the year 9999
	}
	j.id++
	if len(j.events) == maxEvents {
		j.dropped = j.events[0].ID
		j.events, j.encoded = slices.Delete(j.events, 0, 1), slices.Delete(j.encoded, 0, 1)
	}
	j.events = append(j.events, e)
	j.encoded = append(j.encoded, api.Item{ID: e.ID, Kind: api.ItemEvent, JSON: b})
	j.tell()
}

// Show takes the newest sample; the one from before is forgotten.
func (j *Journal) Show(s api.Sample) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.id++
	j.sample = &api.Item{ID: j.id, Kind: api.ItemSample, JSON: b}
	j.tell()
	return nil
}

// tell wakes all who wait. Called with mu held.
func (j *Journal) tell() {
	close(j.news)
	j.news = make(chan struct{})
}

// Followed tells whether somebody waits for news.
func (j *Journal) Followed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.waiting > 0
}

// Next waits until there are items with a higher id than after, and returns the first of them; after 0 begins with the
// newest sample, without the events before now. An id that was never given counts as 0: it is of a time when the clock was ahead.
func (j *Journal) Next(ctx context.Context, after uint64) ([]api.Item, error) {
	for {
		items, news := j.behind(after)
		if len(items) > 0 {
			return items, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			j.leave()
			return nil, context.Cause(ctx)
		}
		j.leave()
	}
}

func (j *Journal) leave() {
	j.mu.Lock()
	j.waiting--
	j.mu.Unlock()
}

// behind gives the items, or a channel to wait on, by which the caller counts as waiting.
func (j *Journal) behind(after uint64) ([]api.Item, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var items []api.Item
	if after == 0 || after > j.id {
		if j.sample != nil { // its id here is where the reader goes on
			items = []api.Item{{ID: j.id, Kind: j.sample.Kind, JSON: j.sample.JSON}}
		}
	} else {
		items = j.from(after + 1)
	}
	if len(items) == 0 {
		j.waiting++
	}
	return items, j.news
}

// from are the first items with at least that id, in order. Called with mu held.
func (j *Journal) from(id uint64) []api.Item {
	first, _ := slices.BinarySearchFunc(j.encoded, id, func(i api.Item, id uint64) int { return cmp.Compare(i.ID, id) })
	items := slices.Clone(j.encoded[first:min(first+maxItems, len(j.encoded))])
	whole := first+len(items) == len(j.encoded)
	if s := j.sample; s != nil && whole && s.ID >= id {
		at, _ := slices.BinarySearchFunc(items, s.ID, func(i api.Item, id uint64) int { return cmp.Compare(i.ID, id) })
		items = slices.Insert(items, at, *s)
	}
	return items
}

// Events are at most limit events behind after, the newest of them. lost tells that some behind after are forgotten.
func (j *Journal) Events(after uint64, limit int) (events []api.Event, lost bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := len(j.events)
	for first > 0 && j.events[first-1].ID > after {
		first--
	}
	lost = after > 0 && j.dropped > after
	if over := len(j.events) - first - limit; over > 0 {
		first += over
	}
	return slices.Clone(j.events[first:]), lost
}

// shorten cuts a text between runes.
func shorten(s string) string {
	if len(s) <= maxText {
		return s
	}
	for i := range s {
		if i > maxText-len("...") {
			return s[:last(s, i)] + "..."
		}
	}
	return s
}

// last is where the rune before i begins.
func last(s string, i int) int {
	for i--; i > 0 && s[i]&0xc0 == 0x80; i-- {
	}
	return i
}
