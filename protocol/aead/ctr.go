package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// streamBlocks counters are laid out before they are encrypted: the processor then works on several at once.
const streamBlocks = 8

// ctrSIV encrypts or decrypts text in place. The counter starts at the tag less two bits (RFC 5297 section 2.6), which
// keep it from carrying out of its last 64 within MaxText.
func ctrSIV(b cipher.Block, s *scratch, tag *[Overhead]byte, text []byte) {
	high := binary.NativeEndian.Uint64(tag[:8])
	counter := binary.BigEndian.Uint64(tag[8:]) &^ (1<<63 | 1<<31)
	for len(text) > 0 {
		n := min(len(text), len(s.stream))
		for i := 0; i < n; i += aes.BlockSize {
			block := (*[aes.BlockSize]byte)(s.stream[i:])
			binary.NativeEndian.PutUint64(block[:8], high)
			binary.BigEndian.PutUint64(block[8:], counter)
			counter++
		}
		xorStream(b, s, text[:n])
		text = text[n:]
	}
}

// ctrGCM encrypts or decrypts text in place. The counter is the first 32 bits, little-endian, and wraps round (RFC 8452
// section 4).
func ctrGCM(b cipher.Block, s *scratch, tag *[Overhead]byte, text []byte) {
	iv := *tag
	iv[15] |= 0x80
	counter := binary.LittleEndian.Uint32(iv[:4])
	for len(text) > 0 {
		n := min(len(text), len(s.stream))
		for i := 0; i < n; i += aes.BlockSize {
			binary.LittleEndian.PutUint32(iv[:4], counter)
			*(*[aes.BlockSize]byte)(s.stream[i:]) = iv
			counter++
		}
		xorStream(b, s, text[:n])
		text = text[n:]
	}
}

// xorStream encrypts the counters for text in s.stream and adds them to text.
func xorStream(b cipher.Block, s *scratch, text []byte) {
	for i := 0; i < len(text); i += aes.BlockSize {
		block := s.stream[i : i+aes.BlockSize]
		b.Encrypt(block, block)
	}
	subtle.XORBytes(text, text, s.stream[:])
}
