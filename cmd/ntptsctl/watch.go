package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
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

// watchCommand follows what happens.
func watchCommand(f *flags) *cobra.Command {
	c := &cobra.Command{Use: "watch", Short: "follow what happens"}
	c.AddCommand(&cobra.Command{
		Use:               "events",
		Short:             "show each event when it happens, until ^C",
		Long:              "Show each event when it happens, until ^C. When the connection is lost, it is made anew, and what\nhappened meanwhile is shown. It needs the role monitor.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			asks, err := f.client(c)
			if err != nil {
				return err
			}
			return asks.watch(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), f.json)
		},
	})
	return c
}

// watch comes back after a broken connection. A refusal at the first time ends it; later the daemon may be starting.
func (c client) watch(ctx context.Context, out, errs io.Writer, asJSON bool) error {
	var after string
	wait := firstRetry
	for first := true; ; first = false {
		err := c.follow(ctx, after, func(i streamed) error {
			after, wait, first = i.id, firstRetry, false
			if i.kind != api.ItemEvent {
				return nil
			}
			return showEvent(out, i.data, asJSON)
		})
		if ctx.Err() != nil {
			return nil
		}
		if write, ok := errors.AsType[*writeError](err); ok {
			return write.error
		}
		if first {
			return err
		}
		fmt.Fprintf(errs, "ntptsctl: %s; again in %v\n", view.Sentence(err.Error()), wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
}

// writeError is of our own output, for which coming back does not help.
type writeError struct{ error }

func showEvent(out io.Writer, data []byte, asJSON bool) error {
	var e api.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("an event that cannot be read: %w", err)
	}
	line := view.Event(e) + "\n"
	if asJSON {
		b, err := json.Marshal(e) // what would act on a terminal was escaped by nobody yet
		if err != nil {
			return err
		}
		line = view.Escape(string(b)) + "\n"
	}
	if _, err := io.WriteString(out, line); err != nil {
		return &writeError{err}
	}
	return nil
}

// follow reads the stream behind an id until it breaks.
func (c client) follow(ctx context.Context, after string, take func(streamed) error) error {
	request, err := c.door.newRequest(ctx, api.Declaration{Name: api.DoorStream}, nil)
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
	if err := request.Write(conn); err != nil {
		return fmt.Errorf("%s: %w", c.door, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return fmt.Errorf("%s: %w", c.door, err)
	}
	defer response.Body.Close()
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); response.StatusCode != http.StatusOK || media != "text/event-stream" {
		return c.refused(response)
	}
	return readStream(response.Body, func() { _ = conn.SetDeadline(time.Now().Add(silence)) }, take)
}

// refused is the error of an answer that is no stream.
func (c client) refused(response *http.Response) error {
	r := refusal{role: api.Monitor, door: c.door}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxSecret))
	if json.Unmarshal(body, &r.Problem) != nil || r.Status == 0 {
		return fmt.Errorf("%s answers with status %d: is ntptsd behind it, and as new as this ntptsctl?", c.door, response.StatusCode)
	}
	return &r
}

// streamed is one item of a stream of server-sent events.
type streamed struct {
	id, kind string
	data     []byte
}

// readStream parses server-sent events (WHATWG HTML, section 9.2.6). heard is called for each line.
func readStream(r io.Reader, heard func(), take func(streamed) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxStreamed)
	var i streamed
	for heard(); lines.Scan(); heard() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			if lines.Text() != "" { // a comment, which tells that the stream lives
				continue
			}
			if i.data != nil {
				if err := take(i); err != nil {
					return err
				}
			}
			i = streamed{id: i.id}
		case "id":
			if _, err := strconv.ParseUint(value, 10, 64); err == nil { // it goes into a header
				i.id = value
			}
		case "event":
			i.kind = value
		case "data":
			if len(i.data)+len(value) > maxStreamed {
				return bufio.ErrTooLong
			}
			if i.data != nil {
				i.data = append(i.data, '\n')
			}
			i.data = append(bytes.Clone(i.data), value...)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
