package ntpq

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// value is what the ntpq of NTPsec, a Python program, makes of a variable: a whole number, a number, or text, each printed in
// Python's form.
type value struct {
	text   string // as str gives it
	number float64
	whole  bool
	isText bool
}

// maxNumber is the longest text that is read as a number: beyond it the work would grow with the square.
const maxNumber = 64

func valueOf(raw string) value {
	if len(raw) > 0 && len(raw) <= maxNumber {
		if n, ok := pythonInt(raw); ok {
			f, _ := new(big.Float).SetInt(n).Float64()
			return value{text: n.String(), number: f, whole: true}
		}
		if f, err := strconv.ParseFloat(raw, 64); err == nil && !strings.ContainsAny(raw, "xXpP_") {
			return value{text: pythonFloat(f), number: f}
		}
	}
	return value{text: unquoted(raw), isText: true}
}

// pythonInt is int(s, 0), which takes no zeros before other digits.
func pythonInt(s string) (*big.Int, bool) {
	if digits := strings.TrimLeft(s, "+-"); len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0_") != "" && !strings.ContainsAny(digits[1:2], "xXoObB") {
		return nil, false
	}
	return new(big.Int).SetString(s, 0)
}

// pythonFloat is repr(f): the shortest digits that are f, and at least one after the point.
func pythonFloat(f float64) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	_, exponent, ok := strings.Cut(s, "e")
	if e, err := strconv.Atoi(exponent); !ok || err != nil || e < -4 || e >= 16 {
		return strings.ToLower(strings.TrimPrefix(s, "+"))
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// shown is repr, in which ntpq turns all quotes into double ones.
func (v value) shown() string {
	if !v.isText {
		return v.text
	}
	s := strings.ReplaceAll(v.text, `\`, `\\`)
	if strings.Contains(s, "'") && strings.Contains(s, `"`) {
		s = strings.ReplaceAll(s, "'", `\'`)
	}
	return strings.ReplaceAll("'"+s+"'", "'", `"`)
}

func unquoted(raw string) string {
	s, _ := mode6.Variables{{Name: "x", Value: raw}}.Text("x")
	return s
}
