package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// listen is a control socket and its listener.
func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// daemon answers HTTP on a socket, whose path it returns.
func daemon(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, path := listen(t)
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return path
}

// ctl runs ntptsctl with these words.
func ctl(t *testing.T, socket string, words ...string) (code int, stdout, stderr string) {
	t.Helper()
	return ctlFor(t.Context(), socket, words...)
}

func ctlFor(ctx context.Context, socket string, words ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, append([]string{"--socket", socket}, words...), &out, &errs)
	return code, out.String(), errs.String()
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func answerProblem(w http.ResponseWriter, status int, kind api.Kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: kind})
}

// Each command is asked for where it is, with what was typed.
func TestWhatIsAsked(t *testing.T) {
	var asked atomic.Value
	socket := daemon(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked.Store(strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL, body, r.Header.Get("Content-Type"))))
		answerJSON(w, map[string]any{"rings": []int{}, "targets": []int{}, "sources": []int{}, "clients": []int{}, "problems": []int{}})
	})
	for words, want := range map[string]string{
		"status":               "GET /v1/status?",
		"tracking":             "GET /v1/tracking?",
		"sources":              "GET /v1/sources?",
		"clients":              "GET /v1/clients?",
		"clients --limit 7":    "GET /v1/clients?limit=7",
		"clients --limit=-1":   "GET /v1/clients?limit=-1", // to judge that is the daemon's business
		"keys":                 "GET /v1/keys?",
		"keys --json":          "GET /v1/keys?",
		"keys rotate":          "POST /v1/actions/keys-rotate {} application/json",
		"keys rotate rack":     `POST /v1/actions/keys-rotate {"ring":"rack"} application/json`,
		"targets":              "GET /v1/targets?",
		`targets drain a"&b:1`: `POST /v1/actions/targets-drain {"target":"a\"\u0026b:1"} application/json`,
		"targets undrain a":    `POST /v1/actions/targets-undrain {"target":"a"} application/json`,
		"reload":               "POST /v1/actions/reload {} application/json",
	} {
		asked.Store("")
		code, _, stderr := ctl(t, socket, strings.Fields(words)...)
		if got := asked.Load(); code != 0 || stderr != "" || got != want {
			t.Errorf("%s: exit %d, %q; asked %s, want %s", words, code, stderr, got, want)
		}
	}
}

func TestShowsTextOrJSON(t *testing.T) {
	for status, problems := range [][]string{{}, {"no target is fit"}} {
		socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, api.Status{Version: "0.3.0\u009b", Rings: []api.Ring{}, Targets: []api.Target{}, Problems: problems})
		})
		code, stdout, stderr := ctl(t, socket, "status")
		if code != status || stderr != "" || !strings.HasPrefix(stdout, `ntptsd     0.3.0\u009b, started -`) {
			t.Errorf("exit %d, %q, %s", code, stderr, stdout)
		}
		for _, words := range []string{"status --json", "--json status"} {
			code, stdout, stderr := ctl(t, socket, strings.Fields(words)...)
			var s api.Status
			if err := json.Unmarshal([]byte(stdout), &s); err != nil || s.Version != "0.3.0\u009b" || len(s.Problems) != status {
				t.Errorf("%s: %v, %s", words, err, stdout)
			}
			if code != status || stderr != "" || !strings.HasPrefix(stdout, "{\n  \"version\": \"0.3.0\\u009b\",\n") || !strings.HasSuffix(stdout, "\n}\n") {
				t.Errorf("%s: exit %d, %q, %s", words, code, stderr, stdout)
			}
		}
	}
}

// What the daemon refuses is told in its words, with what to do, and ends with 1.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		words  string
		kind   api.Kind
		detail string
		want   string
	}{
		{"keys rotate", api.Conflict, "the clock is not synchronised: nothing rotates until it is", "the clock is not synchronised: nothing rotates until it is"},
		{"targets drain x", api.NotFound, `there is no target "x"; known are a, b`, `there is no target "x"; known are a, b`},
		{"sources", api.Unavailable, "chronyd does not answer", "chronyd does not answer"},
		{"status", api.Denied, "status needs the role monitor, and uid 7 has anonymous",
			"status needs the role monitor, and uid 7 has anonymous; run it as root, or join the group ntptsd and log in again"},
		{"reload", api.Denied, "reload needs the role operator, and uid 7 has monitor",
			"reload needs the role operator, and uid 7 has monitor; run it as root or as the user that ntptsd runs as"},
		{"reload", api.Conflict, "a.toml:3:1: unknown key\na.toml:4:1: \x1b[2Jtoo large", "a.toml:3:1: unknown key\n    a.toml:4:1: \\x1b[2Jtoo large"},
		{"reload", "something new", "", "Conflict"},
	} {
		socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) { answerProblem(w, 409, c.kind, c.detail) })
		code, stdout, stderr := ctl(t, socket, strings.Fields(c.words)...)
		if want := "ntptsctl: " + c.want + "\n"; code != exitFailed || stdout != "" || stderr != want {
			t.Errorf("%s: exit %d, %q, %q; want %d and %q", c.words, code, stdout, stderr, exitFailed, want)
		}
	}
}

func TestWrongUsageOfCommands(t *testing.T) {
	for words, want := range map[string]string{
		"status now":                             "status takes no argument, and 1 were given; see ntptsctl status --help",
		"targets drain":                          "targets drain takes TARGET, and 0 were given; see ntptsctl targets drain --help",
		"targets drain a b":                      "targets drain takes TARGET, and 2 were given",
		"keys rotate a b":                        "keys rotate takes [RING], and 2 were given",
		"keys rotat":                             "keys takes no argument",
		"clients --limit few":                    `invalid argument "few" for "--limit" flag: must be a whole number; see ntptsctl clients --help`,
		"clients --limit 1.5":                    "must be a whole number",
		"clients --limit 1e3":                    "must be a whole number",
		"history --seconds 99999999999999999999": `"--seconds" flag: is out of range`,
		"clients --limit":                        "flag needs an argument: --limit; see ntptsctl clients --help",
		"status --limit 3":                       "unknown flag: --limit; see ntptsctl status --help",
		"status --timeout 0s":                    "--timeout 0s: more than 0",
		"status --timeout never":                 `invalid argument "never"`,
		"nothing":                                `ntptsctl: unknown command "nothing" for "ntptsctl"; see ntptsctl --help` + "\n",
		"clents":                                 "; see ntptsctl --help\n",
		"--socket":                               "flag needs an argument: --socket",
		"reload --json=sometimes":                `invalid argument "sometimes" for "--json" flag: must be true or false, or left out`,
	} {
		code, stdout, stderr := ctl(t, "/nonexistent/s", strings.Fields(words)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) || strings.Contains(stderr, "strconv") {
			t.Errorf("%s: exit %d, %q, %q; want %d and %q", words, code, stdout, stderr, exitUsage, want)
		}
	}
	code, _, stderr := ctl(t, "/nonexistent/s", "keys", "rotate", "")
	if code != exitUsage || !strings.Contains(stderr, "keys rotate: RING is empty; leave it out") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// probe has --json and --timeout of its own, which those of all commands must not hide.
func TestFlagsOfProbeAreItsOwn(t *testing.T) {
	for _, words := range []string{"probe --timeout 0s host", "--timeout 0s probe host"} {
		if code, _, stderr := ctl(t, "/nonexistent/s", strings.Fields(words)...); code != exitUsage || !strings.Contains(stderr, "--timeout 0s: more than 0") {
			t.Errorf("%s: exit %d, %q", words, code, stderr)
		}
	}
	_, help, _ := ctl(t, "/nonexistent/s", "probe", "--help")
	if want := "(default 10s)"; !strings.Contains(help, want) || strings.Contains(help, "(default 30s)") {
		t.Errorf("%s does not say %s", help, want)
	}
}

func TestHelpListsEveryCommand(t *testing.T) {
	for _, c := range api.Commands() {
		d := c.Declaration()
		code, help, _ := ctl(t, "/nonexistent/s", append(strings.Fields(d.Name), "--help")...)
		if code != 0 || !strings.Contains(strings.ToLower(help), d.Summary) || !strings.Contains(help, "It needs the role "+d.Role.String()) {
			t.Errorf("%s: exit %d\n%s", d.Name, code, help)
		}
		for _, a := range d.Args {
			if !strings.Contains(help, a.Summary) {
				t.Errorf("%s: the help does not say %q", d.Name, a.Summary)
			}
		}
	}
}

// Who reads the help sees what changes something apart from what only shows.
func TestHelpIsGrouped(t *testing.T) {
	code, help, _ := ctl(t, "/nonexistent/s", "--help")
	for _, want := range []string{"What ntptsd shows:\n", "  status ", "What can be changed (see COMMAND --help):\n", "  sources ",
		"in the words of ntpq and chronyc:\n", "  mrulist ", "Tools:\n", "  tunnel "} {
		_, after, found := strings.Cut(help, want)
		if !found || code != 0 {
			t.Fatalf("exit %d, no %q in its place in\n%s", code, want, help)
		}
		help = after
	}
}

// A reader that went away is no success.
func TestBrokenOutput(t *testing.T) {
	socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, api.Sources{Sources: []api.Source{}}) })
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"--socket", socket, "sources"}, w, &errs); code != exitUsage || !strings.Contains(errs.String(), "broken pipe") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

func checkSafe(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') {
			t.Errorf("%s writes %q", what, r)
			return
		}
	}
}
