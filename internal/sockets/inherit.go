package sockets

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/coreos/go-systemd/v22/activation"
)

// What FileDescriptorName= says in a socket unit, sd_listen_fds_with_names(3).
const (
	nameKeyExchange = "keyexchange"
	nameTime        = "timeserver"
	nameControl     = "control"
	nameMonitoring  = "monitoring"

	namePlain = "monitoring-plain" // from another ntptsd only: a socket unit's sockets are for the network
)

// inheritance is what was handed over and not yet taken.
type inheritance struct {
	left  []handed
	units map[string]bool // the names of which a socket unit's sockets were taken
	gate  *gate           // whoever handed them over serves on them until this opens; nil: nobody does
}

// handed is one inherited socket: one of the three kinds.
type handed struct {
	name string
	made bool // by an ntptsd that opened it for its configuration
	tcp  *net.TCPListener
	udp  *net.UDPConn
	unix *net.UnixListener
}

func (h *handed) addr() net.Addr {
	switch {
	case h.tcp != nil:
		return h.tcp.Addr()
	case h.udp != nil:
		return h.udp.LocalAddr()
	}
	return h.unix.Addr()
}

func (h *handed) close() {
	switch {
	case h.tcp != nil:
		h.tcp.Close()
	case h.udp != nil:
		h.udp.Close()
	default:
		h.unix.Close()
	}
}

// inherit takes what LISTEN_FDS announces; the variables are removed, so that no child takes it again.
func inherit() (*inheritance, error) {
	return adopt(activation.Files(true))
}

// adopt takes the sockets out of files, and closes these.
func adopt(files []*os.File) (*inheritance, error) {
	in := &inheritance{}
	var failures []error
	for _, f := range files {
		h, err := newHanded(f)
		f.Close()
		if err != nil {
			failures = append(failures, fmt.Errorf("inherited file descriptor %q: %w", f.Name(), err))
			continue
		}
		in.left = append(in.left, h)
	}
	if len(failures) > 0 {
		in.close()
		return nil, errors.Join(failures...)
	}
	return in, nil
}

func newHanded(f *os.File) (handed, error) {
	h := handed{name: f.Name()}
	if l, err := net.FileListener(f); err == nil {
		switch l := l.(type) {
		case *net.TCPListener:
			h.tcp = l
			return h, nil
		case *net.UnixListener:
			h.unix = l
			return h, nil
		}
		l.Close()
	} else if conn, err := net.FilePacketConn(f); err == nil {
		if u, ok := conn.(*net.UDPConn); ok {
			h.udp = u
			return h, nil
		}
		conn.Close()
	}
	return h, errors.New("neither a listening TCP or unix stream socket nor a UDP socket")
}

// take removes and returns what matches.
func (in *inheritance) take(match func(h *handed) bool) []handed {
	var taken, left []handed
	for _, h := range in.left {
		if match(&h) {
			taken = append(taken, h)
		} else {
			left = append(left, h)
		}
	}
	in.left = left
	return taken
}

// takeTCP takes what has the name, or is named for nobody and listens where it should.
func (in *inheritance) takeTCP(name string, listen []netip.AddrPort) []net.Listener {
	var all []net.Listener
	for _, h := range in.take(func(h *handed) bool {
		return h.tcp != nil && !h.made && (h.name == name || h.nameless() && slices.Contains(listen, unmapped(h.tcp.Addr().(*net.TCPAddr).AddrPort())))
	}) {
		all = append(all, h.tcp)
	}
	in.fromUnit(name, len(all) > 0)
	return all
}

// takeUDP takes all UDP sockets: only the time server has any.
func (in *inheritance) takeUDP() []*net.UDPConn {
	var all []*net.UDPConn
	for _, h := range in.take(func(h *handed) bool { return h.udp != nil && !h.made && (h.name == nameTime || h.nameless()) }) {
		all = append(all, h.udp)
	}
	in.fromUnit(nameTime, len(all) > 0)
	return all
}

// takeUnix takes the control socket.
func (in *inheritance) takeUnix() net.Listener {
	first := true
	for _, h := range in.take(func(h *handed) bool {
		match := first && h.unix != nil && !h.made && (h.name == nameControl || h.nameless())
		first = first && !match
		return match
	}) {
		in.fromUnit(nameControl, true)
		return h.unix
	}
	return nil
}

// nameless tells that the name says nothing: systemd's default is the unit's name.
func (h *handed) nameless() bool {
	return h.name != nameKeyExchange && h.name != nameTime && h.name != nameControl && h.name != nameMonitoring &&
		h.name != namePlain && h.name != nameCertsHTTP && h.name != nameCertsALPN
}

// unused names what nobody took: serving less than was handed over would look like an outage elsewhere.
func (in *inheritance) unused() error {
	var failures []error
	for _, h := range in.left {
		failures = append(failures, fmt.Errorf("inherited socket %q (%s %v) fits no section: name it keyexchange, timeserver, monitoring, control, certs-http or certs-alpn "+
			"(FileDescriptorName=), configure that section, or remove it from the socket unit", h.name, h.addr().Network(), h.addr()))
	}
	return errors.Join(failures...)
}

func (in *inheritance) close() {
	for _, h := range in.left {
		h.close()
	}
	in.left = nil
}
