package frontdoor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// row is what can be asked for, and by whom.
type row struct {
	method, path string
	role         api.Role
}

// Every command and every door for every role, however it was shown. On the control socket the role is the socket's.
func TestRoleMatrix(t *testing.T) {
	f := newFlow()
	f.add(1, "sample", "{}")
	all := wholeTable(t, true)
	s := servePort(t, func(o *Options) { o.Table, o.Stream = all, f })
	rows := []row{{"GET", "/metrics", api.Monitor}, {"GET", "/v1/", api.Monitor}, {"GET", "/openapi.json", api.Monitor}, {"GET", "/v1/stream", api.Monitor},
		{"GET", "/healthz", api.Anonymous}, {"GET", "/readyz", api.Anonymous}, {"GET", "/fit", api.Anonymous}}
	for _, d := range all.Declarations() {
		method := "GET"
		if d.Changes {
			method = "POST"
		}
		rows = append(rows, row{method, d.Path(), d.Role})
	}
	for role := api.Anonymous; role <= api.Admin; role++ {
		shows := map[string]func(r row) int{"control socket": onControl(t, all, f, role)}
		certificate := issue(t, role.String())
		withToken, withCertificate := s.browser(t, nil), s.browser(t, &certificate)
		switch role {
		case api.Anonymous:
			shows["nothing"] = func(r row) int { return s.status(t, withToken, r.method, r.path) }
		default:
			shows["token"] = func(r row) int {
				return s.status(t, withToken, r.method, r.path, "Authorization", "Bearer "+role.String())
			}
			shows["certificate"] = func(r row) int { return s.status(t, withCertificate, r.method, r.path) }
		}
		for how, status := range shows {
			for _, r := range rows {
				want := 200
				switch {
				case role < r.role && role == api.Anonymous && how != "control socket":
					want = 401
				case role < r.role:
					want = 403
				}
				if got := status(r); got != want {
					t.Errorf("%v by %s: %s %s: %d, want %d", role, how, r.method, r.path, got, want)
				}
			}
		}
	}
}

// Every command that changes something, for every role: what may not be, what is asked for wrongly, what is only tried. Nothing of
// that is done.
func TestChangesThatAreNotMade(t *testing.T) {
	all := wholeTable(t, true)
	changes := &plainly{table: all}
	c := newContents(Site{Metrics: answers(), Table: all, Changes: changes, Health: &wellness{}}, func(r *http.Request) (api.Caller, error) { return callerOf(r), nil }, quiet())
	handler := c.routes()
	post := func(role api.Role, path, body string, headers ...string) (int, string) {
		q := requestBy(t.Context(), role, "POST", path, strings.NewReader(body))
		q.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			q.Header.Add(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, q)
		return w.Code, w.Body.String()
	}
	for _, d := range all.Declarations() {
		if !d.Changes {
			continue
		}
		for role := api.Anonymous; role <= api.Admin; role++ {
			refused, done := len(changes.refused), len(changes.hows)
			status, answer := post(role, d.Path(), `{"dry_run":true}`)
			if role < d.Role {
				told := 1
				if role == api.Anonymous {
					told = 0
				}
				if status != 403 || len(changes.refused)-refused != told || len(changes.hows) != done {
					t.Errorf("%v: %s: %d, refused %d", role, d.Name, status, len(changes.refused)-refused)
				}
				continue
			}
			if status != 200 || !strings.Contains(answer, `"dry_run":true`) || !strings.Contains(answer, `"result":null`) || !changes.hows[done].DryRun {
				t.Errorf("%v: dry run of %s: %d %s", role, d.Name, status, answer)
			}
			for _, bad := range []string{`{"unknown":1}`, `[]`, `{`, `{"dry_run":1}`, `{"dry_run":true} {}`, `{"confirm_within_seconds":-1}`, `{"confirm_within_seconds":1e99}`} {
				if status, answer := post(role, d.Path(), bad); status != 400 {
					t.Errorf("%v: %s %s: %d %s", role, d.Name, bad, status, answer)
				}
			}
			if status, _ := post(role, d.Path(), `{}`, "Idempotency-Key", "a", "Idempotency-Key", "b"); status != 400 {
				t.Errorf("%v: %s with two keys: %d", role, d.Name, status)
			}
			if status, _ := post(role, d.Path(), strings.Repeat(" ", maxBody+1)); status != 413 {
				t.Errorf("%v: %s with a long body: %d", role, d.Name, status)
			}
			if status, _ := post(role, d.Path(), `{}`, "Idempotency-Key", `"quoted"`); status != 200 || changes.hows[len(changes.hows)-1].Key != "quoted" {
				t.Errorf("%v: %s with a key: %d", role, d.Name, status)
			}
		}
	}
	if len(changes.hows) < 40 {
		t.Errorf("%d changes", len(changes.hows))
	}
}

// status is that of an answer, whose body may not end.
func (s *served) status(t *testing.T, c *http.Client, method, path string, headers ...string) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "https://"+s.tls+path, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func onControl(t *testing.T, all *api.Table, f *flow, role api.Role) func(row) int {
	c := newContents(Site{Metrics: answers(), Table: all, Changes: &plainly{table: all}, Stream: f, Health: &wellness{}}, func(r *http.Request) (api.Caller, error) { return callerOf(r), nil }, quiet())
	handler := c.routes()
	return func(r row) int {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r.path != "/v1/stream" {
			ctx = t.Context()
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(&deadlines{w}, requestBy(ctx, role, r.method, r.path, http.NoBody))
		return w.Code
	}
}

// deadlines is a recorder that takes deadlines.
type deadlines struct{ *httptest.ResponseRecorder }

func (d *deadlines) SetReadDeadline(time.Time) error  { return nil }
func (d *deadlines) SetWriteDeadline(time.Time) error { return nil }

// Who is confined gets what is on the list, and no command or door beside it.
func TestConfinedCallers(t *testing.T) {
	s := servePort(t, func(o *Options) { o.Stream = newFlow() })
	c := s.browser(t, nil)
	for _, r := range []struct {
		only                       []string
		metrics, say, stream, list int
	}{
		{[]string{"metrics"}, 200, 403, 403, 200},
		{[]string{"say"}, 403, 200, 403, 200},
		{[]string{"stream"}, 403, 403, 200, 200},
		{[]string{}, 403, 403, 403, 200},
	} {
		s.keeper.confined.Store("admin", r.only)
		for path, want := range map[string]int{"/metrics": r.metrics, "/v1/say": r.say, "/v1/stream": r.stream, "/v1/": r.list} {
			if got := s.status(t, c, "GET", path, "Authorization", "Bearer admin"); got != want {
				t.Errorf("only %q: %s: %d, want %d", r.only, path, got, want)
			}
		}
	}
}
