package access

import (
	"errors"
	"net/netip"
	"testing"
)

func TestSlotsBoundTotalAndNetwork(t *testing.T) {
	s := NewSlots(5, 2)
	v6, sameNetwork := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	steps := []struct {
		addr netip.Addr
		want error
	}{
		{v6, nil}, {sameNetwork, nil}, {v6, ErrNetworkFull},
		{stranger(1), nil}, {stranger(2), nil}, {stranger(3), nil},
		{stranger(4), ErrFull}, {v6, ErrNetworkFull},
	}
	for i, step := range steps {
		if err := s.Acquire(step.addr); !errors.Is(err, step.want) {
			t.Fatalf("step %d: %v, want %v", i, err, step.want)
		}
	}
	if s.Taken() != 5 || len(s.byNetwork) != 4 {
		t.Errorf("%d taken in %d networks, want 5 in 4", s.Taken(), len(s.byNetwork))
	}
	s.Release(v6)
	if err := s.Acquire(stranger(4)); err != nil {
		t.Errorf("after a release: %v", err)
	}
}

func TestSlotsForgetNetworksWithoutOne(t *testing.T) {
	s := NewSlots(1, 1)
	for i := range 1000 {
		if err := s.Acquire(stranger(i)); err != nil {
			t.Fatal(err)
		}
		s.Release(stranger(i))
	}
	if len(s.byNetwork) != 0 || s.Taken() != 0 {
		t.Errorf("%d networks and %d slots are remembered, want none", len(s.byNetwork), s.Taken())
	}
}

func TestSlotsResizeKeepsWhatIsHeld(t *testing.T) {
	s := NewSlots(3, 3)
	for range 3 {
		s.Acquire(host)
	}
	s.Resize(2, 2)
	s.Release(host)
	if err := s.Acquire(host); !errors.Is(err, ErrNetworkFull) {
		t.Errorf("a third slot of two: %v", err)
	}
	s.Release(host)
	if err := s.Acquire(host); err != nil {
		t.Errorf("a second slot of two: %v", err)
	}
}

func TestLinkLocalHostsAreApart(t *testing.T) {
	one, other := netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("fe80::2%eth0")
	if networkOf(one) == networkOf(other) {
		t.Error("two hosts of a link are one network")
	}
	if networkOf(netip.MustParseAddr("2001:db8::1")) != networkOf(netip.MustParseAddr("2001:db8::2")) {
		t.Error("two addresses of a /64 are two networks")
	}
}
