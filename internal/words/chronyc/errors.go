package chronyc

import (
	"errors"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/words"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// errSilent tells that chronyd did not answer.
var errSilent = words.Silent("Cannot talk to daemon")

// badReply is what is wrong with an answer.
type badReply struct{ error }

// noRTC is a status that only rtcdata has.
const noRTC cmdmon.Status = 13

// explain makes an api.Error of what went wrong: chronyc's words, what to do about it, and chronyd's own code.
// chronyc's number before them is left out: who shows the error has numbers of its own.
func explain(err error) error {
	if _, bad := errors.AsType[badReply](err); bad {
		return api.Failf(api.Unavailable, "Bad reply from daemon: %w", err)
	}
	if _, ours := errors.AsType[*api.Error](err); ours {
		return err
	}
	status, refused := errors.AsType[cmdmon.Status](err)
	if !refused {
		return api.Failf(api.Unavailable, "%w: %w", errSilent, err)
	}
	return refusal(status, err)
}

func refusal(status cmdmon.Status, err error) error {
	fail := func(k api.Kind, text string) error {
		return api.Failf(k, "%s [chronyd status %d]", text, uint16(status))
	}
	switch status {
	case cmdmon.Unauthorised: // err has both: why the command socket could not be used, and what to do
		return fail(api.Conflict, "Not authorised: chronyd answers this on its command socket only: "+err.Error())
	case cmdmon.Invalid:
		return fail(api.Conflict, "Invalid command: this version of chronyd does not know it")
	case cmdmon.NoSuchSource:
		return fail(api.NotFound, "No such source: sources lists the addresses that chronyd has")
	case cmdmon.NotEnabled:
		return fail(api.Conflict, "Facility not enabled in daemon: chrony.conf does not ask for it")
	case noRTC:
		return fail(api.Conflict, "RTC driver not running: chronyd needs rtcfile in chrony.conf, and the right to use the real-time clock")
	case cmdmon.Inactive:
		return fail(api.Conflict, "Client logging is not active in the daemon: chrony.conf has noclientlog")
	}
	return api.Failf(api.Unavailable, "%w [chronyd status %d]", err, uint16(status))
}
