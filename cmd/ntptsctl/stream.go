package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	// maxStreamed bounds an item of a stream in octets: a sample has what status has, several times.
	maxStreamed = 4 << 20
	// silence is how long a stream may say nothing at all: a comment comes every 15 s.
	silence = 45 * time.Second
	// The waits between attempts to come back.
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// streamed is one item of a stream of server-sent events. Its data is good until the next one.
type streamed struct {
	id, kind string
	data     []byte
}

// takeError is of whoever takes the items, for which coming back does not help.
type takeError struct{ error }

// keepFollowing follows the stream and comes back when it breaks, behind what was taken last, until ctx is done: then it
// returns nil. Before each wait lost hears of the error; what lost or take return ends it.
func (c client) keepFollowing(ctx context.Context, take func(streamed) error, lost func(err error, wait time.Duration) error) error {
	var after string
	wait := c.retry
	for {
		err := c.follow(ctx, after, func(i streamed) error {
			after, wait = i.id, c.retry
			if err := take(i); err != nil {
				return takeError{err}
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if ours, ok := errors.AsType[takeError](err); ok {
			return ours.error
		}
		if err := lost(err, wait); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait + rand.N(wait/4+1)): // all who lost the same daemon shall not come back at once
		}
		wait = min(2*wait, lastRetry)
	}
}

// follow reads the stream behind an id until it breaks.
func (c client) follow(ctx context.Context, after string, take func(streamed) error) error {
	request, err := c.door.newRequest(ctx, api.Declaration{Name: api.DoorStream}, nil, "")
	if err != nil {
		return err
	}
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	conn, err := c.door.dial(ctx, alpnHTTP)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(c.timeout))
	response, err := c.ask(conn, request, math.MaxInt64)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch ok := response.StatusCode == http.StatusOK; {
	case ok && media == "text/event-stream":
		err := readStream(response.Body, func() { _ = conn.SetDeadline(time.Now().Add(silence)) }, take)
		if _, ours := errors.AsType[takeError](err); ours {
			return err
		}
		return fmt.Errorf("the stream of %s breaks off: %w", c.door, err)
	case !ok && media == "application/problem+json":
		body, err := io.ReadAll(io.LimitReader(response.Body, maxHead))
		if err != nil {
			return fmt.Errorf("the answer from %s breaks off: %w", c.door, err)
		}
		return c.refused(body, api.Monitor)
	}
	return fmt.Errorf("%s answers with status %d and no stream: is ntptsd behind it, and as new as this ntptsctl?", c.door, response.StatusCode)
}

// readStream parses server-sent events (WHATWG HTML, section 9.2.6). heard is called for each line.
func readStream(r io.Reader, heard func(), take func(streamed) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxStreamed)
	i, has := streamed{data: []byte{}}, false
	for heard(); lines.Scan(); heard() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			if lines.Text() != "" { // a comment, which tells that the stream lives
				continue
			}
			if tooManyItems(i.data) {
				return fmt.Errorf("an item has more than %d items in its lists", maxItems)
			}
			if has {
				if err := take(i); err != nil {
					return err
				}
			}
			i.kind, i.data, has = "", i.data[:0], false
		case "id":
			if _, err := strconv.ParseUint(value, 10, 64); err == nil { // it goes into a header
				i.id = value
			}
		case "event":
			i.kind = value
		case "data":
			if len(i.data)+len(value) > maxStreamed {
				return fmt.Errorf("an item has more than %d octets", maxStreamed)
			}
			if has {
				i.data = append(i.data, '\n')
			}
			i.data, has = append(i.data, value...), true
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
