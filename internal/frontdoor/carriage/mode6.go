package carriage

import (
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

type mode6Wire struct{}

func (mode6Wire) name() string { return "mode6" }
func (mode6Wire) door() string { return api.DoorMode6 }

// mode6Rule is the list of what ntpq may ask. Not on it are writing variables, which no daemon of today does, and traps,
// whose messages would go to us.
func mode6Rule(op mode6.Opcode) rule {
	switch op {
	case mode6.OpUnspecified, mode6.OpReadStatus, mode6.OpReadVariables, mode6.OpReadClock, mode6.OpReadMRU, mode6.OpRequestNonce:
		return reading(api.Monitor)
	case mode6.OpReadOrdered: // ifstats and reslist, for which the daemon wants its control key
		return reading(api.Operator)
	case mode6.OpConfigure, mode6.OpSaveConfig:
		return changing(api.Admin)
	}
	return rule{}
}

// judge finds malformed what daemons do not answer, or answer with a format error.
func (mode6Wire) judge(frame []byte, role api.Role, writes bool) decision {
	q, err := mode6.ParseRequest(frame)
	if err != nil {
		return decision{verdict: malformed}
	}
	r := mode6Rule(q.Op)
	const withMAC = 4 // padding is shorter
	if len(q.Trailer) >= withMAC && q.Op != mode6.OpReadOrdered {
		r.role, r.changes = max(r.role, api.Operator), true // an authenticated read sets the daemon's counts of events to zero
	}
	if !r.permits(role, writes) {
		no := mode6.Fragment{Version: q.Version, Error: true, Op: q.Op, Sequence: q.Sequence,
			Status: uint16(mode6.CodePermission) << 8, Association: q.Association}
		return decision{verdict: refused, refusal: no.AppendTo(nil), change: r.attempt(q.Op.String())}
	}
	return decision{verdict: forwarded, asked: question{mode6Key(q.Op, q.Sequence, q.Association), mode6.MaxDatagrams, mode6.MaxDatagram}}
}

func (mode6Wire) answers(datagram []byte) (uint64, bool) {
	f, err := mode6.ParseFragment(datagram)
	return mode6Key(f.Op, f.Sequence, f.Association), err == nil
}

func mode6Key(op mode6.Opcode, sequence, association uint16) uint64 {
	return uint64(op)<<32 | uint64(association)<<16 | uint64(sequence)
}
