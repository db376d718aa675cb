package config

import "path/filepath"

// The bounds of the audit log: a file is read at the start, and all of them may fill the disk.
const (
	minAuditSize = 64 << 10
	maxAuditSize = 64 << 20
	maxAuditKeep = 1000
	auditFolder  = "audit" // in the state directory
)

// Audit is the log of who changed what, or tried to.
type Audit struct {
	// Directory is the folder of its files. Default: audit in the state directory. Restart to change.
	Directory string `toml:"directory"`
	// MaxSize is how many octets a file may have before the next one is begun, 65536 to 67108864. Default 8388608.
	MaxSize int `toml:"max-size"`
	// Keep is how many full files are kept, 1 to 1000; the oldest go first. Default 20.
	Keep int `toml:"keep"`
	// Syslog tells the system log (/dev/log) the head behind each change, where who writes to Directory cannot change it. Default
	// true; without it, and where there is no /dev/log, our own log is told.
	Syslog bool `toml:"syslog"`
}

func (a *Audit) setDefaults() { *a = Audit{MaxSize: 8 << 20, Keep: 20, Syslog: true} }

func (a *Audit) derive(c *Config, given func(key string) bool) {
	if !given("audit.directory") {
		a.Directory = filepath.Join(c.StateDirectory, auditFolder)
	}
}

func (a *Audit) validate(state string, r *report) {
	if a.Directory != filepath.Join(state, auditFolder) { // or it is as wrong as that, which is told
		r.path("audit.directory", a.Directory)
	}
	r.number("audit.max-size", a.MaxSize, minAuditSize, maxAuditSize)
	r.number("audit.keep", a.Keep, 1, maxAuditKeep)
}
