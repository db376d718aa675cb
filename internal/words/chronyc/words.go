package chronyc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// say asks what a word wants to know, and prints it.
type say func(Ask) (string, error)

// word is a Word, and what its arguments make of it.
type word struct {
	Word
	parse func(args []string) (say, error)
}

const (
	lists   = "[-a] [-v]"
	visits  = "[-p PACKETS] [-k]"
	anIP    = "ADDRESS"
	orAllIP = "[ADDRESS]"
)

var vocabulary = []word{ // never assigned again
	{Word{"tracking", "", "", "show what the clock follows, and how far off it is"}, plain(tracking)},
	{Word{"sources", "", lists, "list the sources; -a: those without an address too, -v: explain the columns"}, listing(sources)},
	{Word{"sourcestats", "", lists, "list the drift and the offset of each source"}, listing(sourceStats)},
	{Word{"selectdata", "", lists, "list how each source fares in the selection, and why"}, listing(selectData)},
	{Word{"sourcename", "", anIP, "show the name that a source was configured with"}, one(sourceName)},
	{Word{"ntpdata", "", orAllIP, "show the last measurement of a source, or of all"}, ntpData},
	{Word{"authdata", "", lists, "list how each source is authenticated"}, listing(authData)},
	{Word{"activity", "", "", "count the sources that are online and offline"}, plain(activity)},
	{Word{"serverstats", "", "", "show the counters of the server"}, plain(serverStats)},
	{Word{"clients", "", visits, "list who asked; -p: those with so many packets at least, -k: count key exchanges instead of commands"}, clients},
	{Word{"smoothing", "", "", "show how the time that is served is smoothed"}, plain(smoothing)},
	{Word{"rtcdata", "", "", "show the real-time clock"}, plain(rtcData)},
}

var errArgument = errors.New("it does not take that")

// plain is a word without arguments.
func plain(s say) func([]string) (say, error) {
	return func(args []string) (say, error) {
		if len(args) > 0 {
			return nil, unwanted(args[0])
		}
		return s, nil
	}
}

func unwanted(arg string) error { return fmt.Errorf("%w: %+.40q", errArgument, arg) }

// shown are the options of lists of sources.
type shown struct{ all, verbose bool }

// shows tells whether a source is listed: without -a, none whose name does not resolve.
func (s shown) shows(a cmdmon.Address) bool { return s.all || a.ID == 0 }

func listing(f func(Ask, shown) (string, error)) func([]string) (say, error) {
	return func(args []string) (say, error) {
		var s shown
		for _, arg := range args {
			switch arg {
			case "-a":
				s.all = true
			case "-v":
				s.verbose = true
			default:
				return nil, unwanted(arg)
			}
		}
		return func(ask Ask) (string, error) { return f(ask, s) }, nil
	}
}

// one is a word about one source.
func one(f func(Ask, cmdmon.Address) (string, error)) func([]string) (say, error) {
	return func(args []string) (say, error) {
		if len(args) != 1 {
			return nil, fmt.Errorf("%d arguments", len(args))
		}
		a, err := parseAddress(args[0])
		if err != nil {
			return nil, err
		}
		return func(ask Ask) (string, error) { return f(ask, a) }, nil
	}
}

// parseAddress reads what sources prints. Names are not looked up: whoever asks is not to make us ask the network.
func parseAddress(s string) (a cmdmon.Address, err error) {
	if number, ok := strings.CutPrefix(s, "ID#"); ok {
		id, err := strconv.ParseUint(number, 10, 32)
		if err == nil && id != 0 {
			return cmdmon.Address{ID: uint32(id)}, nil
		}
	} else if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return cmdmon.Address{IP: ip}, nil
	}
	return a, fmt.Errorf("%+.60q is no address, and names are not looked up", s)
}
