package mode6

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

const (
	keyIDLen  = 4
	maxDigest = 20 // longer ones are cut

	maxRawKey = 20 // characters of a key in a keys file that are the key; more are its hex
	maxKey    = 64 // octets, as long as the longest hash
)

// ErrKey tells that something is no key. It never has the key's text.
var ErrKey = errors.New("mode6: not a key")

// Algorithm makes the MAC of a key.
type Algorithm uint8

// Hashes are of the key and then the packet, no HMAC; CMAC is of RFC 4493.
const (
	MD5 Algorithm = iota + 1
	SHA1
	SHA256
	SHA384
	SHA512
	AES128CMAC
	AES192CMAC // these two NTPsec only
	AES256CMAC
)

func (a Algorithm) String() string {
	return word(uint8(a), "algorithm", "algorithm 0", "MD5", "SHA1", "SHA256", "SHA384", "SHA512", "AES128CMAC", "AES192CMAC",
		"AES256CMAC")
}

// ParseAlgorithm reads the type of a key as either daemon writes it in its keys file.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch name = strings.ReplaceAll(strings.ToUpper(name), "-", ""); name {
	case "M", "MD5":
		return MD5, nil
	case "SHA", "SHA1":
		return SHA1, nil
	case "AES", "AES128":
		return AES128CMAC, nil
	case "AES192", "AES256":
		name += "CMAC"
	}
	for a := SHA256; a <= AES256CMAC; a++ {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("%w: its type is none that we know", ErrKey)
}

// Key authenticates requests and answers. Immutable, safe for concurrent use. Prints as its id and algorithm only.
type Key struct {
	id     uint16
	alg    Algorithm
	digest func(packet []byte) []byte // has the secret, where no verb of fmt finds it
}

// NewKey makes a key of an id that is not 0. The secret is copied.
func NewKey(id uint16, a Algorithm, secret []byte) (*Key, error) {
	if id == 0 || len(secret) == 0 || len(secret) > maxKey {
		return nil, fmt.Errorf("%w: it has an id from 1 to 65535 and up to %d octets", ErrKey, maxKey)
	}
	secret = append([]byte(nil), secret...)
	k := &Key{id: id, alg: a}
	switch a {
	case MD5:
		k.digest = keyedHash(md5.New, secret)
	case SHA1:
		k.digest = keyedHash(sha1.New, secret)
	case SHA256:
		k.digest = keyedHash(sha256.New, secret)
	case SHA384:
		k.digest = keyedHash(sha512.New384, secret)
	case SHA512:
		k.digest = keyedHash(sha512.New, secret)
	case AES128CMAC, AES192CMAC, AES256CMAC:
		var padded [32]byte // daemons fill shorter keys with zeros
		n := 16 + 8*int(a-AES128CMAC)
		if copy(padded[:n], secret) < len(secret) {
			return nil, fmt.Errorf("%w: %v takes up to %d octets", ErrKey, a, n)
		}
		k.digest = func(packet []byte) []byte {
			sum, _ := aead.CMAC(padded[:n], packet) // the length of the key is right
			return sum[:]
		}
	default:
		return nil, fmt.Errorf("%w: %v is not known", ErrKey, a)
	}
	return k, nil
}

func keyedHash(make func() hash.Hash, secret []byte) func([]byte) []byte {
	return func(packet []byte) []byte {
		h := make()
		_, _ = h.Write(secret)
		_, _ = h.Write(packet)
		return h.Sum(nil)[:min(h.Size(), maxDigest)]
	}
}

// ParseKey reads a line of a keys file: id, type, key, and perhaps a comment.
func ParseKey(line string) (*Key, error) {
	words := strings.Fields(line)
	if len(words) < 3 || len(words) > 3 && !strings.HasPrefix(words[3], "#") {
		return nil, fmt.Errorf("%w: a line has an id, a type and a key", ErrKey)
	}
	id, err := strconv.ParseUint(words[0], 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: its id is no number from 1 to 65535", ErrKey)
	}
	a, err := ParseAlgorithm(words[1])
	if err != nil {
		return nil, err
	}
	secret := []byte(words[2])
	if len(secret) > maxRawKey {
		if secret, err = hex.DecodeString(words[2]); err != nil {
			return nil, fmt.Errorf("%w: more than %d characters have to be hex", ErrKey, maxRawKey)
		}
	}
	return NewKey(uint16(id), a, secret)
}

// ID is what the daemon knows the key by.
func (k *Key) ID() uint16 { return k.id }

func (k *Key) macLen() int {
	if k.alg == MD5 || k.alg >= AES128CMAC {
		return keyIDLen + 16
	}
	return maxMAC
}

// appendMAC appends the MAC of all that begins at start.
func (k *Key) appendMAC(b []byte, start int) []byte {
	digest := k.digest(b[start:])
	return append(binary.BigEndian.AppendUint32(b, uint32(k.id)), digest...)
}

// Verify tells with ErrMAC that a datagram does not end in its MAC by this key. Where the MAC stands is counted from the
// end, since versions do not agree on the padding before it; it never covers data.
func (k *Key) Verify(datagram []byte) error {
	h, _, ok := parseHeader(datagram)
	at := len(datagram) - k.macLen()
	if !ok || at < headerLen+int(h.count) || binary.BigEndian.Uint32(datagram[at:]) != uint32(k.id) ||
		subtle.ConstantTimeCompare(k.digest(datagram[:at]), datagram[at+keyIDLen:]) != 1 {
		return ErrMAC
	}
	return nil
}

// Format prints id and algorithm only, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.name()) }

// LogValue logs id and algorithm only.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.name()) }

func (k Key) name() string { return fmt.Sprintf("mode 6 key %d (%v)", k.id, k.alg) }

// Alignment is the multiple at which a daemon looks for the MAC of a request. At the other one it finds none, and answers
// with CodePermission.
type Alignment int

// Where daemons look, by version.
const (
	Align8 Alignment = 8 // classic ntpd, NTPsec up to 1.2.2a
	Align4 Alignment = 4 // NTPsec from 1.2.3 on
)

// AlignmentOf guesses from the system variable version.
func AlignmentOf(version string) Alignment {
	_, rest, ok := strings.Cut(version, "ntpsec-")
	if !ok {
		return Align8
	}
	var major, minor, patch int
	if n, _ := fmt.Sscanf(rest, "%d.%d.%d", &major, &minor, &patch); n == 3 && (major > 1 || minor > 2 || minor == 2 && patch > 2) {
		return Align4
	}
	return Align8
}

// AppendSigned appends the datagram with the MAC of k instead of the Trailer.
func (r Request) AppendSigned(b []byte, k *Key, a Alignment) ([]byte, error) {
	if a != Align4 && a != Align8 {
		return b, fmt.Errorf("%w: no daemon aligns a MAC to %d octets", ErrRequest, a)
	}
	start := len(b)
	r.Trailer = nil
	b, err := r.AppendTo(b)
	if err != nil {
		return b, err
	}
	return k.appendMAC(pad(b, start, int(a)), start), nil
}
