package ntpq

import (
	"errors"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/words"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// errSilent tells that ntpd did not answer.
var errSilent = words.Silent("***Request timed out")

// about says which association an error is about.
func about(op mode6.Opcode, id uint16, err error) error {
	switch {
	case !gone(err):
	case op == mode6.OpReadClock:
		return api.Failf(api.NotFound, "***Association ID %d unknown to server: it is no reference clock [mode6 error %d]", id, mode6.CodeAssociation)
	case id != 0:
		return api.Failf(api.NotFound, "***Association ID %d unknown to server: associations lists those that there are [mode6 error %d]", id, mode6.CodeAssociation)
	}
	return err
}

// explain makes an api.Error of what went wrong: ntpq's words, what to do about it, and ntpd's own code.
func explain(err error) error {
	if ours, ok := errors.AsType[*api.Error](err); ok {
		return ours
	}
	if code, refused := errors.AsType[mode6.ErrorCode](err); refused {
		return refusal(code)
	}
	for _, bad := range []error{mode6.ErrMalformed, mode6.ErrContradiction, mode6.ErrTooLong, mode6.ErrNoHeadway, mode6.ErrNoNonce} {
		if errors.Is(err, bad) {
			return api.Failf(api.Unavailable, "***Response from server was incomplete: %w", err)
		}
	}
	return api.Failf(api.Unavailable, "%w: %w", errSilent, err)
}

func refusal(code mode6.ErrorCode) error {
	fail := func(k api.Kind, text string) error { return api.Failf(k, "%s [mode6 error %d]", text, uint8(code)) }
	switch code {
	case mode6.CodePermission:
		return fail(api.Conflict, "***Server disallowed request (authentication?): ntpd wants the key of its controlkey line for ifstats and reslist, "+
			"which ntptsd does not have: use ntpq -k and -a on the host itself; for anything else, "+
			"allow it in ntp.conf: restrict lines for this host without noquery and nomrulist")
	case mode6.CodeAssociation:
		return fail(api.NotFound, "***Association ID unknown to server: associations lists those that there are")
	case mode6.CodeVariable:
		return fail(api.BadArgument, "***A request variable unknown to the server: without names, the usual ones are shown")
	case mode6.CodeOpcode:
		return fail(api.Conflict, "***Server reports a bad opcode in request: this version of ntpd does not know it")
	case mode6.CodeFormat:
		return fail(api.Unavailable, "***Server reports a bad format request packet")
	case mode6.CodeValue:
		return fail(api.Unavailable, "***Server indicates a request variable was bad")
	case mode6.CodeRestricted:
		return fail(api.Conflict, "***Server refuses the request: allow it in the restrict lines of ntp.conf")
	}
	return api.Failf(api.Unavailable, "***Server returned an unspecified error: its log may tell why [mode6 error %d]", uint8(code))
}

// gone tells that an association went away since it was listed.
func gone(err error) bool { return errors.Is(err, mode6.CodeAssociation) }
