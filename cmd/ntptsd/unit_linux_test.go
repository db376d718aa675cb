package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

// underUnit UNIT PROGRAM ARGUMENT... becomes the program under the unit's SystemCallFilter=.
func underUnit() {
	if err := becomeUnderUnit(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func becomeUnderUnit(unit string, argv []string) error {
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	names, err := unitCalls(unit)
	if err != nil {
		return err
	}
	allowed := seccomp.SyscallGroup{Names: names, Action: seccomp.ActionAllow}
	err = seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: []seccomp.SyscallGroup{allowed}}})
	if err != nil {
		return err
	}
	return syscall.Exec(program, argv, os.Environ())
}

// unitCalls are those that the lines of the unit leave, read as systemd.exec(5) says: the first list allows, lists behind a ~
// take away, further ones add. What systemd itself allows for the start of the program is added.
func unitCalls(unit string) ([]string, error) {
	text, err := os.ReadFile(unit)
	if err != nil {
		return nil, err
	}
	allowed := map[string]bool{"execve": true}
	if err := members(allowed, "@default", true); err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		list, found := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter=")
		list, taken := strings.CutPrefix(list, "~")
		for _, name := range strings.Fields(list) {
			if !found {
				break
			}
			if err := members(allowed, name, !taken); err != nil {
				return nil, err
			}
		}
	}
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(allowed))
	return slices.DeleteFunc(names, func(name string) bool { _, has := machine.SyscallNames[name]; return !has || !allowed[name] }), nil
}

// members sets a call, or all that are in a set of systemd's.
func members(allowed map[string]bool, name string, to bool) error {
	if !strings.HasPrefix(name, "@") {
		allowed[name] = to
		return nil
	}
	out, err := exec.Command("systemd-analyze", "syscall-filter", name).Output()
	if err != nil {
		return fmt.Errorf("systemd-analyze syscall-filter %s: %w", name, err)
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line == "" || line == name || strings.HasPrefix(line, "#") {
			continue
		}
		if err := members(allowed, line, to); err != nil {
			return err
		}
	}
	return nil
}
