package cookie

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

const (
	prefixRoom = 4                             // the longest of what dialects put before the keys
	maxPlain   = prefixRoom + 2*aead.MaxKeyLen // of a sealed session, in all dialects
)

// Session is what a cookie carries: the AEAD and both keys. Prints as its name only.
type Session struct {
	id aead.ID
	// plain has the keys where Open decrypts them to: room for a dialect's prefix, C2S, S2C, zeros.
	plain [maxPlain]byte
}

// Set copies the keys, which have the length that the AEAD wants.
func (s *Session) Set(id aead.ID, c2s, s2c []byte) error {
	s.Zero()
	n := id.KeyLen()
	if n == 0 || len(c2s) != n || len(s2c) != n {
		return fmt.Errorf("cookie: session of %v has keys of %d and %d octets instead of %d", id, len(c2s), len(s2c), n)
	}
	s.id = id
	copy(s.C2S(), c2s)
	copy(s.S2C(), s2c)
	return nil
}

// AEAD is what both keys are for; 0 for a zero Session.
func (s *Session) AEAD() aead.ID { return s.id }

// C2S is the key of the client's requests. It aliases s.
func (s *Session) C2S() []byte { return s.key(0) }

// S2C is the key of the server's responses. It aliases s.
func (s *Session) S2C() []byte { return s.key(1) }

func (s *Session) key(i int) []byte {
	n := s.id.KeyLen()
	from := prefixRoom + i*n
	return s.plain[from : from+n : from+n]
}

// Zero forgets the keys.
func (s *Session) Zero() { *s = Session{} }

const sessionName = "cookie.Session"

// Format prints the name only, whatever the verb.
func (s Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, sessionName) }

// LogValue logs the name only.
func (s Session) LogValue() slog.Value { return slog.StringValue(sessionName) }
