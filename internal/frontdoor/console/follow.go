package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// followEvents shows what happens until the peer sends a line.
func (s *session) followEvents(ctx context.Context, asJSON bool) error {
	d := api.Declaration{Name: api.DoorStream, Role: api.Monitor}
	if err := d.Permit(s.who); err != nil {
		s.refuse(asJSON, codeOf(api.KindOf(err)), api.KindOf(err), err.Error())
		return nil
	}
	if !asJSON {
		s.out.begin("events: an empty line ends")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	go func() { // ends by a line, the peer's end, or the deadline below
		_, err := s.in.next()
		cancel()
		ended <- err
	}()
	err := s.showEvents(ctx, asJSON)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	read := <-ended
	if !asJSON {
		s.out.end()
	}
	switch {
	case errors.Is(read, os.ErrDeadlineExceeded): // it was not the peer who ended it
		return err
	case read != nil:
		return read
	}
	return s.out.flush()
}

// showEvents is done when ctx is, or the reader is too slow, or may no more.
func (s *session) showEvents(ctx context.Context, asJSON bool) error {
	var after uint64
	for {
		if err := s.out.flush(); err != nil {
			return err
		}
		if !s.Logins.Still(s.who) {
			return errBye
		}
		items, err := s.wait(ctx, after)
		if err != nil {
			return err
		}
		for _, i := range items {
			after = i.ID
			if i.Kind == api.ItemEvent {
				s.showEvent(i, asJSON)
			}
		}
	}
}

// stillEvery is how often it is asked whether the reader still counts, where nothing happens.
const stillEvery = 15 * time.Second

// wait gives nothing when it is time to ask.
func (s *session) wait(ctx context.Context, after uint64) ([]api.Item, error) {
	until, cancel := context.WithTimeout(ctx, stillEvery)
	defer cancel()
	items, err := s.Stream.Next(until, after)
	if err != nil && ctx.Err() == nil && until.Err() != nil {
		return nil, nil
	}
	return items, err
}

func (s *session) showEvent(i api.Item, asJSON bool) {
	if asJSON {
		s.out.json(i.JSON)
		return
	}
	var e api.Event
	if json.Unmarshal(i.JSON, &e) == nil {
		s.out.data(harmless(fmt.Sprintf("%s %-7s %-11s %s", e.At.Format(time.RFC3339), e.Severity, e.Kind, e.Text)))
	}
}
