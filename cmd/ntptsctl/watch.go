package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

// maxEventText bounds each text of an event that is shown as JSON, in octets; the journal of ntptsd keeps less.
const maxEventText = 4096

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

// watch comes back after a broken connection. What fails at the first time ends it; later the daemon may be starting, and only
// a refusal that will stay one does.
func (c client) watch(ctx context.Context, out, errs io.Writer, asJSON bool) error {
	first := true
	return c.keepFollowing(ctx, func(i streamed) error {
		first = false
		if i.kind != api.ItemEvent {
			return nil
		}
		return c.showEvent(out, errs, i.data, asJSON)
	}, func(err error, wait time.Duration) error {
		if first || lasts(err) {
			return err
		}
		_, err = fmt.Fprintf(errs, "ntptsctl: %s; again in %v\n", view.Sentence(err.Error()), wait)
		return err
	})
}

// lasts tells of a refusal that asking again does not change.
func lasts(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && (r.Code == api.Unknown || r.Code == api.Denied || r.Code == api.NotFound || r.Code == api.BadArgument)
}

// showEvent writes a line. An event that cannot be read does not end it: those behind it can be.
func (c client) showEvent(out, errs io.Writer, data []byte, asJSON bool) error {
	var e api.Event
	if err := json.Unmarshal(data, &e); err != nil {
		_, err = fmt.Fprintf(errs, "ntptsctl: %s tells an event that cannot be read: %s\n", c.door, view.Sentence(err.Error()))
		return err
	}
	line := view.Event(e)
	if asJSON {
		e.Kind, e.Severity, e.Text = cut(e.Kind), cut(e.Severity), cut(e.Text)
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		line = view.Escape(string(b)) // what would act on a terminal was escaped by nobody yet
	}
	_, err := io.WriteString(out, line+"\n")
	return err
}

func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxEventText)], "")
}
