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
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

const (
	defaultSocket  = "/run/ntptsd/control.sock"
	defaultTimeout = 30 * time.Second // a rotation waits for the daemon next door

	// maxAnswer is what an answer may cost us: as many clients as a daemon tells of fit in several times.
	maxAnswer = 8 << 20
)

// client asks the daemon behind a control socket.
type client struct {
	socket  string
	timeout time.Duration
}

// refusal is a problem answer (RFC 9457): the daemon was reached, and the command failed there.
type refusal struct {
	api.Problem
	role api.Role // that the command needs
}

func (r *refusal) Error() string {
	text := lines(cmp.Or(r.Detail, r.Title, fmt.Sprintf("ntptsd says no more than status %d", r.Status)))
	switch {
	case r.Code != api.Denied:
		return text
	case r.role <= api.Monitor:
		return text + "; run it as root, or join the group ntptsd and log in again"
	}
	return text + "; run it as root or as the user that ntptsd runs as"
}

// call returns the JSON that the daemon answers. Its error is a *refusal if the daemon was reached and refused.
func (c client) call(ctx context.Context, d api.Declaration, args map[string]any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := newRequest(ctx, d, args)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, c.explain(err)
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
		err = fmt.Errorf("no whole answer from %s within %v; --timeout waits longer", c.socket, c.timeout)
	case context.Canceled:
		err = fmt.Errorf("interrupted before the whole answer of %s was there", c.socket)
	}
	if d.Changes {
		err = fmt.Errorf("%w; whether %q was done is not known: look before you try again", err, d.Name)
	}
	return nil, err
}

// newRequest puts the arguments of a reading command into the query, those of a changing one into a JSON object.
func newRequest(ctx context.Context, d api.Declaration, args map[string]any) (*http.Request, error) {
	target := "http://ntptsd" + d.Path() // the host is for the header alone
	if !d.Changes {
		query := url.Values{}
		for name, v := range args {
			query.Set(name, fmt.Sprint(v))
		}
		return http.NewRequestWithContext(ctx, http.MethodGet, target+"?"+query.Encode(), nil)
	}
	body, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

// exchange is one request and its answer. The client of net/http would not do: it takes no answer that comes before the
// request was sent, as that of a daemon with too many connections does, and tells of it on stderr by itself.
func (c client) exchange(conn net.Conn, request *http.Request, d api.Declaration) ([]byte, error) {
	request.Close = true
	sent := request.Write(conn)
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 2*maxAnswer)), request)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer as ntptsd does: %s", c.socket, sentence(cmp.Or(sent, err).Error()))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer from %s breaks off: %s", c.socket, sentence(err.Error()))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer from %s is longer than %d octets: is ntptsd behind it?", c.socket, maxAnswer)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	ok := response.StatusCode == http.StatusOK
	switch {
	case ok && media == "application/json":
		return body, nil
	case !ok && media == "application/problem+json":
		r := refusal{role: d.Role}
		if err := json.Unmarshal(body, &r.Problem); err != nil {
			return nil, fmt.Errorf("%s refuses, and says nothing that can be read: %s", c.socket, sentence(err.Error()))
		}
		return nil, &r
	}
	return nil, fmt.Errorf("%s answers %q with status %d: is ntptsd behind it, and as new as this ntptsctl?", c.socket, d.Name, response.StatusCode)
}

// explain says what to do about a socket that cannot be reached.
func (c client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: is ntptsd running? --socket PATH names another socket, as management.socket does for ntptsd", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run it as root, or join the group ntptsd and log in again", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens there any more; see systemctl status ntptsd", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: too many wait for ntptsd there; try again later", err)
	}
	return err
}
