package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

const (
	defaultTimeout = 30 * time.Second // a rotation waits for the daemon next door

	// maxAnswer is what an answer may cost us: as many clients as a daemon tells of fit in several times.
	maxAnswer = 8 << 20
	// maxHead is the same for what comes before it.
	maxHead = 64 << 10
)

// client asks a daemon, at the door of one.
type client struct {
	door    door
	timeout time.Duration
	retry   time.Duration // before the first attempt to come back to a stream
}

// refusal is a problem answer (RFC 9457): the daemon was reached, and the command failed there.
type refusal struct {
	api.Problem
	role api.Role // that the command needs
	door door
}

func (r *refusal) Error() string {
	text := view.Lines(cmp.Or(r.Detail, r.Title, fmt.Sprintf("ntptsd says no more than status %d", r.Status)))
	switch {
	case r.Code == api.TooMany:
		return text + "; wait a minute before you try again"
	case r.Code == api.Unknown || r.Status == http.StatusForbidden && r.door.remote():
		return text + r.door.howToLogIn()
	case r.Code != api.Denied || r.door.remote():
		return text
	case r.role <= api.Monitor:
		return text + "; run it as root, or join the group ntptsd and log in again"
	}
	return text + "; run it as root or as the user that ntptsd runs as"
}

// call returns the JSON that the daemon answers. Its error is a *refusal if the daemon was reached and refused.
func (c client) call(ctx context.Context, d api.Declaration, args map[string]any, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := c.door.newRequest(ctx, d, args, key)
	if err != nil {
		return nil, err
	}
	conn, err := c.door.dial(ctx, alpnHTTP)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := c.exchange(conn, request, d)
	if _, refused := errors.AsType[*refusal](err); refused || err == nil {
		return answer, err
	}
	switch ctx.Err() {
	case context.DeadlineExceeded:
		err = fmt.Errorf("no whole answer from %s within %v; --timeout waits longer", c.door, c.timeout)
	case context.Canceled:
		err = fmt.Errorf("interrupted before the whole answer of %s was there", c.door)
	}
	if d.Changes {
		err = fmt.Errorf("%w; whether %q was done is not known: ask again with --idempotency-key %s, and it is done once", err, d.Name, key)
	}
	return nil, err
}

// newRequest puts the arguments of a reading command into the query, those of a changing one into a JSON object.
func (d door) newRequest(ctx context.Context, c api.Declaration, args map[string]any, key string) (r *http.Request, err error) {
	target := "http://" + d.header() + c.Path() // the host is for the header alone
	if c.Changes {
		body, err := json.Marshal(args)
		if err != nil {
			return nil, err
		}
		if r, err = http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body)); err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
	} else {
		query := url.Values{}
		for name, v := range args {
			query.Set(name, fmt.Sprint(v))
		}
		if r, err = http.NewRequestWithContext(ctx, http.MethodGet, target+"?"+query.Encode(), nil); err != nil {
			return nil, err
		}
	}
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	return r, nil
}

// ask sends a request and reads the head of its answer, of whose body no more than so many octets can be read. The client of
// net/http would not do: it takes no answer that comes before the request was sent, as that of a daemon with too many
// connections does, and tells of it on stderr by itself.
func (c client) ask(conn net.Conn, request *http.Request, most int64) (*http.Response, error) {
	request.Close = true
	sent := request.Write(conn)
	bounded := &io.LimitedReader{R: conn, N: maxHead}
	response, err := http.ReadResponse(bufio.NewReader(bounded), request)
	if err != nil {
		if isAlert(err) { // TLS 1.3 judges a client's certificate after its own part is done
			return nil, c.door.explain(err)
		}
		return nil, fmt.Errorf("%s does not answer as ntptsd does: %s", c.door, view.Sentence(c.door.hide(cmp.Or(sent, err).Error())))
	}
	bounded.N = most
	return response, nil
}

// exchange is one request and its answer.
func (c client) exchange(conn net.Conn, request *http.Request, d api.Declaration) ([]byte, error) {
	response, err := c.ask(conn, request, 2*maxAnswer)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer from %s breaks off: %s", c.door, view.Sentence(err.Error()))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer from %s is longer than %d octets: is ntptsd behind it?", c.door, maxAnswer)
	case tooManyItems(body):
		return nil, fmt.Errorf("the answer from %s has more than %d items in its lists: is ntptsd behind it?", c.door, maxItems)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch ok := response.StatusCode == http.StatusOK; {
	case ok && media == "application/json":
		return body, nil
	case !ok && media == "application/problem+json":
		return nil, c.refused(body, d.Role)
	}
	return nil, fmt.Errorf("%s answers %q with status %d: is ntptsd behind it, and as new as this ntptsctl?", c.door, d.Name, response.StatusCode)
}

// refused is the error that a problem answer tells.
func (c client) refused(body []byte, role api.Role) error {
	r := refusal{role: role, door: c.door}
	if err := json.Unmarshal(body, &r.Problem); err != nil {
		return fmt.Errorf("%s refuses, and says nothing that can be read: %s", c.door, view.Sentence(err.Error()))
	}
	r.Detail, r.Title = c.door.hide(r.Detail), c.door.hide(r.Title)
	return &r
}
