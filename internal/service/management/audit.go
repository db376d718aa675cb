package management

import (
	"context"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

// Audit is the audit log. Safe for concurrent use.
type Audit interface {
	// Records are at most so many behind that sequence, the newest last; of 0, the newest ones.
	Records(after uint64, limit int) ([]audit.Record, error)
	Head() audit.Head
	PublicKey() (text, id string)
	Problem() string // why nothing can be written; empty: it can
}

func (s *Service) auditBindings() []api.Binding {
	return []api.Binding{api.Bind(api.GetAudit, s.records)}
}

func (s *Service) records(_ context.Context, _ api.Caller, a api.AuditArg) (answer api.AuditRecords, err error) {
	if a.Limit == 0 {
		a.Limit = api.DefaultAudit
	}
	if a.Limit < 1 || a.Limit > api.MaxAudit {
		return answer, api.Failf(api.BadArgument, "limit %d: must be from 1 to %d", a.Limit, api.MaxAudit)
	}
	if a.After < 0 {
		return answer, api.Failf(api.BadArgument, "after %d: must be the number of a record", a.After)
	}
	records, err := s.Audit.Records(uint64(a.After), a.Limit)
	if err != nil {
		return answer, api.Failf(api.Unavailable, "the audit log cannot be read: %w; the log of ntptsd and status say more", err)
	}
	for _, r := range records {
		answer.Records = append(answer.Records, shown(r))
	}
	answer.Head, answer.Problem = api.AuditHead(s.Audit.Head()), s.Audit.Problem()
	answer.Key, answer.KeyID = s.Audit.PublicKey()
	return answer, nil
}

func shown(r audit.Record) api.AuditRecord {
	return api.AuditRecord{
		Sequence: r.Sequence, Time: r.Time, Kind: r.Kind, Of: r.Of, Caller: r.Caller, Role: r.Role, From: r.From, Command: r.Command,
		Args: string(r.Args), DryRun: r.DryRun, Confirm: r.Confirm, Key: r.Key, Summary: r.Summary, Before: r.Before, After: r.After,
		Result: r.Result, Error: r.Error, Omitted: r.Omitted, Previous: r.Previous, Hash: r.Hash,
	}
}
