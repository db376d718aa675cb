package ntpq

// table is a part of a summary: variables of which each has a line.
type table struct {
	status bool // a line of the status comes first
	recent bool // two columns, the second of which is of the names with this behind them
	all    []field
}

const recent = "_r"

type field struct {
	name, legend string
	form         form
}

// form is how a variable is printed.
type form int

const (
	text      form = iota // as it came, but for quotes
	mode                  // of an association
	leap                  // two bits
	timestamp             //
	hostPort              // classic: an address and, from the variable of the same name but for "port", its port
	number                // NTPsec from here on
	uptime                // seconds
	packets               // a counter, and its rate since the uptime before it
)

// names are all that a table asks for.
func (t table) names() (names []string) {
	for _, f := range t.all {
		names = append(names, f.name)
		if f.form == hostPort {
			names = append(names, portOf(f.name))
		}
	}
	if t.recent {
		for _, f := range t.all {
			names = append(names, f.name+recent)
		}
	}
	return names
}

// portOf is srcport for srcadr.
func portOf(address string) string { return address[:len(address)-len("adr")] + "port" }

func (classic) tables(word string) []table {
	switch word {
	case "sysinfo":
		return []table{{status: true, all: []field{
			{"peeradr", "system peer:      ", text}, {"peermode", "system peer mode: ", mode}, {"leap", "leap indicator:   ", leap},
			{"stratum", "stratum:          ", text}, {"precision", "log2 precision:   ", text}, {"rootdelay", "root delay:       ", text},
			{"rootdisp", "root dispersion:  ", text}, {"refid", "reference ID:     ", text}, {"reftime", "reference time:   ", timestamp},
			{"sys_jitter", "system jitter:    ", text}, {"clk_jitter", "clock jitter:     ", text}, {"clk_wander", "clock wander:     ", text},
			{"bcastdelay", "broadcast delay:  ", text}, {"authdelay", "symm. auth. delay:", text}}}}
	case "kerninfo":
		return []table{{status: true, all: kernel(text)}}
	case "sysstats":
		return []table{{all: []field{
			{"ss_uptime", "uptime:               ", text}, {"ss_reset", "sysstats reset:       ", text},
			{"ss_received", "packets received:     ", text}, {"ss_thisver", "current version:      ", text},
			{"ss_oldver", "older version:        ", text}, {"ss_badformat", "bad length or format: ", text},
			{"ss_badauth", "authentication failed:", text}, {"ss_declined", "declined:             ", text},
			{"ss_restricted", "restricted:           ", text}, {"ss_limited", "rate limited:         ", text},
			{"ss_kodsent", "KoD responses:        ", text}, {"ss_processed", "processed for time:   ", text}}}}
	case "monstats":
		return []table{{all: []field{
			{"mru_enabled", "enabled:            ", text}, {"mru_depth", "addresses:          ", text},
			{"mru_deepest", "peak addresses:     ", text}, {"mru_maxdepth", "maximum addresses:  ", text},
			{"mru_mindepth", "reclaim above count:", text}, {"mru_maxage", "reclaim older than: ", text},
			{"mru_mem", "kilobytes:          ", text}, {"mru_maxmem", "maximum kilobytes:  ", text}}}}
	case "iostats":
		return []table{{all: inputOutput(text, text, text)}}
	case "timerstats":
		return []table{{all: []field{
			{"timerstats_reset", "time since reset:  ", text}, {"timer_overruns", "timer overruns:    ", text},
			{"timer_xmts", "calls to transmit: ", text}}}}
	case "authinfo":
		return []table{{all: []field{
			{"authreset", "time since reset:", text}, {"authkeys", "stored keys:     ", text}, {"authfreek", "free keys:       ", text},
			{"authklookups", "key lookups:     ", text}, {"authknotfound", "keys not found:  ", text}, {"authkuncached", "uncached keys:   ", text},
			{"authkexpired", "expired keys:    ", text}, {"authencrypts", "encryptions:     ", text}, {"authdecrypts", "decryptions:     ", text}}}}
	case "pstats":
		return []table{{status: true, all: []field{
			{"srcadr", "remote host:         ", hostPort}, {"dstadr", "local address:       ", hostPort},
			{"timerec", "time last received:  ", text}, {"timer", "time until next send:", text},
			{"timereach", "reachability change: ", text}, {"sent", "packets sent:        ", text}, {"received", "packets received:    ", text},
			{"badauth", "bad authentication:  ", text}, {"bogusorg", "bogus origin:        ", text}, {"oldpkt", "duplicate:           ", text},
			{"seldisp", "bad dispersion:      ", text}, {"selbroken", "bad reference time:  ", text}, {"candidate", "candidate order:     ", text}}}}
	}
	return nil
}

// kernel and inputOutput are the same with both but for the forms.
func kernel(f form) []field {
	return []field{
		{"koffset", "pll offset:          ", f}, {"kfreq", "pll frequency:       ", f}, {"kmaxerr", "maximum error:       ", f},
		{"kesterr", "estimated error:     ", f}, {"kstflags", "kernel status:       ", text}, {"ktimeconst", "pll time constant:   ", f},
		{"kprecis", "precision:           ", f}, {"kfreqtol", "frequency tolerance: ", f}, {"kppsfreq", "pps frequency:       ", f},
		{"kppsstab", "pps stability:       ", f}, {"kppsjitter", "pps jitter:          ", f}, {"kppscalibdur", "calibration interval ", f},
		{"kppscalibs", "calibration cycles:  ", f}, {"kppsjitexc", "jitter exceeded:     ", f}, {"kppsstbexc", "stability exceeded:  ", f},
		{"kppscaliberrs", "calibration errors:  ", f}}
}

func inputOutput(since, f, counter form) []field {
	return []field{
		{"iostats_reset", "time since reset:     ", since}, {"total_rbuf", "receive buffers:      ", f}, {"free_rbuf", "free receive buffers: ", f},
		{"used_rbuf", "used receive buffers: ", f}, {"rbuf_lowater", "low water refills:    ", f}, {"io_dropped", "dropped packets:      ", counter},
		{"io_ignored", "ignored packets:      ", counter}, {"io_received", "received packets:     ", counter}, {"io_sent", "packets sent:         ", counter},
		{"io_sendfailed", "packet send failures: ", counter}, {"io_wakeups", "input wakeups:        ", f}, {"io_goodwakeups", "useful input wakeups: ", f}}
}
