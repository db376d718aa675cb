package ntp

import (
	"math"
	"testing"
	"time"
)

func utc(year, month, day, hour, minute, second, nanosecond int) time.Time {
	return time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC)
}

// The first five rows are of RFC 5905 figure 4.
var timestampTests = []struct {
	at   time.Time
	want Timestamp
}{
	{utc(1972, 1, 1, 0, 0, 0, 0), 2272060800 << 32},
	{utc(1970, 1, 1, 0, 0, 0, 0), 2208988800 << 32},
	{utc(1999, 12, 31, 0, 0, 0, 0), 3155587200 << 32},
	{utc(2036, 2, 8, 0, 0, 0, 0), 63104 << 32},
	{utc(1899, 12, 31, 0, 0, 0, 0), 4294880896 << 32},

	{utc(2026, 5, 1, 0, 0, 0, 500_000_000), 3986582400<<32 | 1<<31},
	{utc(2036, 2, 7, 6, 28, 15, 999_999_999), 0xffffffff_fffffffb},
	{utc(2036, 2, 7, 6, 28, 16, 0), 1}, // the wrap itself: not "unknown"
	{utc(2036, 2, 7, 6, 28, 16, 1), 4},
	{utc(2036, 2, 7, 6, 28, 17, 0), 1 << 32},
	{utc(1900, 1, 1, 0, 0, 0, 0), 1},
	{utc(2172, 3, 15, 12, 56, 32, 0), 1}, // era 2
}

func TestTimestampOfEveryEra(t *testing.T) {
	for _, tt := range timestampTests {
		got := TimestampOf(tt.at)
		if got != tt.want {
			t.Errorf("%v: %#x, want %#x", tt.at, uint64(got), uint64(tt.want))
		}
		for _, years := range []int{-67, 0, 67} {
			if back := got.Time(tt.at.AddDate(years, 0, 0)); !back.Equal(tt.at) {
				t.Errorf("%#x seen from %d years away: %v, want %v", uint64(got), years, back, tt.at)
			}
		}
	}
}

func TestTimestampSub(t *testing.T) {
	wrap := utc(2036, 2, 7, 6, 28, 16, 0)
	for _, tt := range []struct {
		t, u time.Time
		want time.Duration
	}{
		{wrap.Add(time.Second), wrap.Add(-time.Second), 2 * time.Second},
		{wrap.Add(-time.Second), wrap.Add(time.Second), -2 * time.Second},
		{wrap.Add(300 * time.Millisecond), wrap.Add(time.Second), -700 * time.Millisecond},
		{wrap.Add(24 * time.Hour), wrap, 24 * time.Hour},
		{wrap, wrap, 0},
	} {
		got := TimestampOf(tt.t).Sub(TimestampOf(tt.u))
		if d := got - tt.want; d < -1 || d > 1 {
			t.Errorf("%v - %v = %v, want %v", tt.t, tt.u, got, tt.want)
		}
	}
	if got := Timestamp(0).Sub(1 << 63); got != math.MinInt32*time.Second {
		t.Errorf("the farthest two: %v", got)
	}
}

func TestShortRoundsUpAndClamps(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want Short
	}{
		{math.MinInt64, 0},
		{-1, 0},
		{0, 0},
		{1, 1},
		{15258, 1},
		{15259, 2}, // one unit is 15258.79 ns
		{time.Second, 1 << 16},
		{time.Second + 1, 1<<16 + 1},
		{32768*time.Second - 1, MaxRootDelay + 1},
		{65535 * time.Second, 65535 << 16},
		{65536*time.Second - 1, math.MaxUint32},
		{65536 * time.Second, math.MaxUint32},
		{math.MaxInt64, math.MaxUint32},
	} {
		if got := ShortOf(tt.d); got != tt.want {
			t.Errorf("%d ns: %#x, want %#x", tt.d, got, tt.want)
		}
	}
	if got := Short(1<<16 + 1<<15).Duration(); got != 1500*time.Millisecond {
		t.Errorf("1.5 s read as %v", got)
	}
}

func FuzzTimestamp(f *testing.F) {
	for _, tt := range timestampTests {
		f.Add(uint64(tt.want), tt.at.Unix(), uint32(tt.at.Nanosecond()))
	}
	f.Add(uint64(0), int64(2085978496), uint32(0))
	f.Add(uint64(math.MaxUint64), int64(-1), uint32(999_999_999))
	f.Fuzz(func(t *testing.T, bits uint64, unix int64, nanosecond uint32) {
		stamp := Timestamp(bits)
		at := time.Unix(unix%(1<<40), int64(nanosecond%1e9)) // 35,000 years either way
		if own := TimestampOf(at); own == 0 || !own.Time(at).Equal(at) {
			t.Errorf("%v comes back as %v", at, own.Time(at))
		}
		near := stamp.Time(at)
		if d := near.Unix() - at.Unix(); d < math.MinInt32 || d > math.MaxInt32+1 {
			t.Errorf("%#x near %v is %v: the wrong era", bits, at, near)
		}
		// Half a nanosecond and rounding down: at most 4 units of 0.23 ns.
		if d := int64(TimestampOf(near) - stamp); d < -4 || d > 4 {
			t.Errorf("%#x comes back as %#x", bits, uint64(TimestampOf(near)))
		}
		other := TimestampOf(at)
		if sum := stamp.Sub(other) + other.Sub(stamp); stamp-other != 1<<63 && (sum < -1 || sum > 1) {
			t.Errorf("%#x and %#x differ by %v and %v", bits, uint64(other), stamp.Sub(other), other.Sub(stamp))
		}
		if short := Short(bits); ShortOf(short.Duration()) != short {
			t.Errorf("%#x comes back as %#x", short, ShortOf(short.Duration()))
		}
	})
}
