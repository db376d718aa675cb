package visitors

import (
	"math"
	"math/bits"
)

const (
	// registers of a sketch; its standard error is 1.04/sqrt(registers): 1.6 %.
	registerBits = 12
	registers    = 1 << registerBits
	// rankBits is how much of a hash is left for the rank.
	rankBits = 64 - registerBits
)

// sketch estimates how many different hashes it was shown (HyperLogLog): each register keeps the longest run of zeros.
type sketch [registers]uint8

func (s *sketch) add(hash uint64) {
	r := &s[hash>>rankBits]
	*r = max(*r, uint8(bits.LeadingZeros64(hash<<registerBits|1<<(registerBits-1))+1))
}

// merge makes s what it would be if it had seen what other has.
func (s *sketch) merge(other *sketch) {
	for i, r := range other {
		s[i] = max(s[i], r)
	}
}

// estimate is Otmar Ertl's improved raw estimator (arXiv:1702.01284, algorithm 6), without bias from zero to 2^52 and more.
func (s *sketch) estimate() float64 {
	var with [rankBits + 2]float64 // how many registers have that value
	for _, r := range s {
		with[r]++
	}
	const m = registers
	z := m * tau(1-with[rankBits+1]/m)
	for k := rankBits; k >= 1; k-- {
		z = (z + with[k]) / 2
	}
	z += m * sigma(with[0]/m)
	return m * m / (2 * math.Ln2 * z)
}

// sigma corrects for registers that are zero still.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for last := -1.0; z != last; {
		x *= x
		last = z
		z += x * y
		y += y
	}
	return z
}

// tau corrects for registers that cannot grow any more.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for last := -1.0; z != last; {
		x = math.Sqrt(x)
		last = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}
