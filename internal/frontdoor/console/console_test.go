package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/api"
)

// world is everything behind a console.
type world struct {
	feed    feed
	revoked atomic.Bool
	asked   []string
	long    string // what activity says
	console *Console
}

// feed is a stream by hand.
type feed chan api.Item

func (f feed) Next(ctx context.Context, _ uint64) ([]api.Item, error) {
	select {
	case i := <-f:
		return []api.Item{i}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (f feed) happens(text string) {
	b, _ := json.Marshal(api.Event{Kind: api.EventKey, Severity: api.Info, Text: text})
	f <- api.Item{Kind: api.ItemEvent, JSON: b}
}

var (
	alice    = api.Caller{Role: api.Operator, Name: "alice"}
	stranger = api.Caller{Name: "a stranger"}
)

const token = "ntptsd_good"

func (w *world) Token(_ netip.Addr, t string) (api.Caller, error) {
	if t != token {
		return api.Caller{}, api.Failf(api.Unknown, "this token does not count")
	}
	return alice, nil
}

func (w *world) Still(api.Caller) bool { return !w.revoked.Load() }

func (w *world) Say(_ context.Context, word string, args []string) (api.Native, error) {
	if word != "activity" { // which is asked by many at once
		w.asked = append(w.asked, fmt.Sprint(word, args))
	}
	switch word {
	case "clients":
		return api.Native{}, api.Failf(api.Conflict, "clients is a word of chronyd")
	case "rv":
		return api.Native{}, api.Failf(api.NotFound, "no such association [mode6 error 4]")
	case "activity":
		return api.Native{Daemon: "chrony", Text: w.long}, nil
	case "sysinfo":
		return api.Native{}, api.Failf(api.Unavailable, "ntpd does not answer\r\n250 forged")
	}
	return api.Native{Daemon: "ntpd", Text: "." + word + " says\x1b[2J\n.\nlast"}, nil
}

func (w *world) table(t testing.TB) *api.Table {
	declared := []api.Declared{api.GetTracking, api.GetClients, api.GetKeys, api.RotateKeys, api.GetPeers, api.GetVariables, api.GetSysinfo, api.GetEvents, api.GetActivity}
	native := func(context.Context, api.Caller, api.None) (api.Native, error) {
		return api.Native{}, errors.New("unused")
	}
	table, err := api.NewTable(declared,
		api.Bind(api.GetTracking, func(context.Context, api.Caller, api.None) (api.Tracking, error) {
			return api.Tracking{Source: "chrony\u202e"}, nil
		}),
		api.Bind(api.GetClients, func(_ context.Context, _ api.Caller, a api.ClientsArg) (api.Clients, error) {
			return api.Clients{Known: a.Limit, Next: a.After}, nil
		}),
		api.Bind(api.GetKeys, func(context.Context, api.Caller, api.None) (api.Keys, error) {
			return api.Keys{}, errors.New("a secret path")
		}),
		api.BindChange(api.RotateKeys, func(_ context.Context, _ api.Caller, a api.RingArg) (api.Change[api.Keys], error) {
			return api.Change[api.Keys]{Plan: api.Plan{Summary: "rotate " + a.Ring}}, nil
		}),
		api.Bind(api.GetPeers, native), api.Bind(api.GetSysinfo, native), api.Bind(api.GetActivity, native),
		api.Bind(api.GetVariables, func(context.Context, api.Caller, api.AssociationArg) (api.Native, error) { return api.Native{}, nil }),
		api.Bind(api.GetEvents, func(context.Context, api.Caller, api.EventsArg) (api.Events, error) { return api.Events{}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// desk does the commands of a table.
type desk struct{ *api.Table }

func (d desk) Call(ctx context.Context, who api.Caller, name string, args []byte, how api.How) (any, error) {
	if c, _ := d.Find(name); !c.Changes {
		return d.Table.Call(ctx, who, name, args)
	}
	p, err := d.Plan(ctx, who, name, args)
	if err != nil {
		return nil, err
	}
	by := time.Unix(int64(how.ConfirmWithin.Seconds()), 0).UTC()
	return d.Outcome(name, api.Outcome[any]{Plan: p.Plan, DryRun: how.DryRun, ConfirmBy: &by}), nil
}

// open starts a console and gives the other end.
func (w *world) open(t testing.TB, who api.Caller) (peer net.Conn, ended <-chan struct{}) {
	if w.console == nil {
		w.console = &Console{Commands: desk{w.table(t)}, Words: w, Logins: w, Stream: w.feed,
			View: func(command string, answer []byte, _ time.Time) (string, error) {
				return command + " " + string(answer), nil
			}}
	}
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer here.Close()
		w.console.Serve(t.Context(), here, who)
	}()
	t.Cleanup(func() { there.Close(); <-done })
	return there, done
}

// transcript is all that comes back for what is sent.
func (w *world) transcript(t testing.TB, who api.Caller, send string) string {
	t.Helper()
	peer, _ := w.open(t, who)
	go func() { // the server reads nothing while it says something, and the other way round
		_, _ = io.WriteString(peer, send)
	}()
	b, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

const hello = "220 ntptsd 1 ready: you are operator \"alice\"; help lists the commands, quit ends\n"

func TestTranscripts(t *testing.T) {
	for name, c := range map[string]struct{ send, want string }{
		"native, dots and escapes":   {"peers\nquit\n", "200-peers\n..peers says?[2J\n..\nlast\n.\n421 bye\n"},
		"CR LF, case and show":       {"SHOW Peers\r\nQUIT\r\n", "200-peers\n..peers says?[2J\n..\nlast\n.\n421 bye\n"},
		"telnet's options":           {"\xff\xfb\x01peers\nquit\n", "200-peers\n..peers says?[2J\n..\nlast\n.\n421 bye\n"},
		"alias":                      {"readvar &1 offset\nquit\n", "503 no such association [mode6 error 4]\n421 bye\n"},
		"an answer cannot be forged": {"sysinfo\nquit\n", "430 ntpd does not answer??250 forged\n421 bye\n"},
		"json of the neutral model":  {"json clients limit=7 --after=x\nquit\n", `{"code":200,"result":{"known":7,"more":false,"next":"x","clients":[]}}` + "\n421 bye\n"},
		"json of a word":             {"json rv 7\nquit\n", `{"code":503,"error":{"type":"about:blank","title":"not-found","status":503,"detail":"no such association [mode6 error 4]","code":"not-found"}}` + "\n421 bye\n"},
		"native where there is one":  {"tracking\nquit\n", "200-tracking\n..tracking says?[2J\n..\nlast\n.\n421 bye\n"},
		"neutral where not":          {"clients 3\nquit\n", "200-clients\nclients {\"known\":3,\"more\":false,\"next\":\"\",\"clients\":[]}\n.\n421 bye\n"},
		"our own fault":              {"keys\nquit\n", "500 something went wrong inside ntptsd; its log tells what\n421 bye\n"},
		"two words":                  {"keys rotate default\nquit\n", "200-keys rotate\nkeys rotate {\"summary\":\"rotate default\",\"before\":\"\",\"after\":\"\",\"diff\":\"\",\"dry_run\":false,\"replayed\":false,\"change\":0,\"confirm_by\":\"1970-01-01T00:00:00Z\",\"audit\":{\"seq\":0,\"hash\":\"\",\"signature\":\"\"},\"result\":null}\n.\n421 bye\n"},
		"a dry run":                  {"dry-run keys rotate default\nquit\n", "200-keys rotate\nkeys rotate {\"summary\":\"rotate default\",\"before\":\"\",\"after\":\"\",\"diff\":\"\",\"dry_run\":true,\"replayed\":false,\"change\":0,\"confirm_by\":\"1970-01-01T00:00:00Z\",\"audit\":{\"seq\":0,\"hash\":\"\",\"signature\":\"\"},\"result\":null}\n.\n421 bye\n"},
		"to be confirmed":            {"show confirm-within 5m once abc keys rotate default\nquit\n", "200-keys rotate\nkeys rotate {\"summary\":\"rotate default\",\"before\":\"\",\"after\":\"\",\"diff\":\"\",\"dry_run\":false,\"replayed\":false,\"change\":0,\"confirm_by\":\"1970-01-01T00:05:00Z\",\"audit\":{\"seq\":0,\"hash\":\"\",\"signature\":\"\"},\"result\":null}\n.\n421 bye\n"},
		"prefixes of what reads":     {"dry-run peers\nonce x tracking\nquit\n", "504 peers changes nothing: dry-run, confirm-within and once are for what does\n504 tracking changes nothing: dry-run, confirm-within and once are for what does\n421 bye\n"},
		"prefixes without a command": {"dry-run\nconfirm-within\nconfirm-within soon reload\nonce x\nquit\n", "504 a command is missing behind this\n504 confirm-within takes a time, as 5m, and then the command\n504 confirm-within takes a time, as 5m, and then the command\n504 a command is missing behind this\n421 bye\n"},
		"unknown":                    {"rm -rf\nquit\n", "502 unknown command \"rm\"; help lists the commands\n421 bye\n"},
		"too much":                   {"keys rotate a b\nquit\n", "504 keys rotate takes [ring=]RING; \"b\" is not among that\n421 bye\n"},
		"not a number":               {"clients ten\nquit\n", "504 limit \"ten\": must be a whole number\n421 bye\n"},
		"quotes":                     {"keys rotate \"a b\" \"\nquit\n", "504 a quoted word ends with the same \"\n421 bye\n"},
		"control character":          {"pe\x00ers\n", "500 a line is UTF-8 text without control characters\n"},
		"long line":                  {strings.Repeat("x", maxLine+1), "500 a line has at most 1024 octets\n"},
		"bad token":                  {"login ntptsd_bad\npeers\n", "530 this token does not count\n"},
		"help for nothing":           {"help nope\nquit\n", "502 unknown command \"nope\"; help lists the commands\n421 bye\n"},
		"follow, and more":           {"events --follow 3\nquit\n", "504 events --follow takes nothing more; json events --follow answers in JSON\n421 bye\n"},
		"empty lines":                {"\n\r\n  \nquit\n", "421 bye\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := new(world).transcript(t, alice, c.send); got != hello+c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, hello+c.want)
			}
		})
	}
}

// Whatever is answered is counted by its code, what is refused too.
func TestAnswersAreCounted(t *testing.T) {
	w := &world{}
	c := &Console{Commands: desk{w.table(t)}, Words: w, Logins: w, View: func(string, []byte, time.Time) (string, error) { return "", nil }}
	here, there := net.Pipe()
	go func() { c.Serve(t.Context(), here, alice); here.Close() }()
	go func() { _, _ = io.WriteString(there, "peers\njson rv\nrm\n\x00\n") }()
	if _, err := io.ReadAll(there); err != nil {
		t.Fatal(err)
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(`# HELP ntptsd_monitoring_console_answers_total Answers of the console by code: 200 done, 4xx try later, 500 a line that cannot be read, 501 not for this role, 530 log in first.
# TYPE ntptsd_monitoring_console_answers_total counter
ntptsd_monitoring_console_answers_total{code="200"} 1
ntptsd_monitoring_console_answers_total{code="220"} 1
ntptsd_monitoring_console_answers_total{code="421"} 0
ntptsd_monitoring_console_answers_total{code="430"} 0
ntptsd_monitoring_console_answers_total{code="450"} 0
ntptsd_monitoring_console_answers_total{code="500"} 1
ntptsd_monitoring_console_answers_total{code="501"} 0
ntptsd_monitoring_console_answers_total{code="502"} 1
ntptsd_monitoring_console_answers_total{code="503"} 1
ntptsd_monitoring_console_answers_total{code="504"} 0
ntptsd_monitoring_console_answers_total{code="505"} 0
ntptsd_monitoring_console_answers_total{code="530"} 0
`)); err != nil {
		t.Error(err)
	}
}

// A stranger learns how to log in, and nothing else, and little of that.
func TestStranger(t *testing.T) {
	w := &world{}
	got := w.transcript(t, stranger, strings.Repeat("peers\njson tracking\nhelp\nrm\n", 100))
	if n := strings.Count(got, "\n"); n != 1+maxStranger || len(got) > 1024 {
		t.Errorf("%d lines, %d octets:\n%s", n, len(got), got)
	}
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "530 ") && !strings.HasPrefix(line, "220 ") && !strings.HasPrefix(line, "200 login") {
			t.Errorf("a stranger is told %q", line)
		}
	}
	if len(w.asked) > 0 {
		t.Errorf("a stranger made us ask %v", w.asked)
	}
	got = w.transcript(t, stranger, "login "+token+"\npeers\nquit\n")
	if !strings.Contains(got, "200 you are operator \"alice\"") || !strings.Contains(got, "200-peers") {
		t.Errorf("after log-in:\n%s", got)
	}
}

// A request of a web page that comes too late to be known for HTTP is no line of ours, and nothing behind it either.
func TestLateRequestsAreNoLines(t *testing.T) {
	const end = "500 this is a console, and too late for HTTP\n"
	for name, c := range map[string]struct{ send, want string }{
		"form":            {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\npeers\nkeys rotate default\n", end},
		"quotes":          {"GET /\"\"peers HTTP/1.1\r\n\r\npeers\n", end},
		"HTTP/1.0":        {"HEAD / HTTP/1.0\r\npeers\n", end},
		"HTTP/2":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\npeers\n", end},
		"lower case":      {"post / http/1.1\r\npeers\n", end},
		"another method":  {"PEERS / HTTP/1.1\r\npeers\n", end},
		"on other lines":  {"peers\nGET / HTTP/1.1\npeers\n", "200-peers\n..peers says?[2J\n..\nlast\n.\n" + end},
		"ends following":  {"events --follow\nGET / HTTP/1.1\npeers\n", "200-events: an empty line ends\n.\n" + end},
		"a long target":   {"GET /" + strings.Repeat("x", maxLine) + " HTTP/1.1\r\npeers\n", "500 a line has at most 1024 octets\n"},
		"words like that": {"rv 0 http\nquit\n", "503 no such association [mode6 error 4]\n421 bye\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{feed: make(feed)}
			if got := w.transcript(t, alice, c.send+"\nquit\n"); got != hello+c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, hello+c.want)
			}
		})
	}
}

// told is a connection that is told of log-ins.
type told struct {
	net.Conn
	times atomic.Int32
}

func (c *told) LoggedIn() { c.times.Add(1) }

// Whoever keeps the connections hears of a log-in that counts, and of no other.
func TestLogInsAreTold(t *testing.T) {
	for send, want := range map[string]int32{"login " + token + "\nquit\n": 1, "login ntptsd_bad\n": 0, "help\nquit\n": 0} {
		w := new(world)
		c := &Console{Commands: desk{w.table(t)}, Words: w, Logins: w}
		here, there := net.Pipe()
		conn := &told{Conn: here}
		done := make(chan struct{})
		go func() { defer close(done); defer here.Close(); c.Serve(t.Context(), conn, stranger) }()
		go func() { _, _ = io.WriteString(there, send) }()
		_, _ = io.Copy(io.Discard, there)
		<-done
		if got := conn.times.Load(); got != want {
			t.Errorf("%q: told %d times, want %d", send, got, want)
		}
	}
}

func TestRoles(t *testing.T) {
	monitor := api.Caller{Role: api.Monitor, Name: "m"}
	scraper := api.Caller{Role: api.Monitor, Name: "s", Only: []string{api.DoorMetrics}}
	for _, c := range []struct {
		who  api.Caller
		send string
		want string
	}{
		{monitor, "keys rotate", "501 keys rotate needs the role operator"},
		{monitor, "json keys rotate", `{"code":501,"error"`},
		{scraper, "peers", "501 s may use nothing but: metrics"},
		{scraper, "tracking", "501 s may"},
		{scraper, "events --follow", "501 s may"},
	} {
		w := &world{}
		if got := w.transcript(t, c.who, c.send+"\nquit\n"); !strings.Contains(got, "\n"+c.want) {
			t.Errorf("%s of %s:\n%s", c.send, c.who.Name, got)
		}
		if len(w.asked) > 0 {
			t.Errorf("%s: asked %v", c.send, w.asked)
		}
	}
}

func TestWhoIsRevokedIsSentAway(t *testing.T) {
	w := &world{}
	w.revoked.Store(true)
	got := w.transcript(t, alice, "peers\npeers\n")
	if want := hello + "530 what you logged in with does not count any more\n"; got != want {
		t.Errorf("got:\n%s", got)
	}
}

// A stranger's time is for a log-in, not for each line.
func TestStrangersHaveOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		peer, ended := new(world).open(t, stranger)
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		for range maxStranger - 1 {
			_, _ = io.WriteString(peer, "\n")
			time.Sleep(strangerTimeout / 5)
		}
		<-ended
		if took := time.Since(began); took > strangerTimeout*7/5 { // as long as we talked
			t.Errorf("ended after %v", took)
		}
		if _, err := io.WriteString(peer, "\n"); err == nil {
			t.Error("the connection is open")
		}
	})
}

func TestPatience(t *testing.T) {
	for _, c := range []struct {
		who  api.Caller
		want time.Duration
	}{{stranger, strangerTimeout}, {alice, idleTimeout}} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			peer, ended := new(world).open(t, c.who)
			b, _ := io.ReadAll(peer)
			<-ended
			if took := time.Since(start); took != c.want || !strings.Contains(string(b), "421 too long without a line") {
				t.Errorf("%s: after %v: %s", c.who.Name, took, b)
			}
		})
	}
}

// Who sends and never reads is cut, and costs no more than a buffer until then.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		peer, ended := new(world).open(t, alice)
		go func() {
			for {
				if _, err := io.WriteString(peer, "peers\n"); err != nil {
					return
				}
			}
		}()
		<-ended
		if took := time.Since(start); took > writeTimeout+byeTimeout {
			t.Errorf("cut after %v", took)
		}
	})
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{feed: make(feed)}
		peer, ended := w.open(t, alice)
		r := bufio.NewReader(peer)
		expect := func(want string) {
			t.Helper()
			line, err := r.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); err != nil || !strings.Contains(line, want) {
				t.Fatalf("%q, %v; want %q", line, err, want)
			}
		}
		say := func(line string) {
			go func() { _, _ = io.WriteString(peer, line+"\n") }()
		}
		expect("220 ")
		say("events --follow")
		expect("200-events")
		w.feed <- api.Item{Kind: api.ItemSample, JSON: []byte("{}")} // which is not for the console
		w.feed.happens("first\r\n.\r\n500 forged")
		expect("key         first??.??500 forged")
		time.Sleep(time.Hour) // nothing happens, and nobody is sent away for it
		w.feed.happens("second")
		expect("second")
		say("")
		expect(".")
		say("json events --follow")
		w.feed.happens("third")
		expect(`"text":"third"`)
		w.revoked.Store(true)
		time.Sleep(2 * stillEvery)
		<-ended
	})
}

func BenchmarkPipelined(b *testing.B) {
	w := &world{}
	here, there := net.Pipe()
	c := &Console{Commands: desk{w.table(b)}, Words: w, Logins: w,
		View: func(command string, answer []byte, _ time.Time) (string, error) { return command, nil }}
	go func() {
		c.Serve(b.Context(), here, alice)
		here.Close()
	}()
	go func() {
		out := bufio.NewWriter(there)
		for range b.N {
			_, _ = out.WriteString("json clients limit=7\n")
		}
		_, _ = out.WriteString("quit\n")
		_ = out.Flush()
	}()
	if _, err := io.Copy(io.Discard, there); err != nil {
		b.Fatal(err)
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{"peers", `a "b c" d`, "\xff\xfb\x01x", "json rv 0 offset\r", "\x00", strings.Repeat("a ", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		line, err := newLines(strings.NewReader(string(b))).next()
		if err != nil {
			return
		}
		words, err := split(line)
		if err != nil {
			return
		}
		if len(words) > maxWords {
			t.Errorf("%d words", len(words))
		}
		for _, w := range words { // what was split has nothing that could end a line or act on a terminal
			if strings.ContainsAny(w, "\r\n\x00\x1b\"") && !strings.Contains(line, w) {
				t.Errorf("%q of %q", w, line)
			}
		}
		again, err := split(`"` + strings.Join(words, `" "`) + `"`)
		if len(words) > 0 && !strings.Contains(line, `"`) && (err != nil || fmt.Sprint(again) != fmt.Sprint(words)) {
			t.Errorf("%q are %q when quoted (%v)", words, again, err)
		}
	})
}

// JSON is read at terminals, too, and an encoder escapes no more than what is below a blank.
func TestJSONActsOnNoTerminal(t *testing.T) {
	w := &world{feed: make(feed)}
	for _, text := range []string{"\u009b2J", "\u007f", "\u202eevil", "\U000e0041", "fine \u00e9"} {
		var out bytes.Buffer
		o := &writer{b: bufio.NewWriter(&out), told: &counters{}}
		if err := o.object(codeOK, text, nil); err != nil || o.b.Flush() != nil {
			t.Fatal(err)
		}
		var back struct{ Result string }
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Result != text || strings.ContainsFunc(strings.TrimSpace(out.String()), acts) {
			t.Errorf("%q: %q, %v", text, out.String(), err)
		}
	}
	if got := w.transcript(t, alice, "json tracking\nquit\n"); strings.Contains(got, "\u202e") || !strings.Contains(got, `chrony\u202e`) {
		t.Errorf("%q", got)
	}
	peer, _ := w.open(t, alice)
	in := bufio.NewReader(peer)
	_, _ = in.ReadString('\n')
	go func() {
		_, _ = io.WriteString(peer, "json events --follow\n")
		w.feed.happens("key \u009b2J")
	}()
	if got, err := in.ReadString('\n'); err != nil || !strings.Contains(got, `key \u009b2J`) {
		t.Errorf("%q, %v", got, err)
	}
}
