package frontdoor

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// dialer is a unix listener and a way to connect to it.
func dialer(t *testing.T) (net.Listener, func() net.Conn) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, func() net.Conn {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// With all slots taken, Accept waits for one to come back, and for the end.
func TestConnectionsAreBounded(t *testing.T) {
	inner, dial := dialer(t)
	b := newBounded(inner, always(api.Admin), 1, 1)
	dial()
	dial()
	first, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() { _, err := b.Accept(); second <- err }()
	if len(b.slots) != 1 {
		t.Fatalf("%d slots taken, want 1", len(b.slots))
	}
	first.Close()
	first.Close() // gives back one slot, not two
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	go func() { _, err := b.Accept(); second <- err }()
	b.Close()
	if err := <-second; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v", err)
	}
}

// Whatever the others hold open, an admin gets in; what is too much of theirs is told so.
func TestOthersCannotLockAnAdminOut(t *testing.T) {
	inner, dial := dialer(t)
	var roles []api.Role // of the next ones
	b := newBounded(inner, func(net.Conn) api.Caller {
		next := api.Caller{Role: roles[0]}
		roles = roles[1:]
		return next
	}, 4, 2)
	accept := func(in api.Role, out ...api.Role) net.Conn {
		t.Helper()
		roles = append(out, in)
		c, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*slotted).caller.Role; got != in || len(roles) != 0 {
			t.Errorf("%v was let in, %v was not looked at; want %v", got, roles, in)
		}
		return c
	}
	full := func() {
		t.Helper()
		if len(b.slots) != 4 || len(b.others) != 2 {
			t.Errorf("%d slots are taken, %d by others; want 4 and 2", len(b.slots), len(b.others))
		}
	}
	dial()
	dial()
	held := accept(api.Anonymous)
	accept(api.Operator)
	for _, role := range []api.Role{api.Anonymous, api.Operator} {
		excess := dial()
		dial()
		accept(api.Admin, role)
		response, err := http.ReadResponse(bufio.NewReader(excess), nil)
		if err != nil || response.StatusCode != http.StatusServiceUnavailable || !response.Close || response.Header.Get("Content-Type") != problemMedia {
			t.Fatalf("the excess gets %+v, %v", response, err)
		}
		var p api.Problem
		if b, err := io.ReadAll(response.Body); err != nil || json.Unmarshal(b, &p) != nil || p.Code != api.Unavailable {
			t.Errorf("the excess gets %s, %v", b, err)
		}
		if n, err := excess.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%d octets follow, %v", n, err)
		}
	}
	full()
	held.Close()
	dial()
	accept(api.Monitor)
	full()
}
