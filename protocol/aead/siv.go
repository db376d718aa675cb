package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"sync"
)

// siv is AES-SIV (RFC 5297).
type siv struct {
	mac  cmac
	zero [aes.BlockSize]byte // CMAC of the zero block, where S2V starts

	// CTR's cipher is made when a text needs it: most of NTS's requests encrypt nothing.
	made   sync.Once
	block  cipher.Block
	key    [MaxKeyLen / 2]byte
	keyLen int
}

// setKey takes key in halves: CMAC, then CTR (RFC 5297 section 2.6).
func (v *siv) setKey(key []byte) (err error) {
	s := takeScratch()
	defer s.release()
	half := len(key) / 2
	if err = v.mac.setKey(s, key[:half]); err != nil {
		return err
	}
	var zero [aes.BlockSize]byte
	v.mac.sum(s, zero[:])
	v.zero = s.x
	v.made = sync.Once{}
	v.keyLen = copy(v.key[:], key[half:])
	return nil
}

// ctr is the cipher that encrypts.
func (v *siv) ctr() cipher.Block {
	v.made.Do(func() {
		block, err := aes.NewCipher(v.key[:v.keyLen])
		if err != nil {
			panic("aead: " + err.Error()) // its only error is a length that CMAC's cipher would have refused
		}
		v.block = block
	})
	return v.block
}

func (v *siv) seal(dst, plaintext []byte, components ...[]byte) []byte {
	s := takeScratch()
	defer s.release()
	// All that dst may overlap is read before any of it is written.
	d := v.s2v(s, components)
	tag := v.s2vLast(s, d, plaintext)
	all, out := extend(dst, Overhead+len(plaintext))
	copy(out[Overhead:], plaintext)
	copy(out, tag[:])
	if len(plaintext) > 0 {
		ctrSIV(v.ctr(), s, &tag, out[Overhead:])
	}
	return all
}

func (v *siv) open(dst, ciphertext []byte, components ...[]byte) ([]byte, error) {
	s := takeScratch()
	defer s.release()
	d := v.s2v(s, components)
	tag := [Overhead]byte(ciphertext)
	all, out := extend(dst, len(ciphertext)-Overhead)
	copy(out, ciphertext[Overhead:])
	if len(out) > 0 {
		ctrSIV(v.ctr(), s, &tag, out)
	}
	want := v.s2vLast(s, d, out)
	return verdict(all, out, &tag, &want)
}

// s2v is S2V (RFC 5297 section 2.4) up to the last string, which s2vLast takes.
func (v *siv) s2v(s *scratch, components [][]byte) [aes.BlockSize]byte {
	d := v.zero
	for _, c := range components {
		v.mac.sum(s, c)
		d = double(d)
		subtle.XORBytes(d[:], d[:], s.x[:])
	}
	return d
}

func (v *siv) s2vLast(s *scratch, d [aes.BlockSize]byte, p []byte) [Overhead]byte {
	s.x = [aes.BlockSize]byte{}
	if len(p) < aes.BlockSize {
		d = double(d)
		subtle.XORBytes(d[:], d[:], p)
		d[len(p)] ^= 0x80
		v.mac.finish(s, d[:])
		return s.x
	}
	// "xorend" changes the last 16 octets only: p is chained from where it lies up to the blocks that these touch.
	whole := len(p)&^(aes.BlockSize-1) - aes.BlockSize
	v.mac.absorb(s, p[:whole])
	var end [2 * aes.BlockSize]byte
	n := copy(end[:], p[whole:])
	subtle.XORBytes(end[n-aes.BlockSize:], end[n-aes.BlockSize:n], d[:])
	v.mac.finish(s, end[:n])
	return s.x
}
