package ntp

import "testing"

func TestReferenceIDText(t *testing.T) {
	for _, tt := range []struct {
		id      ReferenceID
		stratum uint8
		want    string
	}{
		{ReferenceID{'R', 'A', 'T', 'E'}, 0, "RATE"},
		{ReferenceID{'G', 'P', 'S'}, 1, "GPS"},
		{ReferenceID{'G', 'P', 'S'}, 2, "71.80.83.0"},
		{ReferenceID{127, 127, 1, 1}, 10, "127.127.1.1"},
		{ReferenceID{}, 0, "0.0.0.0"},
		{ReferenceID{0x1b, '[', '2', 'J'}, 1, "27.91.50.74"}, // a terminal's escape
		{ReferenceID{'A', 0, 'B', 0}, 1, "65.0.66.0"},
		{ReferenceID{0xc3, 0xa4}, 1, "195.164.0.0"},
	} {
		if got := tt.id.Text(tt.stratum); got != tt.want {
			t.Errorf("%v at stratum %d: %q, want %q", [4]byte(tt.id), tt.stratum, got, tt.want)
		}
	}
}

func TestKiss(t *testing.T) {
	h := Header{Version: 4, Mode: ModeServer, Stratum: 2, Poll: 6, ReferenceID: ReferenceID{1, 2, 3, 4}, Origin: 7}
	if k := h.Kiss(); k != "" {
		t.Errorf("stratum 2 is the kiss %q", k)
	}
	for _, k := range []Kiss{KissDeny, KissRstr, KissRate, KissInit, KissStep, KissNTSN} {
		kiss := h
		kiss.SetKiss(k)
		want := Header{
			Leap: LeapUnknown, Version: 4, Mode: ModeServer, Poll: 6,
			ReferenceID: ReferenceID([]byte(k)), Origin: 7,
		}
		if kiss != want || kiss.Kiss() != k {
			t.Errorf("%s: %+v, read as %q", k, kiss, kiss.Kiss())
		}
	}
	if k := (Header{Leap: LeapUnknown}).Kiss(); k != "" {
		t.Errorf("an answer without time is the kiss %q", k)
	}
}
