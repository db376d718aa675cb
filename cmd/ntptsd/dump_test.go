package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// nodump SOCKET checks that the daemon that serves there, whose user is not root, can be dumped by nobody: it has no room for a core
// file, and what its memory can be read by belongs to root, as the kernel has it for processes that are not dumpable.
func nodump(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := peer(ts.MkAbs(args[0]))
	ts.Check(err)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	ts.Check(err)
	_, after, _ := strings.Cut(string(limits), "Max core file size")
	if f := strings.Fields(after); len(f) < 2 || f[0] != "0" || f[1] != "0" {
		ts.Fatalf("the limit of core files is not 0:\n%s", limits)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid))
	ts.Check(err)
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || s.Uid != 0 {
		ts.Fatalf("its memory belongs to its user: it is dumpable")
	}
}
