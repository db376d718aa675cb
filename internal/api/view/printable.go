package view

import (
	"strconv"
	"strings"
	"unicode"
)

// Printable shows what a server chose, such as a name in its certificate, without control characters: these could
// rewrite a terminal, or forge a line that a monitoring system reads.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}
