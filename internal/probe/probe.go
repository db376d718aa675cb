// Package probe is one key exchange and a few time exchanges as a client, RFC 8915 from the other side: what
// "ntptsctl probe" shows, and what tells whether a target is fit. It never touches the clock. It judges nothing; Judge does.
package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

const (
	ntpPort = 123
	// attempts for one exchange: a datagram may be lost, and each attempt spends a cookie.
	attempts = 3
	// attemptTimeout for one answer; the whole probe is bounded by its context.
	attemptTimeout = time.Second
	// pause between exchanges beyond the first two, so that a rate limit is not what we measure.
	pause = time.Second
	// MaxCount bounds the exchanges of one probe.
	MaxCount = 100
)

// Options say whom to probe and how.
type Options struct {
	Host  string         // name or address
	Port  uint16         // of the key exchange; with Plain of the time server. 0: 4460, with Plain 123
	Roots *x509.CertPool // nil: the system's
	AEADs []aead.ID      // in order of preference. nil: 15
	Count int            // time exchanges; 0: 2
	Plain bool           // NTP without NTS
	// OnKeyExchange and OnExchange are told of each step as it ends; may be nil.
	OnKeyExchange func(KE)
	OnExchange    func(Exchange)
}

// Report is what a probe saw. Failure of a step is in Err and ends it there.
type Report struct {
	Host        string     `json:"host"`
	Plain       bool       `json:"plain"`
	KeyExchange *KE        `json:"key_exchange,omitempty"`
	TimeServer  string     `json:"time_server,omitempty"`
	Exchanges   []Exchange `json:"exchanges"`
	Err         error      `json:"-"`
}

// KE is a finished key exchange.
type KE struct {
	Address    string        `json:"address"`
	Duration   time.Duration `json:"-"`
	Seconds    float64       `json:"duration_seconds"`
	TLSVersion string        `json:"tls_version"`
	Group      string        `json:"group"`
	AEAD       string        `json:"aead"`
	Compliant  bool          `json:"compliant_gcm_siv_exporter"` // record 1024 was echoed
	Cookies    int           `json:"cookies"`
	CookieLen  int           `json:"cookie_octets"`
	Server     string        `json:"ntp_server,omitempty"` // record 6
	Port       uint16        `json:"ntp_port,omitempty"`   // record 7
	Expires    time.Time     `json:"expires"`              // earliest in the verified chain
	ExpiresOf  string        `json:"expires_subject"`
}

// Exchange is one time exchange. Offsets: positive = the server is ahead.
type Exchange struct {
	Cookie         string  `json:"cookie,omitempty"` // where the cookie came from: "key exchange", "time server" or "minted"
	Authenticated  bool    `json:"authenticated"`
	Offset         float64 `json:"offset_seconds"`
	Delay          float64 `json:"delay_seconds"`
	Stratum        uint8   `json:"stratum"`
	Synchronised   bool    `json:"synchronised"`
	Leap           uint8   `json:"leap"`
	ReferenceID    string  `json:"reference_id"`
	RootDelay      float64 `json:"root_delay_seconds"`
	RootDispersion float64 `json:"root_dispersion_seconds"`
	RootDistance   float64 `json:"root_distance_seconds"` // with our own delay
	Asked          int     `json:"cookies_asked,omitempty"`
	Refill         int     `json:"cookies_returned,omitempty"`
	Attempts       int     `json:"attempts"`
}

var (
	// ErrNAK is the kiss code NTSN: the time server cannot open the cookie that the key exchange gave us.
	ErrNAK = errors.New("probe: the time server answered NTSN: it cannot open the cookies of this key exchange; both must hold the same keys")
	// ErrNoAnswer means that nothing came back on UDP.
	ErrNoAnswer = errors.New("probe: no answer from the time server: is its UDP port open, and does the path let packets of this size pass?")
	// ErrNoRefill means that authenticated answers bring no cookies.
	ErrNoRefill = errors.New("probe: the time server returned no cookie: a client would run out after 8 requests")
	// ErrKiss is any other kiss code.
	ErrKiss = errors.New("probe: the time server refused with a kiss code")
)

// Run probes. The report says how far it came.
func Run(ctx context.Context, o Options) Report {
	if o.Count == 0 {
		o.Count = 2
	}
	o.Count = min(o.Count, MaxCount)
	r := Report{Host: o.Host, Plain: o.Plain, Exchanges: []Exchange{}}
	server := netip.AddrPort{}
	var s *session
	if o.Plain {
		server, r.Err = resolve(ctx, o.Host, orPort(o.Port, ntpPort))
	} else {
		s, r.KeyExchange, server, r.Err = exchangeKeys(ctx, o)
	}
	if r.KeyExchange != nil && o.OnKeyExchange != nil {
		o.OnKeyExchange(*r.KeyExchange)
	}
	if r.Err != nil {
		return r
	}
	r.TimeServer = server.String()
	r.Err = exchangeTime(ctx, o, server, s, &r)
	return r
}

// exchangeTime does o.Count exchanges with the time server over one socket.
func exchangeTime(ctx context.Context, o Options, server netip.AddrPort, s *session, r *Report) error {
	conn, done, err := dialTime(ctx, server)
	if err != nil {
		return err
	}
	defer done()
	for i := range o.Count {
		if i > 1 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(pause):
			}
		}
		e, err := exchange(ctx, conn, s, i)
		if err != nil {
			return err
		}
		r.Exchanges = append(r.Exchanges, e)
		if o.OnExchange != nil {
			o.OnExchange(e)
		}
	}
	return nil
}

// dialTime opens a socket to a time server, which fails when ctx is done.
func dialTime(ctx context.Context, server netip.AddrPort) (conn *net.UDPConn, done func(), err error) {
	conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	return conn, func() { stop(); _ = conn.Close() }, nil
}

func orPort(p, def uint16) uint16 {
	if p == 0 {
		return def
	}
	return p
}

// resolve takes the first address of a name.
func resolve(ctx context.Context, host string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(a, port), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), port), nil
}

func kePort(o Options) uint16 { return orPort(o.Port, ntske.Port) }
