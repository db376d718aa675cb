package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/ntptsd/ntptsd/internal/config"
)

// A sealed record is version 3: a record of version 1 or 2, whole, within AES-256-GCM. The lines above the box are
// authenticated with it, and the sum tells a torn file from one of another seal.
//
//	ntptsd-keys 3
//	cipher aes-256-gcm
//	kdf argon2id 3 65536 4
//	salt 9b1c...
//	box XkDq...
//	sum 6c1f...
//
// The box begins with its random nonce (96 bits, NIST SP 800-38D section 8.2.2: a key makes a record an hour for centuries
// before that matters). Its key is of this file alone, by the random salt: HKDF-SHA256 (RFC 5869) of 32 random octets, or
// Argon2id (RFC 9106) of a passphrase, with the passes, KiB and lanes that the line says: the second choice of section 4.
const (
	sealedVersion = "3"
	sealCipher    = "aes-256-gcm"
	hkdfName      = "hkdf-sha256"
	argon2Name    = "argon2id"

	saltLen   = 16
	sealOctet = 32 // of a random secret, and of the key of the box

	argon2Passes, argon2KiB, argon2Lanes = 3, 64 << 10, 4

	// What a record may ask for: a file that somebody else wrote must not cost minutes or all memory.
	maxPasses, maxKiB, maxLanes = 16, 256 << 10, 16

	minPassphrase = 16 // characters: shorter ones are guessed, whatever a guess costs
	maxSeal       = 4 << 10

	hkdfInfo = "ntptsd key record"
)

var (
	errSealed    = errors.New("is sealed")
	errOtherSeal = errors.New("cannot be opened by this seal: it was sealed by another one, or was changed since")
)

// seal opens and makes boxes. It holds a secret, and prints as its name.
type seal struct {
	random     []byte // 32 octets, or else
	passphrase []byte
	from       string // the configuration's word for it

	kdf  kdf // of key
	salt [saltLen]byte
	key  cipher.AEAD // nil: not derived yet
}

func (s *seal) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "seal %s", s.from) }

// kdf is how a key is made of a secret: zero passes mean HKDF.
type kdf struct {
	passes, kib uint32
	lanes       uint8
}

func (k kdf) String() string {
	if k.passes == 0 {
		return hkdfName
	}
	return fmt.Sprintf("%s %d %d %d", argon2Name, k.passes, k.kib, k.lanes)
}

// readSeal reads the secret that word leads to: a file, or one of systemd's credentials.
func readSeal(word string) (*seal, error) {
	path := word
	if name, ok := strings.CutPrefix(word, config.CredentialPrefix); ok {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, fmt.Errorf("%s: systemd has handed over no credentials (%w): write LoadCredential= or LoadCredentialEncrypted= into the unit",
				word, fs.ErrPermission)
		}
		path = filepath.Join(dir, name)
	}
	b, _, err := readKeys(path, maxSeal, 0o027)
	if err != nil {
		return nil, err
	}
	s := &seal{from: word}
	if len(b) == sealOctet && slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c > '~' }) {
		s.random = b
		return s, nil
	}
	s.passphrase = []byte(strings.TrimRight(string(b), "\r\n"))
	if n := len([]rune(string(s.passphrase))); n < minPassphrase {
		return nil, fmt.Errorf("%s holds neither 32 random octets nor a passphrase of %d characters: make one with "+
			"head -c 32 /dev/urandom", path, minPassphrase)
	}
	return s, nil
}

// derive makes the key for that salt, which it keeps: Argon2id takes a tenth of a second or two.
func (s *seal) derive(k kdf, salt [saltLen]byte) (cipher.AEAD, error) {
	if s.key != nil && s.kdf == k && s.salt == salt {
		return s.key, nil
	}
	var octets []byte
	switch {
	case k.passes == 0 && s.random == nil, k.passes != 0 && s.random != nil:
		return nil, errOtherSeal
	case k.passes == 0:
		var err error
		if octets, err = hkdf.Key(sha256.New, s.random, salt[:], hkdfInfo, sealOctet); err != nil {
			return nil, err
		}
	default:
		octets = argon2.IDKey(s.passphrase, salt[:], k.passes, k.kib, k.lanes, sealOctet)
	}
	block, err := aes.NewCipher(octets)
	clear(octets)
	if err != nil {
		return nil, err
	}
	key, err := cipher.NewGCMWithRandomNonce(block)
	if err == nil {
		s.kdf, s.salt, s.key = k, salt, key
	}
	return key, err
}

// close wraps a record. The salt is that of the file that was opened, if one was.
func (s *seal) close(record []byte) ([]byte, error) {
	k, salt := s.kdf, s.salt
	if s.key == nil {
		_, _ = rand.Read(salt[:]) // never fails
		if s.random == nil {
			k = kdf{argon2Passes, argon2KiB, argon2Lanes}
		}
	}
	key, err := s.derive(k, salt)
	if err != nil {
		return nil, err
	}
	head := sealedHead(k, salt)
	b := fmt.Appendf(nil, "%sbox %s\n", head, boxText().EncodeToString(key.Seal(nil, nil, record, []byte(head))))
	sum := sha256.Sum256(b)
	return fmt.Appendf(b, "%s%s\n", sumLine, hex.EncodeToString(sum[:])), nil
}

func sealedHead(k kdf, salt [saltLen]byte) string {
	return fmt.Sprintf("%s%s\ncipher %s\nkdf %v\nsalt %x\n", recordMagic, sealedVersion, sealCipher, k, salt)
}

// open unwraps one. s is nil for who has no seal.
func (s *seal) open(b []byte) ([]byte, error) {
	x, err := parseSealed(b)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return nil, errSealed
	}
	key, err := s.derive(x.kdf, x.salt)
	if err != nil {
		return nil, err
	}
	record, err := key.Open(nil, nil, x.box, []byte(sealedHead(x.kdf, x.salt)))
	if err != nil {
		s.key = nil // it is for another file
		return nil, errOtherSeal
	}
	return record, nil
}

// sealed is a sealed record as it stands on the disk.
type sealed struct {
	kdf  kdf
	salt [saltLen]byte
	box  []byte
}

// boxText is how a box is written: hexadecimal digits would make the largest record larger than maxRecord.
func boxText() *base64.Encoding { return base64.RawStdEncoding }

// isSealed tells by the first line.
func isSealed(b []byte) bool { return strings.HasPrefix(string(b), recordMagic+sealedVersion+"\n") }

// parseSealed reads what close wrote, and nothing else.
func parseSealed(b []byte) (sealed, error) {
	body, ok := checkSum(b)
	if !ok {
		return sealed{}, errTorn
	}
	var x sealed
	lines := strings.Split(string(body), "\n")
	if len(lines) != 6 {
		return sealed{}, errors.New("has other lines than a sealed record")
	}
	salt, err := hex.DecodeString(strings.TrimPrefix(lines[3], "salt "))
	if err != nil || copy(x.salt[:], salt) != saltLen {
		return sealed{}, errors.New(`has a wrong line "salt"`)
	}
	if x.kdf, err = parseKDF(strings.TrimPrefix(lines[2], "kdf ")); err != nil {
		return sealed{}, fmt.Errorf(`has a wrong line "kdf": %w`, err)
	}
	if x.box, err = boxText().DecodeString(strings.TrimPrefix(lines[4], "box ")); err != nil {
		return sealed{}, errors.New(`has a wrong line "box"`)
	}
	if again := fmt.Sprintf("%sbox %s\n", sealedHead(x.kdf, x.salt), boxText().EncodeToString(x.box)); again != string(body) {
		return sealed{}, errors.New("was not written by ntptsd: it says the same in other words")
	}
	return x, nil
}

func parseKDF(text string) (kdf, error) {
	if text == hkdfName {
		return kdf{}, nil
	}
	words := strings.Split(text, " ")
	if len(words) != 4 || words[0] != argon2Name {
		return kdf{}, errors.New("it is unknown")
	}
	var numbers [3]uint64
	for i, most := range []uint64{maxPasses, maxKiB, maxLanes} {
		n, err := strconv.ParseUint(words[1+i], 10, 32)
		if err != nil || n < 1 || n > most {
			return kdf{}, fmt.Errorf("%q is not from 1 to %d", words[1+i], most)
		}
		numbers[i] = n
	}
	return kdf{uint32(numbers[0]), uint32(numbers[1]), uint8(numbers[2])}, nil
}

// readSeal reads the seal that the configuration names, if it does.
func (r *Ring) readSeal(p policy) (err error) {
	if p.seal == "" {
		return nil
	}
	if r.seal, err = readSeal(p.seal); err != nil {
		return p.errorf("seal", "%w", err)
	}
	return nil
}

// reseal writes a record as the configuration wants it, if it is not so yet: sealed, or no more.
func (r *Ring) reseal(p policy, rec record) error {
	if rec.sealed == p.sealed {
		return nil
	}
	if err := r.write(p, rec); err != nil {
		return p.errorf("sealed", "the record cannot be written anew: %w", err)
	}
	if p.sealed {
		r.log.Info("the key record is sealed from now on", "file", p.file, "seal", p.seal)
	} else {
		r.log.Warn("the key record is sealed no more: take seal and sealed out of the configuration", "file", p.file)
	}
	return nil
}

// write puts a record on the disk, sealed if it is to be.
func (r *Ring) write(p policy, rec record) error {
	b := rec.appendTo(nil)
	if p.sealed {
		var err error
		if b, err = r.seal.close(b); err != nil {
			return err
		}
	}
	return r.save(p.file, b, 0o600)
}
