package keyring

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

// secret is the octets of a key. It prints, logs and marshals as its name only; hex is the one way out, for files.
type secret struct {
	len    int
	octets [aead.MaxKeyLen]byte
}

func newSecret(alg aead.ID) secret {
	s := secret{len: alg.KeyLen()}
	_, _ = rand.Read(s.octets[:s.len]) // never fails: crypto/rand ends the program instead
	return s
}

// parseSecret reads exactly the hex digits of a key of alg. Its errors do not show them.
func parseSecret(alg aead.ID, digits string) (secret, error) {
	s := secret{len: alg.KeyLen()}
	if s.len == 0 {
		return secret{}, fmt.Errorf("%v is unknown", alg)
	}
	if len(digits) != 2*s.len {
		return secret{}, fmt.Errorf("a key of %v has %d hex digits, not %d", alg, 2*s.len, len(digits))
	}
	if _, err := hex.Decode(s.octets[:], []byte(digits)); err != nil {
		return secret{}, errors.New("key is not hexadecimal")
	}
	return s, nil
}

func (s secret) bytes() []byte { return s.octets[:s.len] }
func (s secret) hex() string   { return hex.EncodeToString(s.octets[:s.len]) }

const secretName = "keyring.secret"

func (s secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(secretName)) }
func (s secret) LogValue() slog.Value         { return slog.StringValue(secretName) }
func (s secret) MarshalText() ([]byte, error) { return []byte(secretName), nil }

// fingerprint names the key to people: enough to compare two machines, nothing to compute the key from.
func (k *key) fingerprint() string {
	h := sha256.New()
	h.Write([]byte("ntptsd cookie key fingerprint\x00"))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(k.alg)))
	h.Write(k.secret.bytes())
	return hex.EncodeToString(h.Sum(nil)[:4])
}

func (k key) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "key %08x (%s)", k.id, k.fingerprint())
}
func (k key) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }
