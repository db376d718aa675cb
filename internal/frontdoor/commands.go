package frontdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// commands serves the table over HTTP.
type commands struct {
	*Desk
	byURL map[string]api.Declaration // by path

	// Set on the services port, before the first request.
	strict  bool   // what changes something needs a Content-Type that no form of another page can have
	caching string // the Cache-Control of what only reads
}

func newCommands(table *api.Table, changes Changes, log *slog.Logger, faults *faults) *commands {
	c := &commands{Desk: newDesk(table, changes, log, faults), byURL: make(map[string]api.Declaration)}
	for _, d := range table.Declarations() {
		c.byURL[d.Path()] = d
	}
	return c
}

// ServeHTTP checks the role before it reads the arguments: those who may not call learn nothing more, and cost no more.
func (c *commands) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, ok := c.byURL[r.URL.Path]
	if !ok {
		problem(w, api.Failf(api.NotFound, "there is no %s; GET /v1/ lists the commands", r.URL.Path))
		return
	}
	allow := "GET, HEAD"
	if d.Changes {
		allow = "POST"
	}
	if d.Changes != (r.Method == http.MethodPost) || !d.Changes && r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", allow)
		write(w, http.StatusMethodNotAllowed, api.BadArgument, fmt.Sprintf("%s takes %s", d.Name, allow))
		return
	}
	who := callerOf(r)
	if err := c.permit(who, d, nil, api.How{}); err != nil {
		c.log.Debug("command denied", "command", d.Name, "caller", who.Name) // whoever can open the socket causes these
		problem(w, err)
		return
	}
	args, how, err := c.read(w, r, d)
	if err != nil {
		c.refused(who, d, args, how, err)
		problem(w, err)
		return
	}
	c.serve(w, r, who, d, args, how)
}

// idempotencyKey is the header of draft-ietf-httpapi-idempotency-key-header, a text with or without quotes.
const idempotencyKey = "Idempotency-Key"

// read is what a request asks for.
func (c *commands) read(w http.ResponseWriter, r *http.Request, d api.Declaration) (args []byte, how api.How, err error) {
	if !d.Changes {
		args, err = fromQuery(d, r)
		return args, how, err
	}
	if args, err = c.fromBody(w, r, d); err != nil {
		return nil, how, err
	}
	args, how, err = api.SplitHow(args)
	if keys := r.Header.Values(idempotencyKey); len(keys) == 1 {
		how.Key = strings.Trim(keys[0], `"`)
	} else if len(keys) > 1 {
		err = api.Failf(api.BadArgument, "the header %s is given %d times", idempotencyKey, len(keys))
	}
	return args, how, err
}

// serve does a command within its bounds. Its place is taken until the answer is written, because a slow reader lets us hold
// all of it.
func (c *commands) serve(w http.ResponseWriter, r *http.Request, who api.Caller, d api.Declaration, args []byte, how api.How) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), commandTimeout, fmt.Errorf("it was not done within %v", commandTimeout))
	defer cancel()
	leave, err := c.enter(ctx, who)
	if err != nil {
		problem(w, err)
		return
	}
	defer leave()
	var answer []byte
	result, err := c.do(ctx, who, d, args, how)
	if err == nil {
		if answer, err = encode(result); err != nil {
			c.note(who, d, args, err)
		}
	}
	if err != nil {
		problem(w, err)
		return
	}
	if d.Changes {
		w.Header().Set("Content-Type", jsonMedia)
		_, _ = w.Write(answer)
		return
	}
	c.answer(w, r, answer)
}

// answer answers with what only reads.
func (c *commands) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	if c.caching != "" {
		w.Header().Set("Cache-Control", c.caching)
	}
	answerJSON(w, r, body)
}

// list tells of all commands.
func (c *commands) list(w http.ResponseWriter, r *http.Request) {
	type listed struct {
		Name    string    `json:"name"`
		URL     string    `json:"url"`
		Role    string    `json:"role"`
		Changes bool      `json:"changes"`
		Inverse string    `json:"inverse"` // the command that undoes it; empty: none, and it cannot be confirmed
		Urgent  bool      `json:"urgent"`  // root may do it even while the audit log cannot be written
		Summary string    `json:"summary"`
		Args    []api.Arg `json:"args"`
	}
	all := struct {
		Commands []listed `json:"commands"`
	}{[]listed{}}
	for _, d := range c.table.Declarations() {
		all.Commands = append(all.Commands, listed{d.Name, d.Path(), d.Role.String(), d.Changes, d.Inverse, d.Urgent, d.Summary, append([]api.Arg{}, d.Args...)})
	}
	b, err := encode(all)
	if err != nil {
		problem(w, err)
		return
	}
	c.answer(w, r, b)
}

// fromQuery makes a JSON object of the query: what the command takes, each once.
func fromQuery(d api.Declaration, r *http.Request) ([]byte, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, api.Failf(api.BadArgument, "the query is malformed: %w", err)
	}
	args := make(map[string]any)
	for _, a := range d.Args {
		values := query[a.Name]
		delete(query, a.Name)
		switch {
		case len(values) == 0:
		case len(values) > 1:
			return nil, api.Failf(api.BadArgument, "%s is given %d times", a.Name, len(values))
		case a.Number:
			n, err := strconv.Atoi(values[0])
			if err != nil || strconv.Itoa(n) != values[0] {
				return nil, api.Failf(api.BadArgument, "%s = %q: must be a whole number", a.Name, values[0])
			}
			args[a.Name] = n
		case a.Flag:
			yes, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, api.Failf(api.BadArgument, "%s = %q: must be true or false", a.Name, values[0])
			}
			args[a.Name] = yes
		default:
			args[a.Name] = values[0]
		}
	}
	if names := slices.Sorted(maps.Keys(query)); len(names) > 0 {
		return nil, api.Failf(api.BadArgument, "%s takes no %q", d.Name, names[0])
	}
	return json.Marshal(args)
}

// fromBody reads the body; the table looks at what is in it.
func (c *commands) fromBody(w http.ResponseWriter, r *http.Request, d api.Declaration) ([]byte, error) {
	if r.URL.RawQuery != "" {
		return nil, api.Failf(api.BadArgument, "%s takes its arguments as JSON in the body, not in the query", d.Name)
	}
	if t := r.Header.Get("Content-Type"); t != "" || c.strict {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != jsonMedia {
			return nil, &unread{http.StatusUnsupportedMediaType, errors.New("the body must be application/json")}
		}
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &unread{http.StatusRequestEntityTooLarge, fmt.Errorf("the body is longer than %d octets", maxBody)}
	}
	if err != nil {
		return nil, api.Failf(api.BadArgument, "the body did not arrive: %w", err)
	}
	return bytes.TrimSpace(b), nil
}
