// Package sandbox gives up for good what the daemon does not need once its sockets are open: other files and folders, TCP
// ports and signals (Landlock, Linux 5.13 and later) and system calls (seccomp). Which folders are needed is left to who
// enters; users and capabilities to cmd/ntptsd. Other systems than Linux have no sandbox.
package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
)

// Mode says what becomes of a start on a system that cannot confine us.
type Mode string

const (
	BestEffort Mode = "best-effort" // goes on, and tells
	Require    Mode = "require"     // ends
	Off        Mode = "off"
)

// Access is what may be done in a place.
type Access int

const (
	Read    Access = iota // files and lists of files
	Sockets               // make and remove socket files, list
	Write                 // read, make, change and remove files and folders, and socket files
)

func (a Access) includes(b Access) bool { return a == b || a == Write }

func (a Access) String() string { return [...]string{"read", "make sockets", "write"}[a] }

// Place is a folder, with all below it, that stays open. What a file is replaced by is another file to the kernel, so that files
// have to be named by their folders; FileIn does.
type Place struct {
	Key    string // of the configuration, for refusals; empty: the system's
	Path   string
	Access Access
}

// Rules are all that stays open.
type Rules struct {
	Places []Place
	Listen []uint16 // TCP ports that may be bound and listened on later
	// Abstract leaves abstract unix sockets open, such as that of an old service manager.
	Abstract bool
}

// Reached is what was given up.
type Reached struct {
	ABI   int  // of the kernel's Landlock, by which ports are confined from 4 on and signals from 6 on; 0: none
	Files bool // and TCP ports, signals
	Calls bool
}

// portsABI is the first Landlock with rules for TCP.
const portsABI = 4

// kernel is what entering needs of the operating system; tests have others.
type kernel interface {
	abi() int                      // of Landlock; 0: none
	confine(rules Rules) error     // files, ports, signals
	filterCalls(rules Rules) error // system calls
	openable(path string) bool     // for a rule
	filters() bool                 // whether there are filters of system calls
}

// Sandbox is what was entered. It is a prometheus.Collector.
type Sandbox struct {
	mode    Mode
	reached Reached
	entered Rules // as they were asked for
	inside  Rules // what became of them
}

// Enter confines this process and all its threads, for good. What is not there, or cannot be reached, is out of the sandbox
// until the next start; that is told, as is what the kernel cannot do.
func Enter(mode Mode, rules Rules, log *slog.Logger) (*Sandbox, error) {
	return enter(system{}, mode, rules, log)
}

func enter(k kernel, mode Mode, rules Rules, log *slog.Logger) (*Sandbox, error) {
	s := &Sandbox{mode: mode, entered: rules}
	if mode == Off {
		log.Info("no sandbox: switched off")
		return s, nil
	}
	var missing []string
	s.inside, missing = existing(k, rules)
	for _, m := range missing {
		log.Warn("not there, and out of the sandbox until the next start", "path", m)
	}
	var failures []error
	s.reached.ABI = k.abi()
	if err := k.confine(s.inside); err != nil {
		failures = append(failures, fmt.Errorf("files and ports: %w", err))
	} else {
		s.reached.Files = true
	}
	if s.reached.Files && s.reached.ABI < portsABI {
		failures = append(failures, shortOf(s.reached.ABI))
	}
	if err := k.filterCalls(s.inside); err != nil { // last: it refuses what the steps above are made of
		failures = append(failures, fmt.Errorf("system calls: %w", err))
	} else {
		s.reached.Calls = true
	}
	why := errors.Join(failures...)
	switch {
	case why != nil && mode == Require:
		return nil, Refusal(why)
	case why != nil:
		log.Warn("in the sandbox, as far as this system can", "files", s.reached.Files, "calls", s.reached.Calls, "landlock", s.reached.ABI, "error", why)
	default:
		log.Info("in the sandbox", "files", true, "calls", true, "landlock", s.reached.ABI)
	}
	return s, nil
}

// Lacking is what this system cannot do, for who asks before a start.
func Lacking() error { return lacking(system{}) }

func lacking(k kernel) error {
	var failures []error
	if abi := k.abi(); abi < portsABI {
		failures = append(failures, shortOf(abi))
	}
	if !k.filters() {
		failures = append(failures, errors.New("system calls: there is no seccomp"))
	}
	return errors.Join(failures...)
}

func shortOf(abi int) error {
	return fmt.Errorf("ports: the kernel's Landlock has ABI %d, and ports need %d (Linux 6.7)", abi, portsABI)
}

// Refusal says what to do about a system that cannot what sandbox.mode requires.
func Refusal(why error) error {
	return fmt.Errorf("sandbox.mode = %q, and this system cannot: %w; boot with Landlock (lsm=landlock,...), or set %q", Require, why, BestEffort)
}

// existing are the rules with real folders. What is missing of the configuration's is named.
func existing(k kernel, r Rules) (Rules, []string) {
	inside := Rules{Listen: r.Listen, Abstract: r.Abstract}
	var missing []string
	for _, p := range r.Places {
		real, err := filepath.EvalSymlinks(p.Path)
		if err == nil && k.openable(real) {
			inside.Places = append(inside.Places, Place{p.Key, real, p.Access})
			continue
		}
		if p.Key != "" && !slices.Contains(missing, p.Path) {
			missing = append(missing, p.Path)
		}
	}
	return inside, missing
}

// Reached is what was given up.
func (s *Sandbox) Reached() Reached { return s.reached }

// Mode is that of the start.
func (s *Sandbox) Mode() Mode { return s.mode }

// Admits tells whether a new configuration can do with what is open. It names every key that cannot.
func (s *Sandbox) Admits(rules Rules) error {
	if !s.reached.Files {
		return nil
	}
	var refusals []error
	for _, p := range rules.Places {
		if p.Key == "" || slices.Contains(s.entered.Places, p) || s.covers(p) {
			continue
		}
		refusals = append(refusals, fmt.Errorf("%s: may not %s in %s, which is out of the sandbox since the start: restart ntptsd to change it",
			p.Key, p.Access, p.Path))
	}
	for _, port := range rules.Listen {
		if s.reached.ABI >= portsABI && !slices.Contains(s.entered.Listen, port) {
			refusals = append(refusals, fmt.Errorf("TCP port %d is out of the sandbox since the start: restart ntptsd to open it", port))
		}
	}
	return errors.Join(refusals...)
}

func (s *Sandbox) covers(p Place) bool {
	real, err := filepath.EvalSymlinks(p.Path)
	if err != nil { // whoever needs it tells that it is not there
		real = filepath.Clean(p.Path)
	}
	return slices.ContainsFunc(s.inside.Places, func(in Place) bool { return in.Access.includes(p.Access) && beneath(real, in.Path) })
}

// beneath tells whether path is folder or lies in it.
func beneath(path, folder string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}
