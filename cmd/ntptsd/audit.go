package main

import (
	"log/slog"

	"github.com/ntptsd/ntptsd/internal/audit"
	"github.com/ntptsd/ntptsd/internal/config"
)

// openAudit opens the audit log.
func openAudit(cfg *config.Config, log *slog.Logger) (*audit.Log, error) {
	a := cfg.Audit
	return audit.Open(a.Directory, audit.Options{
		State: cfg.StateDirectory, Keep: a.Keep, MaxSize: int64(a.MaxSize), Syslog: a.Syslog, Version: version(),
	}, log)
}
