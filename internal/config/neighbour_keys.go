package config

// NTPDControl is how ntpd lets itself be changed.
type NTPDControl struct {
	// NTPDKeys is ntpd's keys file, of which the one key is read, each time that something is to be changed. Default: none, and
	// ntpd is not changed.
	NTPDKeys string `toml:"ntpd-keys"`
	// NTPDControlKey is the number of that key, as in the lines trustedkey and controlkey of ntp.conf.
	NTPDControlKey uint16 `toml:"ntpd-control-key"`
}

// Steps says whether the clock may be set from afar.
type Steps struct {
	// AllowStep lets those with the role admin have chronyd step the clock, and tell it the time. Default false.
	AllowStep bool `toml:"allow-step"`
}

// StepAllowed tells whether anybody may have the clock stepped.
func (c *Config) StepAllowed() bool { return c.Management != nil && c.Management.AllowStep }

func (n *NTPDControl) validate(r *report) {
	const file, number = "clock.ntpd-keys", "clock.ntpd-control-key"
	switch {
	case n.NTPDKeys == "" && r.given(number):
		r.add(number, show(n.NTPDControlKey), "is the number of a key in clock.ntpd-keys, and that is not set")
	case n.NTPDKeys == "":
	case n.NTPDControlKey == 0:
		r.add(number, "", "must be the number of the key, 1 to 65535, that stands in the line controlkey of ntp.conf")
		fallthrough
	default:
		r.path(file, n.NTPDKeys)
	}
}
