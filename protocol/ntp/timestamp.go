package ntp

import (
	"math"
	"time"
)

// unixEpoch is 1970-01-01 in seconds since 1900-01-01, RFC 5905 figure 4.
const unixEpoch = 2208988800

// Timestamp is 32.32 fixed-point seconds since 1900 modulo 2^32 s (RFC 5905 section 6): the field does not tell
// its era, and wraps next on 2036-02-07. 0 means unknown.
type Timestamp uint64

// TimestampOf gives the timestamp of t, rounded down and never 0: a clock that happens to stand on the wrap
// must not look as if it did not know the time.
func TimestampOf(t time.Time) Timestamp {
	seconds := uint32(t.Unix() + unixEpoch)
	fraction := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return max(Timestamp(seconds)<<32|Timestamp(fraction), 1)
}

// Time gives the time of t in the era nearest to near, to the nanosecond, in UTC.
func (t Timestamp) Time(near time.Time) time.Time {
	around := near.Unix() + unixEpoch
	seconds := around + int64(int32(uint32(t>>32)-uint32(around)))
	return time.Unix(seconds-unixEpoch, nanoseconds(uint32(t))).UTC()
}

// Sub gives t-u, taking the two to be less than 68 years apart, whatever their eras.
func (t Timestamp) Sub(u Timestamp) time.Duration {
	d := int64(t - u)
	return time.Duration(d>>32)*time.Second + time.Duration(nanoseconds(uint32(d)))
}

// nanoseconds rounds to the nearest, so that a time.Time comes back as it was.
func nanoseconds(fraction uint32) int64 {
	return int64((uint64(fraction)*uint64(time.Second) + 1<<31) >> 32)
}

// Short is 16.16 fixed-point seconds, unsigned here (RFC 5905 section 6).
type Short uint32

// MaxRootDelay is the longest root delay to send: readers take that one field as signed.
const MaxRootDelay Short = math.MaxInt32

// ShortOf rounds up, since what it carries are bounds of errors, and clamps to 0 and to just under 65536 s.
func ShortOf(d time.Duration) Short {
	if d <= 0 {
		return 0
	}
	if d >= 1<<16*time.Second {
		return math.MaxUint32
	}
	units := (uint64(d)<<16 + uint64(time.Second) - 1) / uint64(time.Second)
	return Short(min(units, math.MaxUint32))
}

// Duration rounds down; ShortOf brings back the same Short.
func (s Short) Duration() time.Duration {
	return time.Duration(uint64(s) * uint64(time.Second) >> 16)
}
