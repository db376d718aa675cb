package keyring

import (
	"errors"
	"fmt"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"golang.org/x/crypto/cryptobyte"
)

// The key file of ntpd-rs, in big endian:
//
//	seconds u64 | id offset u32 | primary u32 | n u32 | n keys of 64 octets, oldest first
//
// A key's id is the offset plus its place, and may wrap. ntpd-rs truncates the file and writes it in place, and ignores what
// stands behind the last key; we take a file of exactly that size only, which one that is half written has not. Nor is a
// primary taken that points behind the last key, as ntpd-rs takes it and falls over it.

// parseNTPDRS reads a file of at most nativeMaxKeys keys; ntpd-rs keeps eight unless it is told otherwise.
func parseNTPDRS(b []byte) (*held, error) {
	s := cryptobyte.String(b)
	var seconds uint64
	var offset, primary, n uint32
	if !s.ReadUint64(&seconds) || !s.ReadUint32(&offset) || !s.ReadUint32(&primary) || !s.ReadUint32(&n) {
		return nil, errors.New("it is cut off in its head")
	}
	const alg = aead.AESSIVCMAC512
	switch {
	case n < 1 || n > nativeMaxKeys:
		return nil, fmt.Errorf("it has %d keys, not 1 to %d", n, nativeMaxKeys)
	case len(s) != int(n)*alg.KeyLen():
		return nil, fmt.Errorf("%d octets follow its head, not %d for its %d keys", len(s), int(n)*alg.KeyLen(), n)
	case primary >= n:
		return nil, fmt.Errorf("key %d of %d is to mint", primary, n)
	}
	h := &held{primary: int(primary)}
	for i := range n {
		k := key{id: offset + i, alg: alg, secret: secret{len: alg.KeyLen()}}
		if !s.CopyBytes(k.secret.octets[:alg.KeyLen()]) {
			return nil, errors.New("it is cut off") // cannot be: its size is right
		}
		h.keys = append(h.keys, k)
	}
	return h, nil
}
