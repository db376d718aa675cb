package carriage

import (
	"net"
	"time"
)

// line is a socket to the daemon and the goroutine that reads it. The nil line is none.
type line struct {
	conn  net.Conn
	ended chan struct{} // closed when nobody reads any more
}

func (l *line) works() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.ended:
		return false
	default:
		return true
	}
}

// send tries twice: the first error of a UDP socket may be of a datagram before, and another socket would cost the nonce.
func (l *line) send(frame []byte) (err error) {
	for range 2 {
		if err = l.conn.SetWriteDeadline(time.Now().Add(daemonTimeout)); err != nil {
			return err
		}
		if _, err = l.conn.Write(frame); err == nil {
			return nil
		}
	}
	return err
}

// hangUp ends both.
func (l *line) hangUp() {
	if l == nil {
		return
	}
	_ = l.conn.Close()
	<-l.ended
}
