package chronyc

import (
	"errors"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// maxSources is how many are asked for, so that a list cannot grow without end.
const maxSources = 256

// The legends of -v. That of selectdata is as chrony 4.3 to 4.8 print it, with two commas in a row.
const (
	sourcesLegend = `
  .-- Source mode  '^' = server, '=' = peer, '#' = local clock.
 / .- Source state '*' = current best, '+' = combined, '-' = not combined,
| /             'x' = may be in error, '~' = too variable, '?' = unusable.
||                                                 .- xxxx [ yyyy ] +/- zzzz
||      Reachability register (octal) -.           |  xxxx = adjusted offset,
||      Log2(Polling interval) --.      |          |  yyyy = measured offset,
||                                \     |          |  zzzz = estimated error.
||                                 |    |           \
`
	sourceStatsLegend = `                             .- Number of sample points in measurement set.
                            /    .- Number of residual runs with same sign.
                           |    /    .- Length of measurement set (time).
                           |   |    /      .- Est. clock freq error (ppm).
                           |   |   |      /           .- Est. error in freq.
                           |   |   |     |           /         .- Est. offset.
                           |   |   |     |          |          |   On the -.
                           |   |   |     |          |          |   samples. \
                           |   |   |     |          |          |             |
`
	selectDataLegend = `  . State: N - noselect, s - unsynchronised, M - missing samples,
 /         d/D - large distance, ~ - jittery, w/W - waits for others,
|          S - stale, O - orphan, T - not trusted, P - not preferred,
|          U - waits for update,, x - falseticker, + - combined, * - best.
|   Effective options   ---------.  (N - noselect, P - prefer
|   Configured options  ----.     \  T - trust, R - require)
|   Auth. enabled (Y/N) -.   \     \     Offset interval --.
|                        |    |     |                       |
`
	authDataLegend = `                             .- Auth. mechanism (NTS, SK - symmetric key)
                            |   Key length -.  Cookie length (bytes) -.
                            |       (bits)  |  Num. of cookies --.    |
                            |               |  Key est. attempts  |   |
                            |               |           |         |   |
`
)

const (
	sourcesHeader     = "MS Name/IP address         Stratum Poll Reach LastRx Last sample               "
	sourceStatsHeader = "Name/IP Address            NP  NR  Span  Frequency  Freq Skew  Offset  Std Dev"
	selectDataHeader  = "S Name/IP Address        Auth COpts EOpts Last Score     Interval  Leap"
	authDataHeader    = "Name/IP address             Mode KeyID Type KLen Last Atmp  NAK Cook CLen"
)

// list prints a line for each source, by its index. One that goes away meanwhile ends it.
func list(ask Ask, s shown, legend, header string, line func(*page, cmdmon.Index) error) (string, error) {
	n, err := read(ask, cmdmon.NSources, nil, cmdmon.ParseNSources)
	if err != nil {
		return "", err
	}
	var p page
	if s.verbose {
		p.WriteString(legend)
	}
	if header != "" {
		p.header(header)
	}
	for i := range min(n, maxSources) {
		err := line(&p, cmdmon.Index(i))
		if errors.Is(err, cmdmon.NoSuchSource) {
			return p.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
	if n > maxSources {
		p.linef("(and %d more sources)", n-maxSources)
	}
	return p.String(), nil
}

func sources(ask Ask, shown shown) (string, error) {
	return list(ask, shown, sourcesLegend, sourcesHeader, func(p *page, i cmdmon.Index) error {
		s, err := read(ask, cmdmon.SourceData, i, cmdmon.ParseSource)
		if err != nil || !shown.shows(s.Address) {
			return err
		}
		name := address(s.Address)
		if s.Mode == cmdmon.ModeRefclock && s.Address.IP.Is4() {
			name = letters(s.Address.IP.As4())
		}
		p.linef("%s%s %-27s  %2d  %2d   %3o  %s  %s[%s] +/- %s", pick(int(s.Mode), "^", "=", "#", " "),
			pick(int(s.State), "*", "?", "x", "~", "+", "-", " "), name, s.Stratum, s.Poll, s.Reach, ago(age(s.Since, s.Sampled)),
			offset(s.Offset), offset(s.OrigOffset), span(s.Error))
		return nil
	})
}

func sourceStats(ask Ask, shown shown) (string, error) {
	return list(ask, shown, sourceStatsLegend, sourceStatsHeader, func(p *page, i cmdmon.Index) error {
		s, err := read(ask, cmdmon.SourceStats, i, cmdmon.ParseStatistics)
		if err != nil || !shown.shows(s.Address) {
			return err
		}
		p.linef("%-25s %3d %3d  %s %s %s  %s  %s", named(s.ReferenceID, s.Address), s.Samples, s.Runs, ago(s.Span),
			ppm("+", s.ResidualFrequency), ppm("", s.Skew), offset(s.Offset), span(s.Deviation))
		return nil
	})
}

func selectData(ask Ask, shown shown) (string, error) {
	return list(ask, shown, selectDataLegend, selectDataHeader, func(p *page, i cmdmon.Index) error {
		s, err := read(ask, cmdmon.SelectDataCommand, i, cmdmon.ParseSelection)
		if err != nil || !shown.shows(s.Address) {
			return err
		}
		authenticated := 'N'
		if s.Authenticated {
			authenticated = 'Y'
		}
		p.linef("%c %-25s %c %s %s %s %5.1f %s %s  %s", graphic(s.State), named(s.ReferenceID, s.Address), authenticated,
			options(s.Configured), options(s.Effective), ago(s.LastSample), s.Score, offset(s.Low), offset(s.High),
			pick(int(s.Leap), "N", "+", "-", "?"))
		return nil
	})
}

func options(set uint16) string {
	letters := []byte("NPTR-")
	for i, option := range []uint16{cmdmon.OptionNoSelect, cmdmon.OptionPrefer, cmdmon.OptionTrust, cmdmon.OptionRequire} {
		if set&option == 0 {
			letters[i] = '-'
		}
	}
	return string(letters)
}

func authData(ask Ask, shown shown) (string, error) {
	return list(ask, shown, authDataLegend, authDataHeader, func(p *page, i cmdmon.Index) error {
		s, err := read(ask, cmdmon.SourceData, i, cmdmon.ParseSource)
		if err != nil || s.Mode > cmdmon.ModePeer || !shown.shows(s.Address) {
			return err
		}
		a, err := read(ask, cmdmon.AuthDataCommand, cmdmon.Of(s.Address), cmdmon.ParseAuthData)
		if err != nil {
			return err
		}
		nak := 0
		if a.NAK {
			nak = 1
		}
		p.linef("%-27s %4s %5d %4d %4d %s %4d %4d %4d %4d", address(s.Address), pick(int(a.Mode), "-", "SK", "NTS", "?"), a.KeyID,
			a.KeyType, a.KeyLength, ago(age(a.LastExchange, a.Exchanged)), a.Attempts, nak, a.Cookies, a.CookieLength)
		return nil
	})
}

func sourceName(ask Ask, a cmdmon.Address) (string, error) {
	name, err := read(ask, cmdmon.NTPSourceName, cmdmon.Of(a), cmdmon.ParseSourceName)
	if err != nil {
		return "", err
	}
	const room = 255 // octets, and a NUL
	for i := range len(name) {
		if graphic(name[i]) != name[i] || i >= room {
			return "", badReply{errName}
		}
	}
	return name + "\n", nil
}

var errName = errors.New("a name that is not text")
