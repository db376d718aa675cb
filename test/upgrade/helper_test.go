package upgrade

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"github.com/ntptsd/ntptsd/internal/sockets"
)

// A successor that comes to a bad end is this test binary once more.
const (
	helperStage  = "UPGRADE_TEST_STAGE"
	helperSocket = "UPGRADE_TEST_SOCKET"
)

// The moments at which it ends, by SIGKILL; or, with stay, waits to be killed.
const (
	connected = "connected" // and has said nothing
	received  = "received every socket"
	frozen    = "frozen"
	owner     = "told that all is its own" // and has not begun
	stay      = ", and stays"
)

// successor starts one that comes so far.
func (s *server) successor(stage string) *daemon {
	s.t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), helperStage+"="+stage, helperSocket+"="+s.socket())
	return s.launch(c)
}

// help is that process.
func help(stage, socket string) {
	reached := func(at string) {
		fmt.Println(at)
		switch stage {
		case at:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case at + stay:
			select {}
		}
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		panic(err)
	}
	reached(connected)
	conn.Close()
	t, err := sockets.TakeOver(context.Background(), socket)
	if err != nil {
		panic(err)
	}
	reached(received)
	if err := t.Freeze(); err != nil {
		panic(err)
	}
	reached(frozen)
	if err := t.Ready(); err != nil {
		panic(err)
	}
	reached(owner)
}
