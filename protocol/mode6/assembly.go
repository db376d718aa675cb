package mode6

import "bytes"

// Bounds of one answer. The longest that is known has 8 datagrams, beside MRU lists, whose length the request sets.
const (
	MaxDatagrams = 64
	MaxAnswer    = 64 << 10 // octets, as the offsets tell
)

// Assembly joins the datagrams of one answer, which come in any order, twice, or not at all. It holds at most MaxDatagrams
// times MaxData octets, and keeps the memory for the next answer.
type Assembly struct {
	request   Request
	key       *Key
	status    uint16
	authentic bool
	whole     bool
	ended     bool // the datagram without M was here, and total is known
	total     int
	got       int
	pieces    []piece
	data      []byte // in order of arrival until whole
}

// piece is the data of one datagram: where it stands in the answer, and where in what arrived.
type piece struct {
	from, to int
	at       int
	last     bool
}

// Expect makes a ready for the answer to q. With a key, data has to be authentic. What Data gave before is lost.
func (a *Assembly) Expect(q Request, k *Key) {
	q.Data, q.Trailer = nil, nil
	*a = Assembly{request: q, key: k, pieces: a.pieces[:0], data: a.data[:0]}
}

// Add takes a datagram, and tells whether the answer is whole. ErrForeign: go on reading. An ErrorCode is the daemon's
// refusal; every other error means that this answer will come to nothing.
func (a *Assembly) Add(datagram []byte) (whole bool, err error) {
	f, err := ParseFragment(datagram)
	q := a.request
	if err != nil || f.Sequence != q.Sequence || f.Op != q.Op || f.Association != q.Association {
		return a.whole, ErrForeign
	}
	if a.whole {
		return true, nil // a datagram that was sent twice, late
	}
	a.authentic = a.key != nil && a.key.Verify(datagram) == nil
	if f.Error { // before a look at the offset, which is of some earlier answer; an unknown key's refusal has no MAC
		return false, ErrorCode(f.Status >> 8)
	}
	if a.key != nil && !a.authentic {
		return false, ErrMAC
	}
	if err := a.insert(f); err != nil {
		return false, err
	}
	if a.whole = a.ended && a.got == a.total; a.whole {
		a.join()
	}
	return a.whole, nil
}

func (a *Assembly) insert(f Fragment) error {
	p := piece{int(f.Offset), int(f.Offset) + len(f.Data), len(a.data), !f.More}
	if p.to > MaxAnswer {
		return ErrTooLong
	}
	if len(a.pieces) > 0 && f.Status != a.status {
		return ErrContradiction
	}
	for _, have := range a.pieces {
		if have.from == p.from && have.to == p.to && have.last == p.last && bytes.Equal(a.data[have.at:have.at+len(f.Data)], f.Data) {
			return nil
		}
		overlap := p.from < have.to && have.from < p.to
		if overlap || p.last && (have.last || have.to > p.to) {
			return ErrContradiction
		}
	}
	switch {
	case len(a.pieces) == MaxDatagrams:
		return ErrTooLong
	case a.ended && p.to > a.total:
		return ErrContradiction
	case p.last:
		a.ended, a.total = true, p.to
	}
	a.status = f.Status
	a.pieces = append(a.pieces, p)
	a.data = append(a.data, f.Data...)
	a.got += len(f.Data)
	return nil
}

// join puts what did not arrive in order into it. Nothing overlaps and nothing is missing.
func (a *Assembly) join() {
	inOrder := true
	for _, p := range a.pieces {
		inOrder = inOrder && p.at == p.from
	}
	if inOrder {
		return
	}
	joined := make([]byte, a.total)
	for _, p := range a.pieces {
		copy(joined[p.from:p.to], a.data[p.at:])
	}
	a.data = joined
}

// Status is the status word: a SystemStatus, PeerStatus or ClockStatus, as the request was. 0 for OpReadMRU and others.
func (a *Assembly) Status() uint16 { return a.status }

// Data is the whole answer, until Expect.
func (a *Assembly) Data() []byte {
	if !a.whole {
		return nil
	}
	return a.data
}

// Authentic tells that the last datagram, be it an error, had the MAC of the key. An error without one means that the
// daemon does not know the key, trust it, or find the MAC at this Alignment.
func (a *Assembly) Authentic() bool { return a.authentic }
