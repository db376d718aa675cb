package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"github.com/ntptsd/ntptsd/internal/api/view"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Within a network of its own, ntpq asks this.
const insideAddress = "127.0.0.1"

const (
	// insideFD is where the re-executed ntptsctl finds its end of the socket pair.
	insideFD = 3
	// insideTimeout is for the re-executed ntptsctl to have set up a network of two lines.
	insideTimeout = 10 * time.Second
	maxComplaint  = 1024
)

// errForbidden tells that the machine does not let us make a network.
var errForbidden = errors.New("this machine does not allow a network of its own for ntpq: see the sysctls kernel.unprivileged_userns_clone, " +
	"user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns; or, as root, give ntpq a spare loopback address " +
	"(tunnel ntpq --loopback 127.0.0.2 HOST); or use the console of ntptsd, which knows ntpq's words: openssl s_client -quiet -crlf -connect HOST:4461")

// startInside starts ntpq in a user and network namespace, where port 123 is ours. Root can do without the first, which
// may be forbidden in a container.
func startInside(path string, args []string, s stdio) (*running, error) {
	user, group := os.Geteuid(), os.Getegid()
	p, err := launchInside(path, args, s, &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: user, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: group, HostID: group, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE}, // exec leaves a user who is not root no others
	})
	if errors.Is(err, errForbidden) && user == 0 {
		p, err = launchInside(path, args, s, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET})
	}
	return p, err
}

// launchInside re-executes ntptsctl with these namespaces; it sends us its socket before it becomes ntpq.
func launchInside(path string, args []string, s stdio, namespaces *syscall.SysProcAttr) (*running, error) {
	ours, its, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	line := slices.Concat([]string{"tunnel", insideName, path}, ntpqArguments(args, insideAddress))
	cmd := s.attach(exec.Command("/proc/self/exe", line...))
	cmd.ExtraFiles = []*os.File{its} // insideFD
	cmd.SysProcAttr = namespaces
	err = cmd.Start()
	_ = its.Close()
	if err != nil {
		return nil, forbidden(err)
	}
	local, err := receiveSocket(ours)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	all := func(netip.AddrPort) bool { return true } // nobody else is in there
	return &running{cmd, local, all}, nil
}

// forbidden explains why a process cannot be started with namespaces of its own.
func forbidden(err error) error {
	for _, e := range []error{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w (%w)", errForbidden, err)
		}
	}
	return err
}

func socketPair() (ours *net.UnixConn, its *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	file, its := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "its")
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		_ = its.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), its, nil
}

// receiveSocket takes what announce sends.
func receiveSocket(from *net.UnixConn) (net.PacketConn, error) {
	_ = from.SetReadDeadline(time.Now().Add(insideTimeout))
	text, rights := make([]byte, maxComplaint), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := from.ReadMsgUnix(text, rights)
	if err != nil && err != io.EOF {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%w (%s)", errForbidden, view.Sentence(string(text[:n])))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("no socket came from the other network: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), "socket")
	defer file.Close()
	return net.FilePacketConn(file)
}

// insideCommand is what ntptsctl does within the namespaces. Nobody types it.
func insideCommand() *cobra.Command {
	return &cobra.Command{
		Use:                insideName,
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               cobra.MinimumNArgs(1),
		RunE:               func(_ *cobra.Command, args []string) error { return becomeNtpq(args) },
	}
}

// becomeNtpq makes port 123 of this network's loopback, hands it to who started us, and is ntpq from then on.
func becomeNtpq(line []string) error {
	if kind, err := unix.GetsockoptInt(insideFD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		return errors.New("this is for ntptsctl itself: use tunnel ntpq HOST")
	}
	unix.CloseOnExec(insideFD)
	runtime.LockOSThread() // whose rights are dropped is who becomes ntpq
	socket, err := listenInside()
	if err != nil {
		return unix.Sendmsg(insideFD, []byte(err.Error()), nil, nil, 0) // who started us tells of it
	}
	if err := unix.Sendmsg(insideFD, []byte("socket"), unix.UnixRights(socket), nil, 0); err != nil {
		return err
	}
	_ = unix.Close(socket)
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) // ntpq needs none; an old kernel knows none
	return fmt.Errorf("%s: %w", line[0], unix.Exec(line[0], line, os.Environ()))
}

func listenInside() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	lo, err := unix.NewIfreq("lo")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo)
	}
	if err == nil {
		lo.SetUint16(lo.Uint16() | unix.IFF_UP)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("the loopback interface does not come up: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: ntpPort, Addr: netip.MustParseAddr(insideAddress).As4()}); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("port %d: %w", ntpPort, err)
	}
	return fd, nil
}

// ownSockets tells whether a socket is the program's: others on this machine shall not ask in our name. A program may run as
// another user than we when we are root.
func ownSockets(pid int) func(netip.AddrPort) bool {
	return func(from netip.AddrPort) bool {
		file, err := os.Open("/proc/self/net/udp")
		if err != nil {
			return false
		}
		defer file.Close()
		return onlyOf(file, from, fmt.Sprint(os.Geteuid()), userOf(pid))
	}
}

// onlyOf looks an address up among the UDP sockets of our network, and tells whether these users have it and nobody else: with
// SO_REUSEADDR two may, of which one is bound to all addresses.
func onlyOf(sockets io.Reader, a netip.AddrPort, users ...string) (found bool) {
	if !a.Addr().Unmap().Is4() {
		return false
	}
	four := a.Addr().Unmap().As4()
	want := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(four[:]), a.Port())
	unbound := fmt.Sprintf("%08X:%04X", 0, a.Port())
	for s := bufio.NewScanner(sockets); s.Scan(); {
		const local, uid = 1, 7
		f := strings.Fields(s.Text())
		if len(f) <= uid || f[local] != want && f[local] != unbound {
			continue
		}
		if found = slices.Contains(users, f[uid]); !found {
			return false
		}
	}
	return found
}

// userOf is the effective user of a process.
func userOf(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "?"
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(ids); len(f) > 1 {
				return f[1]
			}
		}
	}
	return "?"
}
