package visitors

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestEstimates: from nothing to many millions the error stays within four times its standard deviation of 1.6 %.
func TestEstimates(t *testing.T) {
	hashes := rand.New(rand.NewPCG(1, 2))
	var s sketch
	n := 0
	for _, until := range []int{0, 1, 2, 10, 100, 1000, 2500, 5000, 10_000, 20_000, 100_000, 1_000_000, 5_000_000} {
		for ; n < until; n++ {
			h := hashes.Uint64()
			s.add(h)
			s.add(h) // again: it is no other one
		}
		if got := s.estimate(); math.Abs(got-float64(n)) > .065*float64(n)+.5 {
			t.Errorf("%d are estimated as %.1f", n, got)
		}
	}
}

// TestSketchesMerge: in two parts that overlap or in one, it is the same.
func TestSketchesMerge(t *testing.T) {
	var a, b, both sketch
	for i := range 10_000 {
		h := rand.Uint64()
		if i < 6000 {
			a.add(h)
		}
		if i > 3000 {
			b.add(h)
		}
		both.add(h)
	}
	a.merge(&b)
	if a != both {
		t.Error("the merged sketch is another one")
	}
}

// TestTheFullestSketchIsFinite: no stream of hashes makes it overflow.
func TestTheFullestSketchIsFinite(t *testing.T) {
	var s sketch
	for i := range s {
		s.add(uint64(i) << rankBits)
	}
	if s[0] != rankBits+1 {
		t.Errorf("the highest rank is %d, want %d", s[0], rankBits+1)
	}
	if e := s.estimate(); math.IsNaN(e) || e < 1<<60 {
		t.Errorf("estimated %v", e)
	}
}
