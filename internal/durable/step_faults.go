//go:build faults

package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Step is a place at which a crash could hurt: something is about to be done to a file. With NTPTSD_FAULT="rename keys 2" in its
// environment the program kills itself before it renames a file of that name for the second time; with NTPTSD_STEPS=FILE it
// writes the steps that it comes by into a file, so that a test finds them all. Never in a program that is released.
func Step(what, path string) {
	name := what + " " + strings.TrimSuffix(filepath.Base(path), suffix)
	if list := os.Getenv("NTPTSD_STEPS"); list != "" {
		if f, err := os.OpenFile(list, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(f, name)
			_ = f.Close()
		}
	}
	at := os.Getenv("NTPTSD_FAULT")
	i := strings.LastIndexByte(at, ' ')
	if i < 0 || at[:i] != name {
		return
	}
	seen.Lock()
	defer seen.Unlock()
	if seen.times++; strconv.Itoa(seen.times) == at[i+1:] {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it has been sent; nothing more happens here
	}
}

// seen counts how often the step of NTPTSD_FAULT was come by.
var seen struct {
	sync.Mutex
	times int
}

// stepper tells of what is done to a file.
type stepper struct{ *os.File }

func stepping(f *os.File) file { return stepper{f} }

func (s stepper) Write(b []byte) (int, error) { return Write(s.File, b) }

// Write is f.Write in two halves, with a step before each.
func Write(f *os.File, b []byte) (int, error) {
	Step("write", f.Name())
	n, err := f.Write(b[:len(b)/2])
	if err != nil {
		return n, err
	}
	Step("write-half", f.Name())
	rest, err := f.Write(b[len(b)/2:])
	return n + rest, err
}

func (s stepper) Sync() error {
	Step("sync", s.Name())
	return s.File.Sync()
}

func (s stepper) Close() error {
	Step("close", s.Name())
	return s.File.Close()
}
