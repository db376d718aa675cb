package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// following is a client that comes back at once.
func following(socket string) client {
	return client{door{socket: socket}, time.Minute, time.Millisecond}
}

// A connection that breaks is made anew, behind what was told last.
func TestWatchComesBack(t *testing.T) {
	var asked []string
	answers := []string{
		"id: 7\nevent: sample\ndata: {}\n\n: alive\nid: 8\nevent: event\ndata: {\"id\":8,\"kind\":\"key\",\"severity\":\"info\",\"text\":\"first\\u001b[2J\"}\n\n",
		"id: 9\nevent: event\ndata: {\"id\":9,\ndata: \"kind\":\"key\",\"text\":\"second\"}\n\n",
	}
	ctx, cancel := context.WithCancel(t.Context())
	socket := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		if len(asked) > len(answers) {
			cancel()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, answers[len(asked)-1])
	})
	var out, errs strings.Builder
	err := following(socket).watch(ctx, &out, &errs, false)
	if err != nil || fmt.Sprint(asked) != "[ 8 9]" {
		t.Errorf("%v, asked %q, %s", err, asked, &errs)
	}
	checkSafe(t, "watch", out.String())
	if !strings.Contains(out.String(), `first\x1b[2J`) || !strings.Contains(out.String(), "second\n") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q", &out)
	}
}

func TestWatchEndsWhereItMayNot(t *testing.T) {
	socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
		answerProblem(w, http.StatusForbidden, api.Denied, "stream needs the role monitor")
	})
	code, stdout, stderr := ctl(t, socket, "watch", "events")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "stream needs the role monitor") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// Whatever a daemon streams: what is taken is bounded, and ids that go into a header are numbers.
func FuzzStream(f *testing.F) {
	f.Add("id: 1\nevent: event\ndata: {}\n\n")
	f.Add(": x\n\ndata\n\nid: 9\r\n\n")
	f.Add("data: a\ndata: b\nid: x\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		err := readStream(strings.NewReader(text), func() {}, func(i streamed) error {
			if strings.Trim(i.id, "0123456789") != "" || len(i.id) > 20 {
				t.Errorf("id %q", i.id)
			}
			if len(i.data) > len(text) || i.data == nil {
				t.Errorf("%d octets of %d", len(i.data), len(text))
			}
			return nil
		})
		if err == nil {
			t.Error("a stream never ends well")
		}
	})
}

// What will stay a refusal ends it; what may pass does not, once there was a stream.
func TestWatchAfterARefusal(t *testing.T) {
	for kind, ends := range map[api.Kind]bool{api.Unknown: true, api.Denied: true, api.Unavailable: false, api.TooMany: false} {
		asked := 0
		ctx, cancel := context.WithCancel(t.Context())
		socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
			switch asked++; asked {
			case 1:
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "id: 7\nevent: sample\ndata: {}\n\n")
			case 2:
				answerProblem(w, 400, kind, "refused")
			default:
				cancel()
			}
		})
		var out, errs strings.Builder
		err := following(socket).watch(ctx, &out, &errs, false)
		if ended := err != nil && asked == 2; ended != ends || !ends && (err != nil || asked != 3) {
			t.Errorf("%s: %v after %d, %s", kind, err, asked, &errs)
		}
	}
}

func TestWatchShowsHostileEvents(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked > 1 {
				cancel()
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			text := `\u001b[2J` + "\u202e\u009b" + strings.Repeat("x", 1<<20)
			fmt.Fprintf(w, "id: 1\nevent: event\ndata: {\"kind\":\"%[1]s\",\"severity\":\"%[1]s\",\"text\":\"%[1]s\"}\n\n", text)
			_, _ = io.WriteString(w, "id: 2\nevent: event\ndata: \x1b[2J\n\nid: 3\nevent: event\ndata: {\"text\":\"last\"}\n\n")
		})
		var out, errs strings.Builder
		err := following(socket).watch(ctx, &out, &errs, asJSON)
		if err != nil || out.Len() > 20000 || strings.Count(out.String(), "\n") != 2 || !strings.Contains(out.String(), "last") {
			t.Errorf("JSON %v: %v, %d octets, %.1000q", asJSON, err, out.Len(), out.String())
		}
		if !strings.Contains(errs.String(), "tells an event that cannot be read") {
			t.Errorf("JSON %v: %.1000q", asJSON, errs.String())
		}
		checkSafe(t, "watch", out.String()+errs.String())
	}
}

// An endless line, an item of endless lines, an endless head.
func TestStreamsAreBounded(t *testing.T) {
	for name, text := range map[string]string{
		"line":        "data: " + strings.Repeat("x", 2*maxStreamed),
		"lines":       strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 2*maxStreamed/1000),
		"items":       `data: {"sources":[` + strings.Repeat("{},", maxItems) + "{}]}\n\n",
		"empty lines": strings.Repeat("data\n", 2*maxStreamed),
	} {
		taken := 0
		err := readStream(strings.NewReader(text), func() {}, func(streamed) error { taken++; return nil })
		if taken != 0 || err == nil || err == io.ErrUnexpectedEOF {
			t.Errorf("%s: %d items, %v", name, taken, err)
		}
	}
	socket := raw(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: "+strings.Repeat("x", 2*maxHead))
	if code, _, stderr := ctl(t, socket, "watch", "events"); code != exitUsage || !strings.Contains(stderr, "does not answer as ntptsd does") {
		t.Errorf("exit %d, %.200q", code, stderr)
	}
}

// Commas and brackets in texts, and members of objects, are no items.
func TestItemsAreCounted(t *testing.T) {
	for text, many := range map[string]bool{
		`{"a":[` + strings.Repeat("0,", maxItems-2) + `0]}`: false,
		`{"a":[` + strings.Repeat("0,", maxItems) + `0]}`:   true,
		`["` + strings.Repeat(`,[\"`, maxItems) + `"]`:      false,
		`{` + strings.Repeat(`"a":0,`, maxItems) + `}`:      false,
		`[{` + strings.Repeat(`"a":0,`, maxItems) + `}]`:    false,
		strings.Repeat("]", maxItems) + ",":                 false,
		strings.Repeat("[", maxItems+1):                     true,
	} {
		if tooManyItems([]byte(text)) != many {
			t.Errorf("%.40s: %d octets, want %v", text, len(text), many)
		}
	}
}
