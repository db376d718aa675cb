package sockets

import (
	"strings"
	"testing"
)

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	for _, m := range []message{
		{say: sayNext}, {say: sayFreeze}, {say: sayReady}, {say: sayTaken}, {say: sayLock}, {say: sayEnd}, {say: sayFrozen}, {say: sayYours},
		{say: saySocket, name: nameKeyExchange, made: true}, {say: saySocket, name: nameControl}, {say: saySocket, name: namePlain, made: true},
		{say: sayNo, text: "the disk is full: make room, and try again"}, {say: sayNo},
	} {
		b := appendMessage(nil, m)
		if got, err := parseMessage(b); err != nil || got != m {
			t.Errorf("%q is read as %+v, %v", b, got, err)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, line := range []string{
		"", "\n", "next", "next \n", "next 1\n", " next\n", "NEXT\n", "next\nnext\n", "next\r\n", "socket\n", "socket keyexchange\n",
		"socket keyexchange \n", "socket keyexchange mad\n", "socket keyexchange made \n", "socket shadow made\n", "socket  made\n",
		"no\n", "no \x1b[31m\n", "no \xff\n", "give\n", "no " + strings.Repeat("a", maxMessage) + "\n",
	} {
		if m, err := parseMessage([]byte(line)); err == nil {
			t.Errorf("%q is read as %+v", line, m)
		}
	}
}

// What is wrong may be said in any words: it is cut, and does nothing to a terminal.
func TestRefusalsFit(t *testing.T) {
	b := appendMessage(nil, message{say: sayNo, text: strings.Repeat("\x1b[31m\n\xff", 1000)})
	m, err := parseMessage(b)
	if err != nil || len(b) > maxMessage || strings.ContainsAny(m.text, "\x1b\n\ufffd") {
		t.Errorf("%d octets, %q, %v", len(b), m.text, err)
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{"next\n", "freeze\n", "socket keyexchange made\n", "socket control unit\n", "no reason\n", "yours\n", "lock\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			if m != (message{}) {
				t.Fatalf("%q gives %+v beside an error", b, m)
			}
			return
		}
		if again := appendMessage(nil, m); string(again) != string(b) {
			t.Fatalf("%q is written as %q", b, again)
		}
	})
}
