package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxHeadText bounds a head as text: 20 digits, a hash, a signature, and what is between.
const maxHeadText = 20 + 1 + 64 + 1 + 88

// signed is what the signature of a head is over. Its first line keeps the key from signing anything else.
func (h Head) signed() []byte {
	return fmt.Appendf(nil, "ntptsd audit head\n%d\n%s\n", h.Sequence, h.Hash)
}

// Sign is the head with its signature.
func (h Head) Sign(key ed25519.PrivateKey) Head {
	h.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, h.signed()))
	return h
}

// SignedBy tells whether the holder of the key signed the head.
func (h Head) SignedBy(key ed25519.PublicKey) bool {
	signature, err := base64.StdEncoding.Strict().DecodeString(h.Signature)
	return err == nil && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, h.signed(), signature)
}

// Empty is the head of a log in which nothing stands yet.
func Empty() Head { return Head{Hash: zeros} }

// Head is the end of a log whose last record this is, not signed.
func (r Record) Head() Head { return Head{Sequence: r.Sequence, Hash: r.Hash} }

// String is the head as ParseHead takes it: 34:HASH:SIGNATURE.
func (h Head) String() string {
	text := strconv.FormatUint(h.Sequence, 10) + ":" + h.Hash
	if h.Signature != "" {
		text += ":" + h.Signature
	}
	return text
}

// ParseHead reads what String writes. Whether the signature is right is told by SignedBy.
func ParseHead(text string) (h Head, err error) {
	bad := errors.New("audit: no head: it must be SEQUENCE:HASH or SEQUENCE:HASH:SIGNATURE, as answers and the system log have it")
	if len(text) > maxHeadText {
		return h, bad
	}
	sequence, rest, _ := strings.Cut(text, ":")
	h.Hash, h.Signature, _ = strings.Cut(rest, ":")
	h.Sequence, err = strconv.ParseUint(sequence, 10, 64)
	if err != nil || !isHash(h.Hash) || h.String() != text {
		return Head{}, bad
	}
	if signature, err := base64.StdEncoding.Strict().DecodeString(h.Signature); err != nil || h.Signature != "" && len(signature) != ed25519.SignatureSize {
		return Head{}, bad
	}
	return h, nil
}

// KeyID is what a key is called by: the first 16 hexadecimal digits of its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}
