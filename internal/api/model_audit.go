package api

import "time"

// The bounds of lists of records.
const (
	DefaultAudit = 50
	MaxAudit     = 1000
)

// AuditArg says which records.
type AuditArg struct {
	After int `json:"after" help:"those behind the record of this number, the oldest first; the newest records unless given"`
	Limit int `json:"limit" help:"at most so many; 50 unless given"`
}

// AuditRecord is a record of the audit log, as protocol/audit has it.
type AuditRecord struct {
	Sequence uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`    // attempt, outcome, refused, dry-run, undo, confirm, started, repaired
	Of       uint64    `json:"of"`      // the attempt that this tells of; 0: none
	Caller   string    `json:"caller"`  // who
	Role     string    `json:"role"`    // of the caller then
	From     string    `json:"from"`    // address; empty: the control socket, or ntptsd itself
	Command  string    `json:"command"` // words, as typed
	Args     string    `json:"args"`    // a JSON object; secrets as names; empty: none
	DryRun   bool      `json:"dry_run"`
	Confirm  float64   `json:"confirm_within_seconds"`
	Key      string    `json:"idempotency_key"`
	Summary  string    `json:"summary"` // what was planned
	Before   string    `json:"before"`
	After    string    `json:"after"`
	Result   string    `json:"result"` // done, nothing, or the kind of error
	Error    string    `json:"error"`
	Omitted  uint64    `json:"omitted"` // so many refusals and dry runs of this caller before it were not written
	Previous string    `json:"prev"`    // hash of the record before
	Hash     string    `json:"hash"`
}

// AuditRecords are some records, the newest last.
type AuditRecords struct {
	Records []AuditRecord `json:"records"`
	Head    AuditHead     `json:"head"`    // the end of the log
	Key     string        `json:"key"`     // the public key that heads are signed by, in PEM
	KeyID   string        `json:"key_id"`  // what it is called by
	Problem string        `json:"problem"` // why nothing can be written; empty when it can
}

// GetAudit lists records.
var GetAudit = Command[AuditArg, AuditRecords]{Name: "audit", Role: Admin, Summary: "list who changed what, or tried to, the newest last"} // never assigned again
