package view

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func showAudit(out io.Writer, a api.AuditRecords, _ time.Time) {
	if len(a.Records) == 0 {
		fmt.Fprintln(out, "there is no such record")
	} else {
		rows(out, "RECORD TIME WHO FROM WHAT RESULT CHANGE", a.Records, func(r api.AuditRecord) []string {
			return []string{count(r.Sequence), instant(r.Time), who(r), cmp.Or(clip(r.From, maxCell), "-"), what(r), result(r), difference(r)}
		})
	}
	if n := len(a.Records); n > 0 && a.Records[n-1].Sequence < a.Head.Sequence {
		fmt.Fprintf(out, "those behind: audit --after %d\n", a.Records[n-1].Sequence)
	}
	if a.Problem != "" {
		fmt.Fprintf(out, "problem: %s\n", Sentence(a.Problem))
	}
	if a.Head.Signature != "" {
		fmt.Fprintf(out, "head %s\n", Sentence(fmt.Sprintf("%d:%s:%s, signed by key %s", a.Head.Sequence, a.Head.Hash, a.Head.Signature, a.KeyID)))
	}
}

// AuditRecord is a record as a line.
func AuditRecord(r api.AuditRecord) string {
	line := fmt.Sprintf("%d %s %s", r.Sequence, instant(r.Time), who(r))
	if r.From != "" {
		line += " from " + Word(r.From)
	}
	line += ": " + what(r) + ": " + result(r)
	if d := difference(r); d != "-" {
		line += "; " + d
	}
	return line
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func who(r api.AuditRecord) string {
	if r.Role == "" {
		return Word(r.Caller)
	}
	return Word(r.Caller) + " (" + Word(r.Role) + ")"
}

// what is the command and what it does, or which attempt this is the end of.
func what(r api.AuditRecord) string {
	text := cmp.Or(r.Command, r.Summary)
	if r.Command != "" && r.Summary != "" {
		text += ": " + r.Summary
	}
	if r.Of != 0 {
		return fmt.Sprintf("of %d: %s", r.Of, Word(text))
	}
	return Word(text)
}

// result is what became of it: of an attempt another record tells that.
func result(r api.AuditRecord) string {
	text := Word(r.Kind)
	if r.Result != "" {
		text += " " + Word(r.Result)
	}
	if r.Omitted > 0 {
		text += fmt.Sprintf(", and %d more", r.Omitted)
	}
	return text
}

func difference(r api.AuditRecord) string {
	switch {
	case r.Error != "":
		return Word(r.Error)
	case r.Before == "" && r.After == "":
		return "-"
	}
	return Word(r.Before) + " → " + Word(r.After)
}
