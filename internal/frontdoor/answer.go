package frontdoor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// unread is a request whose body was not looked at, for which HTTP has a status of its own.
type unread struct {
	status int
	err    error
}

func (u *unread) Error() string { return u.err.Error() }

// statusOf is the HTTP status of a kind of error.
func statusOf(k api.Kind) int {
	switch k {
	case api.BadArgument:
		return http.StatusBadRequest
	case api.Unknown:
		return http.StatusUnauthorized
	case api.TooMany:
		return http.StatusTooManyRequests
	case api.Denied:
		return http.StatusForbidden
	case api.NotFound:
		return http.StatusNotFound
	case api.Conflict:
		return http.StatusConflict
	case api.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// problem answers with an error (RFC 9457). What is our own fault is told in the log only.
func problem(w http.ResponseWriter, err error) {
	if u, ok := errors.AsType[*unread](err); ok {
		write(w, u.status, api.BadArgument, u.Error())
		return
	}
	kind, detail := api.KindOf(err), err.Error()
	if kind == api.Internal {
		detail = "something went wrong inside ntptsd; its log tells what"
	}
	write(w, statusOf(kind), kind, detail)
}

func write(w http.ResponseWriter, status int, kind api.Kind, detail string) {
	b, _ := encode(problemOf(status, kind, detail)) // never fails: strings
	h := w.Header()
	h.Set("Content-Type", problemMedia)
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// retryAfter is the seconds that somebody should wait who logged in in vain too often.
const retryAfter = "5"

const problemMedia = "application/problem+json"

func problemOf(status int, kind api.Kind, detail string) api.Problem {
	return api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: kind}
}

// encode is JSON with a newline at its end. What JSON has no words for, such as infinity, is an Internal error.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, api.Fail(api.Internal, err)
	}
	return b.Bytes(), nil
}

// answerJSON answers with what may be asked for again: whoever has it already learns that it is the same.
func answerJSON(w http.ResponseWriter, r *http.Request, body []byte) {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:tagLen]) + `"`
	h := w.Header()
	h.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", jsonMedia)
	_, _ = w.Write(body)
}

const tagLen = 16 // octets of a hash, enough that no two answers have the same

// matches is the comparison of RFC 9110 section 13.1.2, which takes weak tags for strong ones.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for one := range strings.SplitSeq(h, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}
