package main

import (
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/ntptsd/ntptsd/internal/api/view"
)

// Text by the cells of a terminal, of which a letter takes one, two or none.

// maxOctets bounds what is looked at of a text, by cell: a letter has up to four octets, and marks may follow it.
const maxOctets = 8

// fit is a text within so many cells: cut, with nothing in it that acts on the terminal, and nothing that piles up in one cell.
func fit(s string, width int) string {
	if width <= 0 {
		return ""
	}
	var b strings.Builder
	used, cut := 0, 0 // cut is where the text ends if there is to be room for a sign that it goes on
	for _, r := range view.Printable(s[:min(len(s), maxOctets*width)]) {
		w := runeCells(r)
		switch {
		case w == 0:
			continue
		case used+w > width:
			return b.String()[:cut] + "…"
		}
		b.WriteRune(r)
		if used += w; used < width {
			cut = b.Len()
		}
	}
	return b.String()
}

func runeCells(r rune) int {
	if r < utf8.RuneSelf {
		return 1
	}
	return lipgloss.Width(string(r))
}

// cells is how wide a text is that fit has made.
func cells(s string) (n int) {
	for _, r := range s {
		n += runeCells(r)
	}
	return n
}

// pad is fit with spaces behind.
func pad(s string, width int) string {
	s = fit(s, width)
	return s + strings.Repeat(" ", max(width-cells(s), 0))
}

// wrap breaks a text between words into lines of so many cells, and words where it must.
func wrap(s string, width int) []string {
	width = max(width, 1)
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(fit(s, maxError)) {
		n := cells(word)
		if line != "" && used+1+n <= width {
			line, used = line+" "+word, used+1+n
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for n > width {
			first := beginning(word, width)
			if first == word { // one letter that is too wide
				break
			}
			lines, word, n = append(lines, first), word[len(first):], n-cells(first)
		}
		line, used = word, n
	}
	return append(lines, line)
}

// beginning is as much of a text as is within so many cells, one letter at least.
func beginning(s string, width int) string {
	used := 0
	for i, r := range s {
		if used += runeCells(r); used > width && i > 0 {
			return s[:i]
		}
	}
	return s
}
