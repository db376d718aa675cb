package frontdoor

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

const takeOverPath, takeOverProtocol = "/v1/take-over", "ntptsd-take-over/1"

// offering runs a control socket that hands over, and returns how to ask for it.
func offering(t *testing.T, role api.Role, o TakeOver) (request func(method, protocol, more string) (net.Conn, *http.Response)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := New(l, answers(), nothing(t), always(role), quiet())
	o.Path, o.Protocol = takeOverPath, takeOverProtocol
	s.OfferTakeOver(o)
	start(t, s)
	return func(method, protocol, more string) (net.Conn, *http.Response) {
		t.Helper()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, method+" "+takeOverPath+" HTTP/1.1\r\nHost: ntptsd\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"+more)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return conn, nil
		}
		return conn, answer
	}
}

func nothing(t *testing.T) *api.Table {
	t.Helper()
	table, err := api.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTakeOverIsForAdmins(t *testing.T) {
	given := func(context.Context, *net.UnixConn) { t.Error("given") }
	for _, role := range []api.Role{api.Anonymous, api.Monitor, api.Operator} {
		request := offering(t, role, TakeOver{Refuses: func() string { return "" }, Give: given})
		if _, answer := request("POST", takeOverProtocol, ""); answer.StatusCode != http.StatusForbidden {
			t.Errorf("%v is answered %s", role, answer.Status)
		}
	}
}

func TestTakeOverIsRefusedInWords(t *testing.T) {
	given := func(context.Context, *net.UnixConn) { t.Error("given") }
	request := offering(t, api.Admin, TakeOver{Refuses: func() string { return "use systemctl restart" }, Give: given})
	for _, c := range []struct {
		method, protocol, more string
		want                   int
		says                   string
	}{
		{"GET", takeOverProtocol, "", http.StatusMethodNotAllowed, "POST"},
		{"POST", "ntptsd-take-over/2", "", http.StatusUpgradeRequired, takeOverProtocol},
		{"POST", "", "", http.StatusUpgradeRequired, "without --take-over"},
		{"POST", takeOverProtocol, "", http.StatusConflict, "use systemctl restart"},
	} {
		_, answer := request(c.method, c.protocol, c.more)
		if answer == nil {
			t.Fatalf("%s %s: no answer", c.method, c.protocol)
		}
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != c.want || !strings.Contains(string(text), c.says) {
			t.Errorf("%s %s: %s, %s", c.method, c.protocol, answer.Status, text)
		}
	}
}

// Who speaks before he is answered could hide a line among what HTTP has read.
func TestTakeOverWaitsForTheAnswer(t *testing.T) {
	given := func(context.Context, *net.UnixConn) { t.Error("given") }
	request := offering(t, api.Admin, TakeOver{Refuses: func() string { return "" }, Give: given})
	if _, answer := request("POST", takeOverProtocol, "next\n"); answer != nil && answer.StatusCode == http.StatusSwitchingProtocols {
		t.Error("let in")
	}
}

// One at a time, with the connection as it was, and without a deadline of HTTP's. The end of the server ends it.
func TestTakeOverHasTheConnection(t *testing.T) {
	begun := make(chan struct{})
	request := offering(t, api.Admin, TakeOver{Refuses: func() string { return "" }, Give: func(ctx context.Context, conn *net.UnixConn) {
		_, _ = io.WriteString(conn, "hello")
		close(begun)
		<-ctx.Done()
	}})
	conn, answer := request("POST", takeOverProtocol, "")
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Upgrade") != takeOverProtocol {
		t.Fatalf("%s, %v", answer.Status, answer.Header)
	}
	<-begun
	if _, second := request("POST", takeOverProtocol, ""); second.StatusCode != http.StatusConflict {
		t.Errorf("a second one is answered %s", second.Status)
	}
	_ = conn
}
