package frontdoor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

type sayArgs struct {
	Word  string `json:"word" help:"what to say"`
	Times int    `json:"times" help:"how often"`
}

type said struct {
	Said []string `json:"said"`
}

var (
	say    = api.Command[sayArgs, said]{Name: "say", Role: api.Monitor, Summary: "say it again"}
	change = api.Command[sayArgs, said]{Name: "word change", Role: api.Operator, Changes: true, Summary: "change a word"}
)

func echo(_ context.Context, _ api.Caller, a sayArgs) (said, error) {
	var s said
	for range max(a.Times, 1) {
		s.Said = append(s.Said, a.Word)
	}
	return s, nil
}

func table(t *testing.T, declared []api.Declared, bindings ...api.Binding) *api.Table {
	t.Helper()
	all, err := api.NewTable(declared, bindings...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func testTable(t *testing.T) *api.Table {
	return table(t, []api.Declared{say, change}, api.Bind(say, echo), api.BindChange(change, doing(echo)))
}

// sayTable has only "say", with this handler.
func sayTable(t *testing.T, handle func(context.Context, api.Caller, sayArgs) (said, error)) *api.Table {
	return table(t, []api.Declared{say}, api.Bind(say, handle))
}

// commandsFor serves a table, with its log in the buffer, down to debug.
func commandsFor(all *api.Table) (*commands, *bytes.Buffer) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return newCommands(all, &plainly{table: all}, log, &faults{log: log}), &b
}

func requestBy(ctx context.Context, role api.Role, method, url string, body io.Reader) *http.Request {
	who := api.Caller{Role: role, Name: "uid 7"}
	return httptest.NewRequestWithContext(context.WithValue(ctx, callerKey{}, who), method, url, body)
}

func TestRouting(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	c, _ := commandsFor(testTable(t))
	for _, r := range []struct {
		role             api.Role
		method, url      string
		body, media      string
		status           int
		answer, code     string // in the body
		allow, wantMedia string
	}{
		{role: api.Monitor, method: "GET", url: "/v1/say?word=a%20b", status: 200, answer: `["a b"]`},
		{role: api.Monitor, method: "GET", url: "/v1/say?word=%3Cb%3E%26&times=1", status: 200, answer: `["<b>&"]`},
		{role: api.Monitor, method: "GET", url: "/v1/say?times=-3", status: 200, answer: `[""]`},
		{role: api.Operator, method: "POST", url: "/v1/actions/word-change", body: `{"word":"x","times":2}`, media: "application/json; charset=utf-8", status: 200, answer: `["x","x"]`},
		{role: api.Operator, method: "POST", url: "/v1/actions/word-change", body: " \n", status: 200, answer: `[""]`},

		{role: api.Admin, method: "GET", url: "/v1/nothing", status: 404, code: "not-found", answer: "there is no /v1/nothing; GET /v1/ lists"},
		{role: api.Anonymous, method: "GET", url: "/v1/nothing", status: 404, code: "not-found"},
		{role: api.Admin, method: "GET", url: "/v1/word-change", status: 404, code: "not-found"},
		{role: api.Admin, method: "POST", url: "/v1/actions/say", status: 404, code: "not-found"},
		{role: api.Admin, method: "GET", url: "/v1/say/", status: 404, code: "not-found"},

		{role: api.Admin, method: "POST", url: "/v1/say", status: 405, code: "bad-argument", allow: "GET, HEAD"},
		{role: api.Admin, method: "DELETE", url: "/v1/say", status: 405, code: "bad-argument", allow: "GET, HEAD"},
		{role: api.Admin, method: "GET", url: "/v1/actions/word-change", status: 405, code: "bad-argument", allow: "POST"},
		{role: api.Admin, method: "HEAD", url: "/v1/actions/word-change", status: 405, allow: "POST"},
		{role: api.Admin, method: "PUT", url: "/v1/actions/word-change", status: 405, code: "bad-argument", allow: "POST"},

		{role: api.Anonymous, method: "GET", url: "/v1/say?nonsense", status: 403, code: "denied", answer: "needs the role monitor, and uid 7 has anonymous"},
		{role: api.Monitor, method: "POST", url: "/v1/actions/word-change", body: "nonsense", media: form, status: 403, code: "denied"},

		{role: api.Admin, method: "GET", url: "/v1/say?word=a&word=b", status: 400, code: "bad-argument", answer: "word is given 2 times"},
		{role: api.Admin, method: "GET", url: "/v1/say?b=1&a=1", status: 400, code: "bad-argument", answer: `say takes no \"a\"`},
		{role: api.Admin, method: "GET", url: "/v1/say?word=%zz", status: 400, code: "bad-argument", answer: "the query is malformed"},
		{role: api.Admin, method: "GET", url: "/v1/say?word=a;times=1", status: 400, code: "bad-argument", answer: "the query is malformed"},
		{role: api.Admin, method: "GET", url: "/v1/say?times=1.5", status: 400, code: "bad-argument", answer: `times = \"1.5\": must be a whole number`},
		{role: api.Admin, method: "GET", url: "/v1/say?times=", status: 400, code: "bad-argument"},
		{role: api.Admin, method: "GET", url: "/v1/say?times=007", status: 400, code: "bad-argument"},
		{role: api.Admin, method: "GET", url: "/v1/say?times=0x10", status: 400, code: "bad-argument"},
		{role: api.Admin, method: "GET", url: "/v1/say?times=99999999999999999999", status: 400, code: "bad-argument"},

		{role: api.Admin, method: "POST", url: "/v1/actions/word-change?word=x", status: 400, code: "bad-argument", answer: "not in the query"},
		{role: api.Admin, method: "POST", url: "/v1/actions/word-change", body: "word=x", media: form, status: 415, code: "bad-argument"},
		{role: api.Admin, method: "POST", url: "/v1/actions/word-change", body: "{}", media: ";", status: 415, code: "bad-argument"},
		{role: api.Admin, method: "POST", url: "/v1/actions/word-change", body: strings.Repeat(" ", maxBody), status: 200},
		{role: api.Admin, method: "POST", url: "/v1/actions/word-change", body: strings.Repeat(" ", maxBody+1), status: 413, code: "bad-argument"},
		{role: api.Admin, method: "POST", url: "/v1/actions/word-change", body: `{"wrd":"x"}`, status: 400, code: "bad-argument", answer: `wrd`},
		{role: api.Admin, method: "POST", url: "/v1/actions/word-change", body: "null", status: 400, code: "bad-argument"},
	} {
		request := requestBy(t.Context(), r.role, r.method, r.url, strings.NewReader(r.body))
		if r.media != "" {
			request.Header.Set("Content-Type", r.media)
		}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, request)
		media := "application/json"
		if r.status != 200 {
			media = "application/problem+json"
		}
		if w.Code != r.status || !strings.Contains(w.Body.String(), r.answer) || w.Header().Get("Allow") != r.allow || w.Header().Get("Content-Type") != media {
			t.Errorf("%s %s %.40q: %d %v %s; want %d %s %q", r.method, r.url, r.body, w.Code, w.Header(), w.Body, r.status, media, r.answer)
		}
		if r.status != 200 {
			checkProblem(t, w, r.code)
		}
	}
}

func checkProblem(t *testing.T, w *httptest.ResponseRecorder, code string) {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Errorf("%s: %v", w.Body, err)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(w.Code) || p.Status != w.Code || p.Detail == "" || code != "" && string(p.Code) != code {
		t.Errorf("%+v, want status %d and code %s", p, w.Code, code)
	}
}

// unreadable fails the test when it is read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestWhoMayNotCallSendsNoBody(t *testing.T) {
	c, log := commandsFor(testTable(t))
	w := httptest.NewRecorder()
	c.ServeHTTP(w, requestBy(t.Context(), api.Monitor, "POST", "/v1/actions/word-change", unreadable{t}))
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
	if !strings.Contains(log.String(), "level=DEBUG") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("the log says %q, want a line at debug", log)
	}
}

func TestKindsAreStatuses(t *testing.T) {
	var answer error
	c, _ := commandsFor(sayTable(t, func(context.Context, api.Caller, sayArgs) (said, error) { return said{}, answer }))
	for kind, status := range map[api.Kind]int{
		api.BadArgument: 400, api.Denied: 403, api.NotFound: 404, api.Conflict: 409, api.Unavailable: 503, api.Internal: 500, "unheard of": 500,
	} {
		answer = api.Fail(kind, errors.New("the reason"))
		w := httptest.NewRecorder()
		c.ServeHTTP(w, requestBy(t.Context(), api.Monitor, "GET", "/v1/say", nil))
		if w.Code != status || strings.Contains(w.Body.String(), "the reason") == (kind == api.Internal) {
			t.Errorf("%s: %d %s, want %d", kind, w.Code, w.Body, status)
		}
		checkProblem(t, w, string(kind))
	}
}

// What is our own fault is told in the log, once a minute, and not to the caller.
func TestOwnFaultsAreHidden(t *testing.T) {
	infinite := api.Command[api.None, struct {
		Bound float64 `json:"bound"`
	}]{Name: "bound", Role: api.Monitor, Summary: "say how wrong it is"}
	all := table(t, []api.Declared{say, infinite},
		api.Bind(say, func(_ context.Context, _ api.Caller, a sayArgs) (said, error) {
			if a.Word == "panic" {
				panic("secret state")
			}
			return said{}, errors.New("secret error")
		}),
		api.Bind(infinite, func(context.Context, api.Caller, api.None) (r struct {
			Bound float64 `json:"bound"`
		}, err error) {
			r.Bound = math.Inf(1)
			return r, nil
		}))
	for url, logged := range map[string]string{"/v1/say": "secret error", "/v1/say?word=panic": "secret state", "/v1/bound": "unsupported value"} {
		c, log := commandsFor(all)
		for range 3 {
			w := httptest.NewRecorder()
			c.ServeHTTP(w, requestBy(t.Context(), api.Monitor, "GET", url, nil))
			if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "goroutine") {
				t.Errorf("%s: %d %s", url, w.Code, w.Body)
			}
			checkProblem(t, w, "internal")
		}
		if got := log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, logged) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: the log says %q, want %q once", url, got, logged)
		}
	}
}

func TestServerSurvivesAPanic(t *testing.T) {
	client := serve(t, always(api.Monitor), sayTable(t, func(_ context.Context, _ api.Caller, a sayArgs) (said, error) {
		if a.Word == "panic" {
			panic("now")
		}
		return said{}, nil
	}))
	for range maxCommands + 1 { // and gives its place back
		if response, _ := do(t, client, "GET", "/v1/say?word=panic", ""); response.StatusCode != 500 {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if response, body := do(t, client, "GET", "/v1/say", ""); response.StatusCode != 200 || body != `{"said":[]}`+"\n" {
		t.Errorf("afterwards: %d %s", response.StatusCode, body)
	}
}

// What changes something is in the log with whom and what, done or not; what only reads is not.
func TestChangesAreLogged(t *testing.T) {
	all := table(t, []api.Declared{say, change}, api.Bind(say, echo), api.BindChange(change, doing(func(_ context.Context, _ api.Caller, a sayArgs) (said, error) {
		switch a.Word {
		case "no":
			return said{}, api.Failf(api.Conflict, "not now")
		case "many":
			return said{}, api.Failf(api.TooMany, "not so often")
		case "oh":
			return said{}, errors.New("broken")
		}
		return said{}, nil
	})))
	for _, r := range []struct {
		body string
		want []string
	}{
		{`{"word":"yes"}`, []string{"level=INFO", `msg="command done"`, `command="word change"`, `caller="uid 7"`, `arguments="{\"word\":\"yes\"}"`}},
		{`{"word":"no"}`, []string{"level=INFO", `msg="command refused"`, `caller="uid 7"`, `\"no\"`, `error="not now"`}},
		{`{"word":"oh"}`, []string{"level=ERROR", `msg="command failed"`, `caller="uid 7"`, `\"oh\"`, "error=broken"}},
	} {
		c, log := commandsFor(all)
		c.ServeHTTP(httptest.NewRecorder(), requestBy(t.Context(), api.Operator, "POST", "/v1/actions/word-change", strings.NewReader(r.body)))
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: the log says %q, want one line", r.body, log)
		}
		for _, want := range r.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: the log says %q, want %s", r.body, log, want)
			}
		}
	}
	c, log := commandsFor(all)
	for _, url := range []string{"/v1/say", "/v1/say?x=y", "/v1/nothing"} {
		c.ServeHTTP(httptest.NewRecorder(), requestBy(t.Context(), api.Operator, "GET", url, nil))
	}
	if log.Len() > 0 {
		t.Errorf("reading writes to the log: %q", log)
	}
	for _, body := range []string{`{"word":"many"}`, `{"x":"y","dry_run":true}`, `{"word":"yes","dry_run":true}`} { // as often as somebody likes
		c.ServeHTTP(httptest.NewRecorder(), requestBy(t.Context(), api.Operator, "POST", "/v1/actions/word-change", strings.NewReader(body)))
		if log.Len() > 0 {
			t.Errorf("%s: the log says %q", body, log)
		}
	}
	// What was not even looked at is for the ledger, who judges how often somebody may be written down.
	c.ServeHTTP(httptest.NewRecorder(), requestBy(t.Context(), api.Operator, "POST", "/v1/actions/word-change", strings.NewReader("{\"word\":\"\x1b\"}")))
	c.ServeHTTP(httptest.NewRecorder(), requestBy(t.Context(), api.Monitor, "POST", "/v1/actions/word-change", nil))
	c.ServeHTTP(httptest.NewRecorder(), requestBy(t.Context(), api.Anonymous, "POST", "/v1/actions/word-change", nil))
	if refused := c.changes.(*plainly).refused; len(refused) != 2 || strings.Contains(log.String(), "level=INFO") {
		t.Errorf("refused: %q; the log says %q", refused, log)
	}
}
