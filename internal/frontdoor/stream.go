package frontdoor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What those who follow the stream cost: they come for long.
const (
	heartbeat         = 15 * time.Second // also how late the end of a log-in is noticed
	streamWrite       = 10 * time.Second // for items to be taken by a slow reader
	maxKeptFrame      = 64 << 10         // octets of a buffer that is used again
	streamRetryMillis = 3000             // after which a browser connects again
)

// stream answers with Server-Sent Events: items with their ids, which a reader resumes behind. What a reader missed because it
// was too late is gone.
func (c *contents) stream(w http.ResponseWriter, r *http.Request) {
	after, err := resume(r)
	if err != nil {
		problem(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", eventMedia)
	h.Set("X-Accel-Buffering", "no") // or a proxy would hold it back
	if r.Method == http.MethodHead {
		return
	}
	leave, err := c.streams.enter(remoteAddr(r))
	if err != nil {
		problem(w, err)
		return
	}
	if r.ProtoMajor == 1 && c.detach(w, callerOf(r), after, leave) {
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // it has nothing more to say, and its silence must not end it
	f := &follower{contents: c, to: responding{w, control}, who: callerOf(r)}
	f.follow(ctx, after)
}

// detach takes the connection from net/http, which keeps 20 KiB of buffers and a second goroutine for as long as it answers.
// It is false if there is no connection to take.
func (c *contents) detach(w http.ResponseWriter, who api.Caller, after uint64, leave func()) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	if counted, ok := w.(*counted); ok {
		counted.status = http.StatusOK
	}
	h := w.Header()
	h.Set("Connection", "close") // which tells that the answer has no length
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head)
	head.WriteString("\r\n")
	f := &follower{contents: c, to: detached{conn}, who: who, head: head.Bytes()}
	c.detached.Go(func() {
		defer leave()
		defer conn.Close()
		defer context.AfterFunc(c.ending, func() { _ = conn.SetWriteDeadline(time.Now().Add(refusalTimeout)) })()
		f.follow(c.ending, after)
	})
	return true
}

// resume is the id behind which a reader wants to go on.
func resume(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, api.Failf(api.BadArgument, "after and Last-Event-ID must be the id of an item, a whole number")
	}
	return n, nil
}

// follower is one stream.
type follower struct {
	*contents
	to   sink
	who  api.Caller
	head []byte // to be sent before anything else
}

// sink is where a stream goes to.
type sink interface {
	io.Writer
	Flush() error
	SetWriteDeadline(time.Time) error
}

// responding is an answer of net/http.
type responding struct {
	io.Writer
	*http.ResponseController
}

// detached is a connection that was taken from net/http.
type detached struct{ net.Conn }

func (detached) Flush() error { return nil }

// Why a stream ends.
var (
	errLoggedOut = errors.New("frontdoor: what the reader logged in with does not count any more")
	errSlow      = errors.New("frontdoor: the reader takes too long")
)

// follow sends until the reader has gone, is too slow or may not read any more, or ctx is done.
func (f *follower) follow(ctx context.Context, after uint64) {
	err := f.send(ctx, func(b *bytes.Buffer) {
		b.Write(f.head)
		fmt.Fprintf(b, "retry: %d\n\n", streamRetryMillis)
	})
	f.head = nil
	for err == nil {
		after, err = f.step(ctx, after)
	}
	_ = f.to.SetWriteDeadline(time.Now().Add(refusalTimeout)) // for the end of the answer
	if errors.Is(err, errSlow) && f.door != nil {
		f.door.metrics.streamsCut.Add(1)
	}
}

// step sends what came, or a sign of life.
func (f *follower) step(ctx context.Context, after uint64) (uint64, error) {
	waiting, cancel := context.WithTimeout(ctx, heartbeat)
	items, err := f.Stream.Next(waiting, after)
	cancel()
	switch {
	case ctx.Err() != nil:
		return after, ctx.Err()
	case f.door != nil && !f.door.Still(f.who):
		return after, errLoggedOut
	case len(items) > 0:
		return items[len(items)-1].ID, f.send(ctx, func(b *bytes.Buffer) { writeItems(b, items) })
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return after, err
	}
	return after, f.send(ctx, func(b *bytes.Buffer) { b.WriteString(": still here\n\n") })
}

// send writes within the time of a slow reader.
func (f *follower) send(ctx context.Context, what func(*bytes.Buffer)) error {
	b, _ := f.frames.Get().(*bytes.Buffer)
	if b == nil {
		b = new(bytes.Buffer)
	}
	b.Reset()
	what(b)
	deadline := time.Now().Add(streamWrite)
	err := f.to.SetWriteDeadline(deadline)
	if ctx.Err() != nil { // after the deadline was set: it must not outlive the one of the end
		return ctx.Err()
	}
	if err == nil {
		_, err = f.to.Write(b.Bytes())
	}
	if err == nil {
		err = f.to.Flush()
	}
	if b.Cap() <= maxKeptFrame {
		f.frames.Put(b)
	}
	if err != nil {
		if !time.Now().Before(deadline) { // what HTTP/2 says of it does not tell
			return errSlow
		}
		return err
	}
	return f.to.SetWriteDeadline(time.Time{}) // HTTP/2 ends a stream at its deadline, written to or not
}

func writeItems(b *bytes.Buffer, items []api.Item) {
	for _, i := range items {
		fmt.Fprintf(b, "id: %d\nevent: %s\n", i.ID, i.Kind)
		for line := range bytes.Lines(bytes.TrimSpace(i.JSON)) {
			fmt.Fprintf(b, "data: %s\n", bytes.TrimRight(line, "\r\n"))
		}
		b.WriteByte('\n')
	}
}
