package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// cmac is AES-CMAC (RFC 4493) under one key, its chaining value in the caller's scratch.
type cmac struct {
	block  cipher.Block
	k1, k2 [aes.BlockSize]byte // RFC 4493 section 2.3: for a whole last block, and for a padded one
}

// CMAC is the AES-CMAC of message under a key of 16, 24 or 32 octets, for protocols older than AEADs.
func CMAC(key, message []byte) (sum [aes.BlockSize]byte, err error) {
	var c cmac
	s := takeScratch()
	defer s.release()
	if err := c.setKey(s, key); err != nil {
		return sum, err
	}
	c.sum(s, message)
	return s.x, nil
}

func (c *cmac) setKey(s *scratch, key []byte) (err error) {
	if c.block, err = aes.NewCipher(key); err != nil {
		return err
	}
	s.x = [aes.BlockSize]byte{}
	c.block.Encrypt(s.x[:], s.x[:])
	c.k1 = double(s.x)
	c.k2 = double(c.k1)
	return nil
}

// sum leaves the CMAC of p in s.x.
func (c *cmac) sum(s *scratch, p []byte) {
	s.x = [aes.BlockSize]byte{}
	c.finish(s, p)
}

// absorb chains the whole blocks of p into s.x.
func (c *cmac) absorb(s *scratch, p []byte) {
	for ; len(p) >= aes.BlockSize; p = p[aes.BlockSize:] {
		subtle.XORBytes(s.x[:], s.x[:], p[:aes.BlockSize])
		c.block.Encrypt(s.x[:], s.x[:])
	}
}

// finish chains p as the end of the message into s.x.
func (c *cmac) finish(s *scratch, p []byte) {
	if n := len(p) - 1; n >= aes.BlockSize {
		n -= n % aes.BlockSize
		c.absorb(s, p[:n])
		p = p[n:]
	}
	subtle.XORBytes(s.x[:], s.x[:], p)
	if len(p) == aes.BlockSize {
		subtle.XORBytes(s.x[:], s.x[:], c.k1[:])
	} else {
		s.x[len(p)] ^= 0x80
		subtle.XORBytes(s.x[:], s.x[:], c.k2[:])
	}
	c.block.Encrypt(s.x[:], s.x[:])
}

// double multiplies by x in GF(2^128) as CMAC orders bits (RFC 5297 section 2.3).
func double(b [aes.BlockSize]byte) [aes.BlockSize]byte {
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	binary.BigEndian.PutUint64(b[:8], hi<<1|lo>>63)
	binary.BigEndian.PutUint64(b[8:], lo<<1^-(hi>>63)&0x87)
	return b
}
