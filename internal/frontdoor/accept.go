package frontdoor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	shortagePause = 100 * time.Millisecond
	shortageLog   = time.Minute // how often the same shortage is worth a line
	brokenPause   = time.Second // before a listener is tried again that fails for no known reason
	drainPoll     = 20 * time.Millisecond
)

// accept serves one listener until ctx is done. One that is broken is tried again, unless it is closed: the daemon and its other
// listeners go on either way.
func (p *Port) accept(ctx context.Context, l net.Listener, work *sync.WaitGroup, begin func(context.Context, *conn)) {
	var logged time.Time
	fails := func(why string, err error) {
		p.metrics.acceptErrors.Add(1)
		if now := time.Now(); logged.IsZero() || now.Sub(logged) > shortageLog {
			logged = now
			p.log.Error(why, "on", l.Addr(), "error", err)
		}
	}
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			if admitted := p.admit(c); admitted != nil {
				work.Go(func() { begin(ctx, admitted) })
			}
		case ctx.Err() != nil:
			return
		case isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM): // passes when others give something back
			fails("no more connections can be accepted for now; raise LimitNOFILE or lower monitoring.max-connections", err)
			pause(ctx, shortagePause)
		case isOfPeer(err):
			p.metrics.acceptErrors.Add(1)
			p.log.Debug("a connection was lost before it was accepted", "error", err)
		case errors.Is(err, net.ErrClosed):
			fails("a listener of the services port is closed; restart ntptsd", err)
			return
		default:
			fails("a listener of the services port is broken and tried again; if this goes on, restart ntptsd", err)
			pause(ctx, brokenPause)
		}
	}
}

// admit judges who connects by the address alone, and closes what is not let in.
func (p *Port) admit(c net.Conn) *conn {
	from := remoteOf(c)
	if v := p.judge(from); v != accepted {
		p.metrics.count(ofNone, v)
		_ = c.Close()
		return nil
	}
	a := &conn{Conn: c, port: p, remote: from, closed: make(chan struct{})}
	p.mu.Lock()
	p.open[a] = struct{}{}
	p.mu.Unlock()
	return a
}

// judge gives a slot, which belongs to the connection from then on, or tells why not.
func (p *Port) judge(from netip.Addr) verdict {
	if p.Admits != nil && !p.Admits(from) {
		return denied
	}
	if p.Slots.Acquire(from) != nil {
		return full
	}
	if p.Allow != nil && !p.Allow(from, time.Now()) {
		p.Slots.Release(from)
		return limited
	}
	return accepted
}

func remoteOf(c net.Conn) netip.Addr {
	a, ok := c.RemoteAddr().(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.Addr{}
	}
	return a.AddrPort().Addr().Unmap()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// isOfPeer tells of errors that belong to the connection, which Linux reports at accept: accept(2), "Error handling".
func isOfPeer(err error) bool {
	return isAny(err, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.ETIMEDOUT,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP)
}

func isAny(err error, list ...syscall.Errno) bool {
	return slices.ContainsFunc(list, func(e syscall.Errno) bool { return errors.Is(err, e) })
}
