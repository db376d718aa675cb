package sandbox

import (
	"fmt"
	"os"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
)

func (system) filters() bool { return seccomp.Supported() }

// filterCalls confines every thread, and those to come.
func (system) filterCalls(r Rules) error {
	p, err := policy(os.Getpid(), r)
	if err != nil {
		return err
	}
	return p.enter()
}

// policy is the filter: what is not in it is refused, calls of another processor's numbers among it.
func policy(pid int, r Rules) (program, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	var p program
	p.load(processorAt)
	p.only(uint32(machine.ID))
	p.load(numberAt)
	for _, name := range always(r) {
		if number, ok := machine.SyscallNames[name]; ok {
			p.one(uint32(number), admit)
		}
	}
	for _, name := range absent() {
		if number, ok := machine.SyscallNames[name]; ok {
			p.one(uint32(number), unknown)
		}
	}
	for _, c := range conditionals(pid) {
		if number, ok := machine.SyscallNames[c.name]; ok {
			if err := p.some(uint32(number), c); err != nil {
				return nil, err
			}
		}
	}
	p.end(refuse)
	return p, nil
}
