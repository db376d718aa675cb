package access

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/ntptsd/ntptsd/internal/api"
)

// SocketPeers tells who is at the other end of a unix socket, by what the kernel noted when it connected. Immutable.
type SocketPeers struct {
	own      uint32 // whom we run as
	monitors []uint32
}

// NewSocketPeers looks the group of the monitors up, once. Without such a group nobody is one. Call it when the rights are
// dropped: whoever we run as then is admin.
func NewSocketPeers(group string) *SocketPeers {
	p := &SocketPeers{own: uint32(os.Geteuid())}
	if id, ok := GroupID(group); ok {
		p.monitors = append(p.monitors, id)
	}
	return p
}

// GroupID finds a group by its name.
func GroupID(name string) (id uint32, ok bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err == nil
}

// Role is Admin for root and for our own user, Monitor for the group, else Anonymous, as is everything that is no unix
// socket.
func (p *SocketPeers) Role(c net.Conn) api.Caller {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return api.Caller{Name: "a peer without a user"}
	}
	uid, groups, err := peerOf(u)
	if err != nil {
		return api.Caller{Name: "a peer of unknown user"}
	}
	caller := api.Caller{Name: fmt.Sprintf("uid %d", uid), Root: uid == 0}
	switch {
	case uid == 0 || uid == p.own:
		caller.Role = api.Admin
	case slices.ContainsFunc(groups, func(g uint32) bool { return slices.Contains(p.monitors, g) }):
		caller.Role = api.Monitor
	}
	return caller
}
