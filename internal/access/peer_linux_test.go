package access

import (
	"net"
	"os"
	"reflect"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/ntptsd/ntptsd/internal/api"
)

// as dials as somebody else: on Linux rights belong to the thread, and this one is thrown away.
func as(uid, gid int, groups ...uint32) func(string) (net.Conn, error) {
	return func(path string) (net.Conn, error) {
		var c net.Conn
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
			if err = become(uid, gid, groups); err == nil {
				c, err = dialUnix(path)
			}
		}()
		<-done
		return c, err
	}
}

func become(uid, gid int, groups []uint32) error {
	var first unsafe.Pointer
	if len(groups) > 0 {
		first = unsafe.Pointer(&groups[0])
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)), uintptr(first), 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
		return e
	}
	return nil
}

func TestRolesBySocketPeer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as somebody else")
	}
	const nobody, ours, monitors = 65534, 4242, 4711
	many := []uint32{monitors} // more than the first try has room for
	for g := range uint32(100) {
		many = append(many, 10000+g)
	}
	p := &SocketPeers{own: ours, monitors: []uint32{monitors}}
	for _, c := range []struct {
		who  string
		dial func(string) (net.Conn, error)
		want api.Caller
	}{
		{"root", dialUnix, api.Caller{Role: api.Admin, Name: "uid 0", Root: true}},
		{"whom we run as", as(ours, nobody), api.Caller{Role: api.Admin, Name: "uid 4242"}},
		{"anybody", as(nobody, nobody), api.Caller{Role: api.Anonymous, Name: "uid 65534"}},
		{"in other groups", as(nobody, nobody, 0, 1, ours), api.Caller{Role: api.Anonymous, Name: "uid 65534"}},
		{"in the group", as(nobody, nobody, 1, monitors), api.Caller{Role: api.Monitor, Name: "uid 65534"}},
		{"by the first group", as(nobody, monitors), api.Caller{Role: api.Monitor, Name: "uid 65534"}},
		{"in many groups", as(nobody, nobody, many...), api.Caller{Role: api.Monitor, Name: "uid 65534"}},
		{"in our group and ourselves", as(ours, nobody, monitors), api.Caller{Role: api.Admin, Name: "uid 4242"}},
	} {
		if got := p.Role(accepted(t, c.dial)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.who, got, c.want)
		}
	}
	nobodys := &SocketPeers{own: ours}
	if got := nobodys.Role(accepted(t, as(nobody, nobody, 0))); got.Role != api.Anonymous {
		t.Errorf("without a group of monitors: %+v", got)
	}
}

// Who connected counts, not who holds the connection now, nor whom he became since.
func TestTheKernelNotesWhoConnected(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as somebody else")
	}
	c := accepted(t, func(path string) (net.Conn, error) {
		var c net.Conn
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			if c, err = dialUnix(path); err == nil {
				err = become(65534, 65534, nil)
			}
		}()
		<-done
		return c, err
	})
	if got := NewSocketPeers("").Role(c); got.Role != api.Admin {
		t.Errorf("%+v", got)
	}
}
