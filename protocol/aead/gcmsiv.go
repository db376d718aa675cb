package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

const (
	gcmNonceLen = 12 // RFC 8452 section 6: N_MIN = N_MAX
	hashKeyLen  = 16 // RFC 8452 section 4: message-authentication key

	// maxDerived counts the blocks that give a message its keys, 8 octets each: two for authentication, and two (AES-128)
	// or four (AES-256) for encryption.
	maxDerived = 6
)

// gcmSIV is AES-GCM-SIV (RFC 8452). The registry's 30 is the one with 16 octets of key; 32 differ in key derivation only.
type gcmSIV struct {
	block   cipher.Block // the key-generating key
	derived int          // blocks of derivation
}

func (g *gcmSIV) setKey(key []byte) (err error) {
	g.block, err = aes.NewCipher(key)
	g.derived = (hashKeyLen + len(key)) / 8
	return err
}

func (g *gcmSIV) seal(dst, nonce, plaintext, data []byte) []byte {
	s := takeScratch()
	defer s.release()
	// All that dst may overlap is read before any of it is written.
	block := g.derive(s, nonce)
	s.hash.absorb(data)
	tag := g.tag(s, block, nonce, plaintext, len(data))
	all, out := extend(dst, len(plaintext)+Overhead)
	text := out[:copy(out, plaintext)]
	copy(out[len(text):], tag[:])
	ctrGCM(block, s, &tag, text)
	return all
}

func (g *gcmSIV) open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	s := takeScratch()
	defer s.release()
	block := g.derive(s, nonce)
	s.hash.absorb(data)
	n := len(ciphertext) - Overhead
	tag := [Overhead]byte(ciphertext[n:])
	nonceCopy := [gcmNonceLen]byte(nonce)
	all, out := extend(dst, n)
	copy(out, ciphertext[:n])
	ctrGCM(block, s, &tag, out)
	want := g.tag(s, block, nonceCopy[:], out, len(data))
	return verdict(all, out, &tag, &want)
}

// derive makes the keys of one nonce (RFC 8452 section 4), readies s.hash with one and returns a cipher with the other.
func (g *gcmSIV) derive(s *scratch, nonce []byte) cipher.Block {
	for i := range g.derived {
		binary.LittleEndian.PutUint32(s.x[:4], uint32(i))
		copy(s.x[4:], nonce)
		g.block.Encrypt(s.x[:], s.x[:])
		copy(s.keys[8*i:], s.x[:8])
	}
	s.hash.reset((*[hashKeyLen]byte)(s.keys[:]))
	block, err := aes.NewCipher(s.keys[hashKeyLen : 8*g.derived])
	if err != nil {
		panic("aead: " + err.Error()) // its only error is a length that setKey's cipher would have refused
	}
	return block
}

// tag completes s.hash, which has seen data octets of associated data, with the plaintext and the lengths in bits.
func (g *gcmSIV) tag(s *scratch, block cipher.Block, nonce, plaintext []byte, data int) [Overhead]byte {
	var lengths [aes.BlockSize]byte
	binary.LittleEndian.PutUint64(lengths[:8], uint64(data)*8)
	binary.LittleEndian.PutUint64(lengths[8:], uint64(len(plaintext))*8)
	s.hash.absorb(plaintext)
	s.hash.absorb(lengths[:])
	s.x = s.hash.sum()
	subtle.XORBytes(s.x[:], s.x[:], nonce)
	s.x[15] &= 0x7f
	block.Encrypt(s.x[:], s.x[:])
	return s.x
}
