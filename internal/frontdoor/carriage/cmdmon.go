package carriage

import (
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

type cmdmonWire struct{}

func (cmdmonWire) name() string { return "cmdmon" }
func (cmdmonWire) door() string { return api.DoorCmdmon }

// Commands that we ourselves never send.
const (
	modifyMaxDelay         cmdmon.Command = 7
	modifyMaxDelayRatio    cmdmon.Command = 8
	modifyMaxUpdateSkew    cmdmon.Command = 9
	writeRTC               cmdmon.Command = 30
	modifyMinStratum       cmdmon.Command = 45
	modifyPollTarget       cmdmon.Command = 46
	modifyMaxDelayDevRatio cmdmon.Command = 47
	reselect               cmdmon.Command = 48
	reselectDistance       cmdmon.Command = 49
	smoothTime             cmdmon.Command = 52
	onOffline              cmdmon.Command = 63
	resetSources           cmdmon.Command = 66
	modifySelectOpts       cmdmon.Command = 72
	modifyOffset           cmdmon.Command = 73
)

// cmdmonRule is the list of what chronyc may ask. Not on it, so that nobody may from afar: whatever moves the clock (settime 11,
// manual 13 and 42, dfreq 31, trimrtc 36, makestep 43 and 50, doffset 32 and 71), who may command chronyd (cmdallow and cmddeny, 21
// to 24), shutdown 62, and what later versions add.
func cmdmonRule(c cmdmon.Command) rule {
	switch c {
	case cmdmon.NSources, cmdmon.SourceData, cmdmon.TrackingCommand, cmdmon.SourceStats, cmdmon.RTCReport, cmdmon.ManualList,
		cmdmon.ActivityCommand, cmdmon.SmoothingCommand, cmdmon.NTPSourceName, cmdmon.AccessCheck, cmdmon.CommandCheck,
		cmdmon.ServerStats, cmdmon.NTPDataCommand, cmdmon.AuthDataCommand, cmdmon.ClientsCommand, cmdmon.SelectDataCommand:
		return reading(api.Monitor)
	case cmdmon.Online, cmdmon.Offline, onOffline, cmdmon.Burst, cmdmon.ModifyMinPoll, cmdmon.ModifyMaxPoll, modifyPollTarget,
		modifyMaxDelay, modifyMaxDelayRatio, modifyMaxDelayDevRatio, modifyMinStratum, modifyMaxUpdateSkew, reselect, reselectDistance,
		cmdmon.Dump, cmdmon.Rekey, cmdmon.CycleLogs, cmdmon.Refresh, cmdmon.ReloadSources:
		return changing(api.Operator)
	case cmdmon.AddSource, cmdmon.DelSource, modifySelectOpts, modifyOffset, resetSources, cmdmon.Allow, cmdmon.AllowAll, cmdmon.Deny,
		cmdmon.DenyAll, cmdmon.Local2, cmdmon.Local3, smoothTime, writeRTC:
		return changing(api.Admin)
	}
	return rule{}
}

func (cmdmonWire) judge(frame []byte, role api.Role, writes bool) decision {
	q, err := cmdmon.ParseRequest(frame)
	if err != nil {
		return decision{verdict: malformed}
	}
	r := cmdmonRule(q.Command)
	if q.Resets() {
		r.role, r.changes = max(r.role, api.Operator), true
	}
	if !r.permits(role, writes) {
		no := cmdmon.Reply{Command: q.Command, Type: typeNull, Status: cmdmon.Unauthorised, Sequence: q.Sequence}
		return decision{verdict: refused, refusal: no.AppendTo(nil), change: r.attempt(q.Command.String())}
	}
	// chronyd never answers longer than it was asked: the padding is handed on as it came.
	return decision{verdict: forwarded, asked: question{cmdmonKey(q.Command, q.Sequence), 1, len(frame)}}
}

// typeNull is of replies without a body.
const typeNull cmdmon.ReplyType = 1

func (cmdmonWire) answers(datagram []byte) (uint64, bool) {
	r, err := cmdmon.ParseReply(datagram)
	return cmdmonKey(r.Command, r.Sequence), err == nil
}

func cmdmonKey(c cmdmon.Command, sequence uint32) uint64 {
	return uint64(c)<<32 | uint64(sequence)
}
