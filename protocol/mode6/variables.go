package mode6

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// MaxVariables bounds the variables of an answer. The longest list that is known, of NTPsec 1.2.5, has about 150.
const MaxVariables = 1024

// Variable is one name and its value as it came, quotes included.
type Variable struct{ Name, Value string }

// Variables are the text of an answer, in the daemon's order, which is not that of the request. Values stay text: between
// versions the same one changes its type.
type Variables []Variable

// ParseVariables reads the data of an answer to OpReadVariables, OpReadClock or, about an association, OpReadStatus.
// No text is refused but of too many variables.
func ParseVariables(data []byte) (Variables, error) {
	var all Variables
	for name, value := range items(printable(data)) {
		if len(all) == MaxVariables {
			return nil, ErrTooLong
		}
		all = append(all, Variable{name, value})
	}
	return all, nil
}

// AppendTo appends the text.
func (v Variables) AppendTo(b []byte) []byte {
	for i, one := range v {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, one.Name...), '='), one.Value...)
	}
	return append(b, "\r\n"...)
}

// Raw is the value of a name as it came; all others below are false if there is none, or not of that form.
func (v Variables) Raw(name string) (string, bool) {
	for _, one := range v {
		if one.Name == name {
			return one.Value, true
		}
	}
	return "", false
}

// Text is a value without its quotes.
func (v Variables) Text(name string) (string, bool) {
	s, ok := v.Raw(name)
	return unquote(s), ok
}

// Float is a number in the daemon's unit.
func (v Variables) Float(name string) (float64, bool) {
	s, _ := v.Raw(name)
	return float(s)
}

// Seconds is, in seconds, what the daemon gives in milliseconds.
func (v Variables) Seconds(name string) (float64, bool) {
	f, ok := v.Float(name)
	return f / 1000, ok
}

// Int is a whole number, decimal or hex.
func (v Variables) Int(name string) (int64, bool) {
	s, _ := v.Raw(name)
	return integer(s)
}

// Time is a timestamp; 0 is never.
func (v Variables) Time(name string) (ntp.Timestamp, bool) {
	s, _ := v.Raw(name)
	return timestamp(s)
}

// Address is an address; its port is 0 if it came without one.
func (v Variables) Address(name string) (netip.AddrPort, bool) {
	s, _ := v.Raw(name)
	return address(s)
}

const filterStages = 8

// Filter is filtdelay, filtoffset or filtdisp in seconds, newest first: the last eight numbers, since NTPsec up to 1.2.2a
// puts garbage and other lists before them. A dispersion of 16 is an empty stage.
func (v Variables) Filter(name string) []float64 {
	s, _ := v.Raw(name)
	var stages []float64
	for word := range strings.FieldsSeq(s) {
		f, ok := float(word)
		if !ok {
			continue
		}
		if len(stages) == filterStages {
			stages = stages[:copy(stages, stages[1:])]
		}
		stages = append(stages, f/1000)
	}
	return stages
}

// NameLists joins names into the data of as few requests as will carry them. Daemons answer none of a request of which
// they do not know one (CodeVariable): then ask for each.
func NameLists(names ...string) ([][]byte, error) {
	odd := func(c rune) bool { return c <= ' ' || c > '~' || c == ',' || c == '=' || c == '"' }
	var lists [][]byte
	var list []byte
	for _, name := range names {
		if name == "" || len(name) > MaxData || strings.ContainsFunc(name, odd) {
			return nil, fmt.Errorf("%w: %.40q", ErrName, name)
		}
		switch {
		case list == nil:
		case len(list)+1+len(name) > MaxData:
			lists, list = append(lists, list), nil
		default:
			list = append(list, ',') // and no blank, which would be part of the name before it
		}
		list = append(list, name...)
	}
	if list != nil {
		lists = append(lists, list)
	}
	return lists, nil
}
