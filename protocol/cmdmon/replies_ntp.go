package cmdmon

import (
	"math"
	"time"
)

// NTPData is the last measurement of a source by NTP.
type NTPData struct {
	Remote, Local   Address
	Port            uint16
	Leap            uint8
	Version, Mode   uint8
	Stratum         uint8
	Poll, Precision int8 // log2 s
	RootDelay       float64
	RootDispersion  float64
	ReferenceID     [4]byte
	ReferenceTime   time.Time
	Offset          float64 // s; positive: the local clock is behind, other than in Source
	PeerDelay       float64
	PeerDispersion  float64
	ResponseTime    float64
	Asymmetry       float64
	Flags           uint16
	TxSource        byte // D daemon, K kernel, H hardware, 0 none
	RxSource        byte
	Tx, Rx          uint32
	Valid           uint32
	Good            *uint32 // 4.3 and later

	KernelTx, KernelRx, HardwareTx, HardwareRx *uint32 // 4.6 and later
}

// Flags of NTPData beside its tests.
const (
	FlagInterleaved   = 0x4000
	FlagAuthenticated = 0x8000
)

// tests are the names of the low ten flags, the highest first; a flag that is set is a test passed.
const tests = "123567ABCD"

// Tests are the tests of RFC 5905 and of chrony that the measurement passed, as letters in chronyc's order.
func (d NTPData) Tests() (passed string) {
	for i := range len(tests) {
		if d.Flags>>(len(tests)-1-i)&1 != 0 {
			passed += tests[i : i+1]
		}
	}
	return passed
}

// ParseNTPData reads the answer to NTPDataCommand.
func ParseNTPData(p Reply) (d NTPData, err error) {
	r, err := p.want(typeNTPData, typeNTPData2)
	if err != nil {
		return d, err
	}
	d.Remote, d.Local, d.Port = r.address(), r.address(), r.u16()
	d.Leap, d.Version, d.Mode, d.Stratum = r.u8(), r.u8(), r.u8(), r.u8()
	d.Poll, d.Precision = r.i8(), r.i8()
	d.RootDelay, d.RootDispersion = r.float(), r.float()
	copy(d.ReferenceID[:], r.take(4))
	d.ReferenceTime = r.time()
	d.Offset, d.PeerDelay, d.PeerDispersion = r.float(), r.float(), r.float()
	d.ResponseTime, d.Asymmetry = r.float(), r.float()
	d.Flags, d.TxSource, d.RxSource = r.u16(), r.u8(), r.u8()
	d.Tx, d.Rx, d.Valid = r.u32(), r.u32(), r.u32()
	d.Good = r.counter()
	if p.Type == typeNTPData2 {
		d.KernelTx, d.KernelRx, d.HardwareTx, d.HardwareRx = r.counter(), r.counter(), r.counter(), r.counter()
	}
	return d, r.err()
}

// counter is nil for all ones, which means that this version does not count it.
func (r *reader) counter() *uint32 {
	if n := r.u32(); n != math.MaxUint32 {
		return &n
	}
	return nil
}

// Authentication of a source.
const (
	AuthNone      = 0
	AuthSymmetric = 1
	AuthNTS       = 2
)

// AuthData is how a source is authenticated.
type AuthData struct {
	Mode         uint16
	KeyType      uint16 // symmetric: chrony's own number; NTS: the AEAD
	KeyID        uint32 // NTS: how often keys were made
	KeyLength    uint16 // bits
	Attempts     uint16 // of key exchange
	LastExchange time.Duration
	Exchanged    bool
	Cookies      uint16
	CookieLength uint16
	NAK          bool
}

// ParseAuthData reads the answer to AuthDataCommand.
func ParseAuthData(p Reply) (a AuthData, err error) {
	r, err := p.want(typeAuthData)
	if err != nil {
		return a, err
	}
	a.Mode, a.KeyType, a.KeyID, a.KeyLength, a.Attempts = r.u16(), r.u16(), r.u32(), r.u16(), r.u16()
	a.LastExchange, a.Exchanged = r.age()
	a.Cookies, a.CookieLength, a.NAK = r.u16(), r.u16(), r.u16() != 0
	r.u16()
	return a, r.err()
}

// KeyTypeName names the algorithm of a symmetric key.
func KeyTypeName(t uint16) string {
	return map[uint16]string{1: "MD5", 2: "SHA1", 3: "SHA256", 4: "SHA384", 5: "SHA512", 6: "SHA3-224", 7: "SHA3-256",
		8: "SHA3-384", 9: "SHA3-512", 10: "TIGER", 11: "WHIRLPOOL", 13: "AES128", 14: "AES256"}[t]
}

// ClientsPerReply is how many clients fit into one answer.
const ClientsPerReply = 8

// NoInterval is the interval of a client that asked once.
const NoInterval = 127

// Client is one that asked chronyd for something.
type Client struct {
	Address                                        Address
	NTP, KeyExchange, Command                      uint32 // requests
	NTPDropped, KeyExchangeDropped, CommandDropped uint32
	NTPInterval, KeyExchangeInterval               int8 // log2 s, or NoInterval
	CommandInterval, TimeoutInterval               int8
	LastNTP, LastKeyExchange, LastCommand          uint32 // s ago; all ones: never
}

// Clients is one page of them.
type Clients struct {
	Indices uint32 // the walk ends at this index
	Next    uint32 // to ask for in the next page
	Clients []Client
}

// ParseClients reads the answer to ClientsCommand.
func ParseClients(p Reply) (c Clients, err error) {
	r, err := p.want(typeClients)
	if err != nil {
		return c, err
	}
	c.Indices, c.Next = r.u32(), r.u32()
	for n := min(r.u32(), ClientsPerReply); n > 0 && !r.short; n-- {
		one := Client{Address: r.address(), NTP: r.u32(), KeyExchange: r.u32(), Command: r.u32()}
		one.NTPDropped, one.KeyExchangeDropped, one.CommandDropped = r.u32(), r.u32(), r.u32()
		one.NTPInterval, one.KeyExchangeInterval, one.CommandInterval, one.TimeoutInterval = r.i8(), r.i8(), r.i8(), r.i8()
		one.LastNTP, one.LastKeyExchange, one.LastCommand = r.u32(), r.u32(), r.u32()
		c.Clients = append(c.Clients, one)
	}
	return c, r.err()
}

// Counters of Stats, in the order in which every version sends them.
const (
	StatNTP = iota
	StatKeyExchange
	StatCommand
	StatNTPDropped
	StatKeyExchangeDropped
	StatCommandDropped
	StatLogDropped
	StatAuthenticated
	StatInterleaved // from 4.2 on
	StatTimestamps
	StatTimestampSpan // s
	StatDaemonRx      // from 4.4 on
	StatDaemonTx
	StatKernelRx
	StatKernelTx
	StatHardwareRx
	StatHardwareTx
	numStats
)

// Stats are the server's counters; those that the version does not have are not in it.
type Stats []uint64

// ParseStats reads the answer to ServerStats.
func ParseStats(p Reply) (Stats, error) {
	r, err := p.want(typeStats2, typeStats3, typeStats4)
	if err != nil {
		return nil, err
	}
	n := map[ReplyType]int{typeStats2: StatInterleaved, typeStats3: StatDaemonRx, typeStats4: numStats}[p.Type]
	s := make(Stats, n)
	for i := range s {
		if p.Type == typeStats4 {
			s[i] = r.u64()
		} else {
			s[i] = uint64(r.u32())
		}
	}
	return s, r.err()
}

// Options of Selection.
const (
	OptionNoSelect = 1 << iota
	OptionPrefer
	OptionTrust
	OptionRequire
)

// Selection is how a source fares in the selection.
type Selection struct {
	ReferenceID           [4]byte
	Address               Address // not set with a reference clock
	State                 byte    // chronyc's letter: * + - x ...
	Authenticated         bool
	Leap                  uint8
	Configured, Effective uint16 // options
	LastSample            uint32 // s ago
	Score                 float64
	Low, High             float64 // s
}

// ParseSelection reads the answer to SelectDataCommand.
func ParseSelection(p Reply) (s Selection, err error) {
	r, err := p.want(typeSelectData)
	if err != nil {
		return s, err
	}
	copy(s.ReferenceID[:], r.take(4))
	s.Address, s.State, s.Authenticated, s.Leap = r.address(), r.u8(), r.u8() != 0, r.u8()
	r.u8()
	s.Configured, s.Effective, s.LastSample = r.u16(), r.u16(), r.u32()
	s.Score, s.Low, s.High = r.float(), r.float(), r.float()
	return s, r.err()
}
