package ntpq

func (sec) tables(word string) []table {
	switch word {
	case "sysinfo":
		return []table{{status: true, all: []field{
			{"peeradr", "system peer:      ", text}, {"peermode", "system peer mode: ", mode}, {"leap", "leap indicator:   ", leap},
			{"stratum", "stratum:          ", number}, {"precision", "log2 precision:   ", number}, {"rootdelay", "root delay:       ", number},
			{"rootdisp", "root dispersion:  ", number}, {"rootdist", "root distance     ", number}, {"refid", "reference ID:     ", text},
			{"reftime", "reference time:   ", timestamp}, {"sys_jitter", "system jitter:    ", number}, {"clk_jitter", "clock jitter:     ", number},
			{"clk_wander", "clock wander:     ", number}, {"authdelay", "symm. auth. delay:", number}}}}
	case "kerninfo":
		return []table{{status: true, all: kernel(number)}}
	case "sysstats":
		return sysstats()
	case "monstats":
		return []table{{all: []field{
			{"mru_enabled", "enabled:              ", number}, {"mru_hashslots", "hash slots in use:    ", number},
			{"mru_depth", "addresses in use:     ", number}, {"mru_deepest", "peak addresses:       ", number},
			{"mru_maxdepth", "maximum addresses:    ", number}, {"mru_mindepth", "reclaim above count:  ", number},
			{"mru_maxage", "reclaim maxage:       ", uptime}, {"mru_minage", "reclaim minage:       ", uptime},
			{"mru_mem", "kilobytes:            ", number}, {"mru_maxmem", "maximum kilobytes:    ", number},
			{"mru_exists", "alloc: exists:        ", number}, {"mru_new", "alloc: new:           ", number},
			{"mru_recycleold", "alloc: recycle old:   ", number}, {"mru_recyclefull", "alloc: recycle full:  ", number},
			{"mru_none", "alloc: none:          ", number}, {"mru_oldest_age", "age of oldest slot:   ", uptime}}}}
	case "iostats":
		return []table{{all: inputOutput(uptime, number, packets)}}
	case "timerstats":
		return []table{{all: []field{
			{"timerstats_reset", "time since reset:  ", uptime}, {"timer_overruns", "timer overruns:    ", number},
			{"timer_xmts", "calls to transmit: ", number}}}}
	case "authinfo":
		return []table{{all: []field{
			{"authreset", "time since reset:    ", uptime}, {"authkeys", "stored keys:         ", number}, {"authfreek", "free keys:           ", number},
			{"authklookups", "key lookups:         ", number}, {"authknotfound", "keys not found:      ", number},
			{"authencrypts", "encryptions:         ", packets}, {"authdigestencrypts", "digest encryptions:  ", packets},
			{"authcmacencrypts", "CMAC encryptions:    ", packets}, {"authdecrypts", "decryptions:         ", packets},
			{"authdigestdecrypts", "digest decryptions:  ", packets}, {"authdigestfails", "digest failures:     ", packets},
			{"authcmacdecrypts", "CMAC decryptions:    ", packets}, {"authcmacfails", "CMAC failures:       ", packets},
			{"authkuncached", "uncached keys:       ", number}, {"authkexpired", "expired keys:        ", number}}}}
	case "ntsinfo":
		return ntsinfo()
	case "pstats":
		return []table{{status: true, all: []field{
			{"srcadr", "remote host:          ", text}, {"dstadr", "local address:        ", text},
			{"timerec", "time last received:   ", uptime}, {"timer", "time until next send: ", uptime},
			{"timereach", "reachability change:  ", number}, {"sent", "packets sent:         ", number},
			{"received", "packets received:     ", number}, {"badauth", "bad authentication:   ", number},
			{"bogusorg", "bogus origin:         ", number}, {"oldpkt", "duplicate:            ", number},
			{"seldisp", "bad dispersion:       ", number}, {"selbroken", "bad reference time:   ", number},
			{"candidate", "candidate order:      ", number}, {"ntscookies", "count of nts cookies: ", number}}}}
	}
	return nil
}

func sysstats() []table {
	return []table{
		{all: []field{{"ss_uptime", "uptime:               ", uptime}, {"ss_numctlreq", "control requests:     ", number}}},
		{recent: true, all: []field{
			{"ss_reset", "sysstats reset:       ", uptime}, {"ss_received", "packets received:     ", packets},
			{"ss_thisver", "current version:      ", packets}, {"ss_oldver", "older version:        ", packets},
			{"ss_ver1", "NTPv1 total:          ", packets}, {"ss_ver1client", "NTPv1 clients:        ", packets},
			{"ss_ver1zero", "NTPv1 mode0:          ", packets}, {"ss_ver1symm", "NTPv1 symm act:       ", packets},
			{"ss_badformat", "bad length or format: ", packets}, {"ss_badauth", "authentication failed:", packets},
			{"ss_declined", "declined:             ", packets}, {"ss_restricted", "restricted:           ", packets},
			{"ss_limited", "rate limited:         ", packets}, {"ss_kodsent", "KoD responses:        ", packets},
			{"ss_processed", "processed for time:   ", packets}}}}
}

func ntsinfo() []table {
	return []table{{all: []field{
		{"nts_client_send", "NTS client sends:          ", number}, {"nts_client_recv_good", "NTS client recvs good:     ", number},
		{"nts_client_recv_bad", "NTS client recvs w error:  ", number}, {"nts_server_recv_good", "NTS server recvs good:     ", number},
		{"nts_server_recv_bad", "NTS server recvs w error:  ", number}, {"nts_server_send", "NTS server sends:          ", number},
		{"nts_cookie_make", "NTS make cookies:          ", number}, {"nts_cookie_decode", "NTS decode cookies:        ", number},
		{"nts_cookie_decode_old", "NTS decode cookies old:    ", number}, {"nts_cookie_decode_old2", "NTS decode cookies old2:   ", number},
		{"nts_cookie_decode_older", "NTS decode cookies older:  ", number}, {"nts_cookie_decode_too_old", "NTS decode cookies too old:", number},
		{"nts_cookie_decode_error", "NTS decode cookies error:  ", number}, {"nts_ke_probes_good", "NTS KE client probes good: ", number},
		{"nts_ke_probes_bad", "NTS KE client probes bad:  ", number}, {"nts_ke_serves_good", "NTS KE serves good:        ", number},
		{"nts_ke_serves_bad", "NTS KE serves bad:         ", number}}}}
}
