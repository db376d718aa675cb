package view

import (
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func TestAuditIsShown(t *testing.T) {
	at := time.Date(2026, 11, 25, 14, 22, 1, 5e8, time.UTC)
	shown, bad := show(t, "audit", api.AuditRecords{
		Records: []api.AuditRecord{
			{Sequence: 1, Time: at, Kind: "started", Caller: "ntptsd", Summary: "ntptsd started"},
			{Sequence: 2, Time: at, Kind: "attempt", Caller: "certificate alice", Role: "operator", From: "192.0.2.1", Command: "targets drain",
				Summary: "send no more clients to target a", Before: "serving", After: "drained"},
			{Sequence: 3, Time: at, Kind: "outcome", Of: 2, Caller: "certificate alice", Role: "operator", From: "192.0.2.1", Command: "targets drain", Result: "done"},
			{Sequence: 4, Time: at, Kind: "refused", Caller: "token x\x1b[2J", Role: "monitor", From: "2001:db8::1", Command: "reload", Result: "denied",
				Error: "reload needs\nthe role operator", Omitted: 123},
		},
		Head: api.AuditHead{Sequence: 9, Hash: "ab", Signature: "c2ln"}, KeyID: "0123", Problem: "no space left on device",
	})
	want := `RECORD  TIME                  WHO                           FROM         WHAT                                             RESULT                        CHANGE
1       2026-11-25T14:22:01Z  ntptsd                        -            ntptsd started                                   started                       -
2       2026-11-25T14:22:01Z  certificate alice (operator)  192.0.2.1    targets drain: send no more clients to target a  attempt                       serving → drained
3       2026-11-25T14:22:01Z  certificate alice (operator)  192.0.2.1    of 2: targets drain                              outcome done                  -
4       2026-11-25T14:22:01Z  token x\x1b[2J (monitor)      2001:db8::1  reload                                           refused denied, and 123 more  reload needs\nthe role operator
those behind: audit --after 4
problem: no space left on device
head 9:ab:c2ln, signed by key 0123
`
	if shown != want || bad {
		t.Errorf("bad %v\n%s\nwant\n%s", bad, shown, want)
	}
	if shown, _ := show(t, "audit", api.AuditRecords{Records: []api.AuditRecord{}}); shown != "there is no such record\n" {
		t.Errorf("%q", shown)
	}
}

// Whatever a record says, it is one line.
func TestAuditRecordIsALine(t *testing.T) {
	hostile := "a\n\x1b]0;b\x07" + strings.Repeat("x", 5000)
	line := AuditRecord(api.AuditRecord{Sequence: 1, Kind: hostile, Caller: hostile, Role: hostile, From: hostile, Command: hostile, Summary: hostile, Before: hostile,
		After: hostile, Result: hostile})
	if strings.ContainsAny(line, "\n\x1b\x07") || len(line) > 1000 {
		t.Errorf("%d octets: %q", len(line), line)
	}
}
