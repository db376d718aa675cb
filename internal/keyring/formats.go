package keyring

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// The neighbours' key files, as their daemons read and write them; that of ntpd-rs is in ntpdrs.go:
//
//	NKS0               NKS1                    T: <seconds>      NTPsec: T 0 switches its own rotation off,
//	<aead> <age>       <age>                   L: <key length>   the first pair mints
//	<id> <key>  (4)    <id> <key> <aead>  (4)  I: <id>
//	                                           K: <key>          (1 to 10 pairs)
//
// chrony's ids are hexadecimal, its lines stand oldest first and the third one mints, as in our sets; age, the seconds
// since its own last rotation, means nothing where ntptsd rotates. NTPsec's ids are decimal; newer pairs stand first.
const (
	nks0, nks1, ntpsecKeys = "nks0", "nks1", "ntpsec"

	maxNeighbourFile = 16 << 10 // octets; ten keys of NTPsec take 1.5 k
)

// appendFormat writes the keys of a set in their order.
func appendFormat(b []byte, format string, keys []key) []byte {
	switch format {
	case nks0:
		b = fmt.Appendf(b, "NKS0\n%d 0.0\n", keys[0].alg)
		for _, k := range keys {
			b = fmt.Appendf(b, "%08X %s\n", k.id, strings.ToUpper(k.secret.hex()))
		}
	case nks1:
		b = append(b, "NKS1\n0.0\n"...)
		for _, k := range keys {
			b = fmt.Appendf(b, "%08X %s %d\n", k.id, strings.ToUpper(k.secret.hex()), k.alg)
		}
	case ntpsecKeys:
		b = fmt.Appendf(b, "T: 0\nL: %d\n", keys[0].secret.len)
		for _, k := range toNTPsec(keys) {
			b = fmt.Appendf(b, "I: %d\nK: %s\n", k.id, k.secret.hex())
		}
	}
	return b
}

// toNTPsec is the order of NTPsec: what mints first, then the next key, then the old ones from new to old. ntpd reads
// ten pairs; where there are eleven, it is the next key that waits, for nobody has a cookie under it.
func toNTPsec(keys []key) []key {
	n := len(keys)
	ordered := []key{keys[n-2], keys[n-1]}
	if n > ntpsecFileKeys {
		ordered = ordered[:1]
	}
	for _, old := range slices.Backward(keys[:n-2]) {
		ordered = append(ordered, old)
	}
	return ordered
}

// held is what a neighbour's file holds: keys with id, AEAD and secret.
type held struct {
	keys    []key // oldest first
	primary int   // the one that mints
	stopped bool  // NTPsec: T is 0, which switches its own rotation off
}

// parseFormat reads a file of the dialect's daemon.
func parseFormat(d cookie.Dialect, b []byte) (*held, error) {
	switch d {
	case cookie.NTPsec:
		return parseNTPsec(string(b))
	case cookie.NTPDRS:
		return parseNTPDRS(b)
	}
	return parseNKS(string(b))
}

// parseNKS takes what chronyd 4.4 and later take, and no more: it checks the slots, and refuses carriage returns.
func parseNKS(text string) (*held, error) {
	magic, text, _ := strings.Cut(text, "\n")
	if magic != "NKS0" && magic != "NKS1" {
		return nil, errors.New("first line is neither NKS0 nor NKS1")
	}
	head, text := nksLine(text)
	alg, ok := "", len(head) == 1
	if magic == "NKS0" {
		if ok = len(head) == 2; ok {
			alg, head = head[0], head[1:]
		}
	}
	if !ok || !isNumber(head[0]) {
		return nil, errors.New("line 2 is wrong")
	}
	h := &held{primary: chronyKeys - 2}
	for i := range chronyKeys {
		var words []string
		words, text = nksLine(text)
		if alg != "" {
			words = append(words, alg)
		}
		k, err := parseNKSKey(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", 3+i, err)
		}
		if i > 0 && k.id&3 != (h.keys[i-1].id+1)&3 {
			return nil, fmt.Errorf("line %d: the id is out of sequence", 3+i)
		}
		h.keys = append(h.keys, k)
	}
	return h, nil
}

// nksLine cuts a line into its words: blanks and tabs separate, a carriage return is part of a word.
func nksLine(text string) (words []string, rest string) {
	line, rest, _ := strings.Cut(text, "\n")
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' }), rest
}

func isNumber(word string) bool {
	_, err := strconv.ParseFloat(word, 64)
	return err == nil
}

func parseNKSKey(words []string) (k key, err error) {
	if len(words) != 3 {
		return k, errors.New("want an id and a key, and with NKS1 an aead")
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(words[0], "0x"), "0X")
	id, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return k, errors.New("the id is no hexadecimal number of 32 bits")
	}
	alg, err := strconv.ParseUint(words[2], 10, 16)
	if err != nil || !cookie.Chrony.SealsWith(aead.ID(alg)) {
		return k, errors.New("the aead is neither 15 nor 30")
	}
	k = key{id: uint32(id), alg: aead.ID(alg)}
	k.secret, err = parseSecret(k.alg, words[1])
	return k, err
}

// parseNTPsec takes what ntpd reads in full; text after the last pair, which it ignores, is refused: with a key that
// is too long ntpd would read the first pairs only.
func parseNTPsec(text string) (*held, error) {
	words := labelled(text)
	seconds, words, ok := value(words, "T:")
	newest, err := strconv.ParseUint(seconds, 10, 64)
	if !ok || err != nil {
		return nil, errors.New("want T: and the seconds of the newest key")
	}
	length, words, ok := value(words, "L:")
	alg, known := ntpsecAEAD(length)
	if !ok || !known {
		return nil, errors.New("want L: and a key length of 32, 48 or 64")
	}
	var keys []key
	for len(keys) < ntpsecFileKeys && (len(words) > 0 || len(keys) == 0) {
		var id, digits string
		id, words, ok = value(words, "I:")
		number, err := strconv.ParseUint(id, 10, 32)
		if !ok || err != nil {
			return nil, fmt.Errorf("pair %d: want I: and a decimal id", len(keys)+1)
		}
		if digits, words, ok = value(words, "K:"); !ok {
			return nil, fmt.Errorf("pair %d: want K: and a key", len(keys)+1)
		}
		s, err := parseSecret(alg, digits)
		if err != nil {
			return nil, fmt.Errorf("pair %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key{id: uint32(number), alg: alg, secret: s})
	}
	slices.Reverse(keys)
	return &held{keys: keys, primary: len(keys) - 1, stopped: newest == 0}, nil
}

// labelled cuts the text into words; a label like "T:" is a word of its own even when no blank follows.
func labelled(text string) []string {
	return strings.Fields(strings.ReplaceAll(text, ":", ": "))
}

func value(words []string, label string) (word string, rest []string, ok bool) {
	if len(words) < 2 || words[0] != label {
		return "", nil, false
	}
	return words[1], words[2:], true
}

func ntpsecAEAD(length string) (aead.ID, bool) {
	for _, id := range []aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512} {
		if length == strconv.Itoa(id.KeyLen()) {
			return id, true
		}
	}
	return 0, false
}
