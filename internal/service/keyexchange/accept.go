package keyexchange

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	shortagePause = 100 * time.Millisecond
	shortageLog   = time.Minute // how often the same shortage is worth a line
)

// accept serves one listener until ctx is done. The errors it returns mean that the listener is broken.
func (s *Server) accept(ctx context.Context, l net.Listener, drained *atomic.Bool, work *sync.WaitGroup) error {
	var logged time.Time
	for {
		conn, err := l.Accept()
		switch {
		case err == nil && drained.Load():
			_ = conn.Close()
			s.count(remote(conn), Drained, nil)
		case err == nil:
			s.take(conn, work)
		case ctx.Err() != nil:
			return nil
		case isShortage(err):
			s.metrics.acceptErrors.Add(1)
			if now := time.Now(); logged.IsZero() || now.Sub(logged) > shortageLog {
				logged = now
				s.log.Error("no more connections can be accepted for now; raise LimitNOFILE or lower keyexchange.max-connections", "error", err)
			}
			pause(ctx, shortagePause)
		case isPeers(err):
			s.metrics.acceptErrors.Add(1)
			s.log.Debug("a connection was lost before it was accepted", "error", err)
		default:
			return err
		}
	}
}

// take starts an exchange, or closes what is not admitted at once.
func (s *Server) take(conn net.Conn, work *sync.WaitGroup) {
	from := remote(conn)
	e, verdict := s.admit(conn, from)
	if e == nil {
		_ = conn.Close()
		s.count(from, verdict, nil)
		return
	}
	work.Go(func() { s.handle(e) })
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// isShortage tells of errors that pass when others give something back.
func isShortage(err error) bool {
	return is(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM)
}

// isPeers tells of errors that belong to the connection, which Linux reports at accept: accept(2), "Error handling".
func isPeers(err error) bool {
	return is(err, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM, syscall.ETIMEDOUT,
		syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP)
}

func is(err error, list ...syscall.Errno) bool {
	return slices.ContainsFunc(list, func(e syscall.Errno) bool { return errors.Is(err, e) })
}
