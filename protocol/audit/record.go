// Package audit is the format of the audit log: one JSON object a line, each with the hash of the one before it, so that
// nothing can be altered, taken out or put in without breaking the chain, and a signed head, so that a tail that was cut off
// is noticed, too. It reads, writes and verifies octets. Files, and when they are synced, are left to others.
//
//	{"seq":17,"time":"2026-11-25T14:22:01Z", ... ,"prev":"9f86...","hash":"e3b0..."}\n
//	^------------------- hashed, with a } behind -------------------^
//
// The hash is SHA-256, in 64 lowercase hexadecimal digits, over the octets of the line without its last member, which is hash,
// and without the end of the line: cut ,"hash":"..."} off, put } there instead. The octets count as they stand, so that nobody
// needs to write JSON as we do. prev is the hash of the record before, 64 zeros in record 1.
//
// A head is the sequence and the hash of the last record. What its Ed25519 signature (RFC 8032) signs is
//
//	ntptsd audit head\n17\ne3b0...\n
package audit

import (
	"encoding/json"
	"time"
)

// Record is one line of the log.
type Record struct {
	Sequence uint64          `json:"seq"`            // from 1, without gaps
	Time     time.Time       `json:"time"`           // UTC, of the local clock
	Kind     string          `json:"kind"`           // one of the kinds
	Of       uint64          `json:"of,omitempty"`   // sequence of the attempt that this tells of
	Caller   string          `json:"caller"`         // "certificate alice", "uid 0"
	Role     string          `json:"role"`           // of the caller then
	From     string          `json:"from"`           // address; empty: the control socket, or ntptsd itself
	Command  string          `json:"command"`        // words, as typed
	Args     json.RawMessage `json:"args,omitempty"` // a JSON object; secrets as names
	DryRun   bool            `json:"dry_run,omitempty"`
	Confirm  float64         `json:"confirm_within_seconds,omitempty"`
	Key      string          `json:"idempotency_key,omitempty"`
	Summary  string          `json:"summary,omitempty"` // what was planned
	Before   string          `json:"before,omitempty"`
	After    string          `json:"after,omitempty"`
	Result   string          `json:"result,omitempty"` // done, nothing, or the kind of error
	Error    string          `json:"error,omitempty"`
	Omitted  uint64          `json:"omitted,omitempty"` // so many refusals and dry runs of this caller before it were not written

	Previous string `json:"prev"` // hash of the record before, hexadecimal SHA-256; of the first one: zeros
	Hash     string `json:"hash"` // of this record
}

// Kinds of a Record.
const (
	Attempt = "attempt" // is about to be done
	Outcome = "outcome" // of the attempt: what became of it
	Refused = "refused" // was not attempted: role, arguments, or state
	DryRun  = "dry-run" // was planned only
	Undo    = "undo"    // an unconfirmed change is about to be undone
	Confirm = "confirm" // it stays
	Started = "started" // the daemon

	Repaired = "repaired" // the log itself: what a crash or a disk left behind, and where it is kept
)

// Head is the end of the log: whoever keeps one can tell later that nothing before it was changed or cut off.
type Head struct {
	Sequence  uint64 `json:"seq"`
	Hash      string `json:"hash"`
	Signature string `json:"signature"` // Ed25519 over both, base64; empty: nothing is written
}
