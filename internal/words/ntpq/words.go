package ntpq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// question is a word with its arguments.
type question struct {
	key string // the arguments, as they are remembered
	say func(*talk) (string, error)
	cut func(text string) string // what of a text that is everybody's this one wants; nil: all
}

// word is a Word, and what its arguments make of it.
type word struct {
	Word
	parse func(args []string) (question, error)
}

const (
	variableArgs    = "[ASSOCIATION or &INDEX] [NAME ...]"
	associationArg  = "ASSOCIATION or &INDEX"
	associationArgs = "[" + associationArg + "]"
)

var vocabulary = []word{ // never assigned again
	{Word{"peers", "pe", "", "show the sources, which of them the clock follows, and how far off they are"}, plain(billboard(peers, false))},
	{Word{"lpeers", "", "", "as peers, with clients and passive peers too"}, plain(billboard(peers, true))},
	{Word{"apeers", "", "", "as peers, with the association of each"}, plain(billboard(apeers, false))},
	{Word{"opeers", "", "", "as peers, with the local address and the dispersion of each"}, plain(billboard(opeers, false))},
	{Word{"lopeers", "", "", "as opeers, with clients and passive peers too"}, plain(billboard(opeers, true))},
	{Word{"associations", "as", "", "list the associations and how ntpd judges them"}, plain((*talk).associationTable)},
	{Word{"rv", "readvar", variableArgs, "read variables of the system or of an association"}, variables(mode6.OpReadVariables)},
	{Word{"rl", "readlist", associationArgs, "read the usual variables of the system or of an association"}, list},
	{Word{"cv", "clockvar", variableArgs, "read variables of a reference clock"}, variables(mode6.OpReadClock)},
	{Word{"pstats", "", associationArg, "show the counters of an association"}, pstats},
	{Word{"mrulist", "", "[ROWS]", "list who sent packets, the latest first"}, mrulist},
	{Word{"sysinfo", "", "", "show the state of the system"}, plain(summary("sysinfo"))},
	{Word{"sysstats", "", "", "show the counters of packets"}, plain(summary("sysstats"))},
	{Word{"iostats", "", "", "show the counters of input and output"}, plain(summary("iostats"))},
	{Word{"timerstats", "", "", "show the counters of the timer"}, plain(summary("timerstats"))},
	{Word{"monstats", "", "", "show the state and the limits of the list of clients"}, plain(summary("monstats"))},
	{Word{"authinfo", "", "", "show the counters of authentication with keys"}, plain(summary("authinfo"))},
	{Word{"ntsinfo", "", "", "show the counters of NTS; NTPsec only"}, plain(summary("ntsinfo"))},
	{Word{"kerninfo", "kernel", "", "show the kernel's clock"}, plain(summary("kerninfo"))},
	{Word{"ifstats", "", "", "list the interfaces; ntpd wants a key for it"}, plain((*talk).interfaceTable)},
	{Word{"reslist", "", "", "list the restrictions; ntpd wants a key for it"}, plain((*talk).restrictionTable)},
}

var errArgument = errors.New("it does not take that")

func unwanted(arg string) error { return fmt.Errorf("%w: %+.40q", errArgument, arg) }

// plain is a word without arguments.
func plain(say func(*talk) (string, error)) func([]string) (question, error) {
	return func(args []string) (question, error) {
		if len(args) > 0 {
			return question{}, unwanted(args[0])
		}
		return question{say: say}, nil
	}
}

// place is an association as it is asked for: by its id, or by its place in the list of associations, from 1.
type place struct {
	id    uint16
	index int // 0: by id
}

// parsePlace reads one; an empty one is the system.
func parsePlace(s string) (p place, err error) {
	number, indexed := strings.CutPrefix(s, "&")
	if number == "" && !indexed {
		return p, nil
	}
	n, err := strconv.ParseUint(number, 10, 16)
	switch {
	case err != nil || indexed && n == 0:
		return p, fmt.Errorf("%+.40q is neither an association nor an index of one", s)
	case indexed:
		return place{index: int(n)}, nil
	}
	return place{id: uint16(n)}, nil
}

func (p place) String() string {
	if p.index > 0 {
		return fmt.Sprintf("&%d", p.index)
	}
	return strconv.Itoa(int(p.id))
}

// variables are read with the names that are given, apart from each other by commas or blanks, or the usual ones.
func variables(op mode6.Opcode) func([]string) (question, error) {
	return func(args []string) (q question, err error) {
		var where place
		if len(args) > 0 {
			if where, err = parsePlace(args[0]); err != nil {
				return q, err
			}
			args = args[1:]
		}
		names := strings.FieldsFunc(strings.Join(args, ","), func(c rune) bool { return c == ',' || c == ' ' })
		lists, err := mode6.NameLists(names...)
		if err != nil {
			return q, err
		}
		if len(lists) > 1 {
			return q, fmt.Errorf("names for more than one request, which has room for %d characters", mode6.MaxData)
		}
		var data []byte
		if len(lists) == 1 {
			data = lists[0]
		}
		return question{key: fmt.Sprintf("%v %s", where, data), say: func(t *talk) (string, error) { return t.variables(op, where, data) }}, nil
	}
}

func list(args []string) (question, error) {
	if len(args) > 1 {
		return question{}, unwanted(args[1])
	}
	return variables(mode6.OpReadVariables)(args)
}

func pstats(args []string) (question, error) {
	if len(args) != 1 {
		return question{}, fmt.Errorf("%d arguments", len(args))
	}
	where, err := parsePlace(args[0])
	if err == nil && where == (place{}) {
		err = unwanted(args[0])
	}
	if err != nil {
		return question{}, err
	}
	return question{key: where.String(), say: func(t *talk) (string, error) { return t.summary("pstats", where) }}, nil
}

func summary(name string) func(*talk) (string, error) {
	return func(t *talk) (string, error) { return t.summary(name, place{}) }
}

// mrulist is the same walk for all, of which each sees the rows that he wants.
func mrulist(args []string) (question, error) {
	q := question{say: (*talk).clientTable}
	if len(args) > 1 {
		return q, unwanted(args[1])
	}
	if len(args) == 1 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 || n > maxRows {
			return q, fmt.Errorf("%+.40q is no number of rows from 1 to %d", args[0], maxRows)
		}
		q.cut = func(text string) string { return cutRows(text, n) }
	}
	return q, nil
}
