package sockets

import (
	"bytes"
	"errors"
	"strings"
)

// TakeOverProtocol is the version of what two ntptsd say to each other when one hands its sockets to the other, as they name it
// in the header Upgrade. A change that an older one would misunderstand gets the next number.
const TakeOverProtocol = "ntptsd-take-over/1"

// The words of it, one a line. The new one asks and the old one answers, in turn: see HandOver.
const (
	sayNext   = "next"   // new: the next thing, please
	sayFreeze = "freeze" // new: change no file from now on
	sayReady  = "ready"  // new: I could serve
	sayTaken  = "taken"  // new: I serve

	sayLock   = "lock"   // old, with the descriptor: of the state directory
	saySocket = "socket" // old, with the descriptor: NAME made|unit
	sayEnd    = "end"    // old: there is nothing more
	sayFrozen = "frozen" // old: I do not
	sayYours  = "yours"  // old: all is yours; there is no way back

	sayNo = "no" // both: what is wrong, and nothing follows
)

// maxMessage bounds a line: what a peer may make us hold.
const maxMessage = 512

// message is one line.
type message struct {
	say  string
	name string // of a socket: what FileDescriptorName= says
	made bool   // the socket was opened for the configuration; else it belongs to a socket unit
	text string // what is wrong
}

var errMessage = errors.New("sockets: not a message of " + TakeOverProtocol)

// appendMessage never makes a line longer than maxMessage.
func appendMessage(b []byte, m message) []byte {
	start := len(b)
	b = append(b, m.say...)
	switch m.say {
	case saySocket:
		kind := " unit"
		if m.made {
			kind = " made"
		}
		b = append(append(append(b, ' '), m.name...), kind...)
	case sayNo:
		b = append(append(b, ' '), printable(m.text)...)
	}
	b = b[:min(len(b), start+maxMessage-1)]
	return append(b, '\n')
}

// parseMessage wants one whole line.
func parseMessage(b []byte) (m message, err error) {
	line, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok || len(b) > maxMessage || string(line) != printable(string(line)) {
		return m, errMessage
	}
	say, rest, more := strings.Cut(string(line), " ")
	m.say = say
	switch say {
	case sayNext, sayFreeze, sayReady, sayTaken, sayLock, sayEnd, sayFrozen, sayYours:
		if more {
			return message{}, errMessage
		}
	case saySocket:
		name, kind, _ := strings.Cut(rest, " ")
		if !isName(name) || kind != "made" && kind != "unit" {
			return message{}, errMessage
		}
		m.name, m.made = name, kind == "made"
	case sayNo:
		if !more {
			return message{}, errMessage
		}
		m.text = rest
	default:
		return message{}, errMessage
	}
	return m, nil
}

// printable is ASCII that does nothing to a terminal or a log.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// isName tells the names of sockets that we know.
func isName(name string) bool {
	switch name {
	case nameKeyExchange, nameTime, nameControl, nameMonitoring, namePlain, nameCertsHTTP, nameCertsALPN:
		return true
	}
	return false
}
