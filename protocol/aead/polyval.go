package aead

import (
	"encoding/binary"
	"math/bits"
)

// polyval is POLYVAL (RFC 8452 section 3): a running sum over blocks, each step sum = (sum + block) * key * x^-128 in
// GF(2)[x]/(x^128 + x^127 + x^126 + x^121 + 1), the least significant bit of the first octet being x^0.
//
// There are no tables and no branches on data. A carry-less product of 64-bit words is made of integer products: with only
// every fourth bit set, up to 15 additions to a bit cannot carry into the next one that counts (the idea of BearSSL's
// ctmul64). 16 bits to a factor would reach 16 in the middle, so the key's top four bits are added apart.
type polyval struct {
	lo, hi uint64
	key    [3]factor // low word, high word, their sum (Karatsuba)
}

// factor is a word of the key made ready: every fourth bit of the low 60, by offset, and a mask for each of the top four.
type factor struct{ comb, top [4]uint64 }

const everyFourth = 0x1111111111111111

func (p *polyval) reset(key *[hashKeyLen]byte) {
	lo, hi := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	p.lo, p.hi = 0, 0
	for i, w := range [3]uint64{lo, hi, lo ^ hi} {
		for j := range 4 {
			p.key[i].comb[j] = w << 4 >> 4 & (everyFourth << j)
			p.key[i].top[j] = -(w >> (60 + j) & 1)
		}
	}
}

// absorb takes b in blocks, the last one filled up with zeros.
func (p *polyval) absorb(b []byte) {
	for ; len(b) >= 16; b = b[16:] {
		p.step(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:16]))
	}
	if len(b) > 0 {
		var last [16]byte
		copy(last[:], b)
		p.step(binary.LittleEndian.Uint64(last[:8]), binary.LittleEndian.Uint64(last[8:]))
	}
}

func (p *polyval) sum() (out [16]byte) {
	binary.LittleEndian.PutUint64(out[:8], p.lo)
	binary.LittleEndian.PutUint64(out[8:], p.hi)
	return out
}

func (p *polyval) step(lo, hi uint64) {
	lo ^= p.lo
	hi ^= p.hi
	z1, z0 := p.key[0].mul(lo)
	z3, z2 := p.key[1].mul(hi)
	m1, m0 := p.key[2].mul(lo ^ hi)
	m0, m1 = m0^z0^z2, m1^z1^z3
	z1, z2 = z1^m0, z2^m1

	// Each low word is cancelled by adding a multiple of the polynomial: it goes up by 128, 127, 126 and 121 bits.
	z1 ^= z0<<63 ^ z0<<62 ^ z0<<57
	z2 ^= z0 ^ z0>>1 ^ z0>>2 ^ z0>>7
	p.lo = z2 ^ z1<<63 ^ z1<<62 ^ z1<<57
	p.hi = z3 ^ z1 ^ z1>>1 ^ z1>>2 ^ z1>>7
}

// mul returns the carry-less product of f's word and x.
func (f *factor) mul(x uint64) (hi, lo uint64) {
	x0, x1, x2, x3 := x&everyFourth, x&(everyFourth<<1), x&(everyFourth<<2), x&(everyFourth<<3)
	y0, y1, y2, y3 := f.comb[0], f.comb[1], f.comb[2], f.comb[3]

	h0, l0 := mulAdd(0, 0, x0, y0)
	h0, l0 = mulAdd(h0, l0, x1, y3)
	h0, l0 = mulAdd(h0, l0, x2, y2)
	h0, l0 = mulAdd(h0, l0, x3, y1)
	hi, lo = h0&everyFourth, l0&everyFourth

	h1, l1 := mulAdd(0, 0, x0, y1)
	h1, l1 = mulAdd(h1, l1, x1, y0)
	h1, l1 = mulAdd(h1, l1, x2, y3)
	h1, l1 = mulAdd(h1, l1, x3, y2)
	hi, lo = hi|h1&(everyFourth<<1), lo|l1&(everyFourth<<1)

	h2, l2 := mulAdd(0, 0, x0, y2)
	h2, l2 = mulAdd(h2, l2, x1, y1)
	h2, l2 = mulAdd(h2, l2, x2, y0)
	h2, l2 = mulAdd(h2, l2, x3, y3)
	hi, lo = hi|h2&(everyFourth<<2), lo|l2&(everyFourth<<2)

	h3, l3 := mulAdd(0, 0, x0, y3)
	h3, l3 = mulAdd(h3, l3, x1, y2)
	h3, l3 = mulAdd(h3, l3, x2, y1)
	h3, l3 = mulAdd(h3, l3, x3, y0)
	hi, lo = hi|h3&(everyFourth<<3), lo|l3&(everyFourth<<3)

	lo ^= x<<60&f.top[0] ^ x<<61&f.top[1] ^ x<<62&f.top[2] ^ x<<63&f.top[3]
	hi ^= x>>4&f.top[0] ^ x>>3&f.top[1] ^ x>>2&f.top[2] ^ x>>1&f.top[3]
	return hi, lo
}

func mulAdd(hi, lo, x, y uint64) (uint64, uint64) {
	h, l := bits.Mul64(x, y)
	return hi ^ h, lo ^ l
}
