package frontdoor

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// TakeOver is how a newer ntptsd asks for what this one has, on the control socket alone.
type TakeOver struct {
	Path     string // of the request
	Protocol string // of the header Upgrade
	// Refuses says why there is no hand-over at all; empty: there is.
	Refuses func() string
	// Give speaks that protocol with root, or with our own user, until it has given all or nothing. One at a time.
	Give func(ctx context.Context, conn *net.UnixConn)
}

// OfferTakeOver is called before Run.
func (s *Server) OfferTakeOver(t TakeOver) {
	rest := s.http.Handler
	busy := new(atomic.Bool)
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != t.Path {
			rest.ServeHTTP(w, r)
			return
		}
		s.takeOver(w, r, &t, busy)
	})
}

func (s *Server) takeOver(w http.ResponseWriter, r *http.Request, t *TakeOver, busy *atomic.Bool) {
	refuse := func(status int, why string) {
		w.Header().Set("Content-Type", textMedia)
		w.Header().Set("Connection", "close")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, why+"\n")
	}
	switch {
	case callerOf(r).Role != api.Admin: // on this socket nobody else is: see access.SocketPeers
		refuse(http.StatusForbidden, "only root and the user that ntptsd runs as may take over")
		return
	case r.Method != http.MethodPost:
		refuse(http.StatusMethodNotAllowed, "use POST")
		return
	case !strings.EqualFold(r.Header.Get("Upgrade"), t.Protocol):
		refuse(http.StatusUpgradeRequired, "the protocol of hand-over is "+t.Protocol+" here: stop this ntptsd and start the other one without --take-over")
		return
	}
	if why := t.Refuses(); why != "" {
		refuse(http.StatusConflict, why)
		return
	}
	if !busy.CompareAndSwap(false, true) {
		refuse(http.StatusConflict, "another one is taking over already: wait for it")
		return
	}
	defer busy.Store(false)
	s.contents.detached.Add(1)
	defer s.contents.detached.Done()
	conn, err := hijack(w, t.Protocol)
	if err != nil {
		return // whoever asked speaks before he is answered, or has gone
	}
	defer conn.Close()
	t.Give(s.contents.ending, conn.Conn.(*net.UnixConn))
}

// hijack takes the connection from HTTP.
func hijack(w http.ResponseWriter, protocol string) (*slotted, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	held, ok := conn.(*slotted)
	if ok {
		_, ok = held.Conn.(*net.UnixConn)
	}
	if !ok || buffered.Reader.Buffered() > 0 {
		err = http.ErrNotSupported
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err == nil {
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return held, nil
}
