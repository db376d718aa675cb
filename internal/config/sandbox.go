package config

// Sandbox says how far the daemon gives up what it does not need once its sockets are open.
type Sandbox struct {
	// Mode is best-effort (as far as the kernel can, which is told), require (a kernel that cannot ends the start) or off.
	// Default best-effort. Restart to change.
	Mode string `toml:"mode"`
}

func (s *Sandbox) setDefaults() { *s = Sandbox{Mode: "best-effort"} }

func (s *Sandbox) validate(r *report) {
	r.oneOf("sandbox.mode", s.Mode, "best-effort", "require", "off")
}
