package cmdmon

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Address is 20 octets: 16 of address, family, padding.
type Address struct {
	IP netip.Addr // not valid: unspecified, or an unresolved source
	ID uint32     // of an unresolved source; 0 otherwise
}

// The families of addresses.
const (
	familyNone = 0
	familyIPv4 = 1
	familyIPv6 = 2
	familyID   = 3
)

// String shows an unresolved source as chronyc does.
func (a Address) String() string {
	switch {
	case a.IP.IsValid():
		return a.IP.String()
	case a.ID != 0:
		return fmt.Sprintf("ID#%010d", a.ID)
	}
	return ""
}

// AppendTo appends the 20 octets.
func (a Address) AppendTo(b []byte) []byte {
	var out [20]byte
	family := uint16(familyNone)
	switch ip := a.IP.Unmap(); {
	case ip.Is4():
		family = familyIPv4
		four := ip.As4()
		copy(out[:], four[:])
	case ip.Is6():
		family = familyIPv6
		sixteen := ip.As16()
		copy(out[:], sixteen[:])
	case a.ID != 0:
		family = familyID
		binary.BigEndian.PutUint32(out[:], a.ID)
	}
	binary.BigEndian.PutUint16(out[16:], family)
	return append(b, out[:]...)
}

const (
	exponentBits    = 7
	coefficientBits = 25
	minExponent     = -1 << (exponentBits - 1)
	maxExponent     = 1<<(exponentBits-1) - 1
	minCoefficient  = -1 << (coefficientBits - 1)
	maxCoefficient  = 1<<(coefficientBits-1) - 1
)

// parseFloat reads chrony's float: 7 bits of exponent, 25 of coefficient, both signed; value = c * 2^(e-25).
func parseFloat(x uint32) float64 {
	e := int(int32(x) >> coefficientBits)
	c := int32(x<<exponentBits) >> exponentBits
	return math.Ldexp(float64(c), e-coefficientBits)
}

// appendFloat writes the nearest float; what is too large becomes the largest, NaN becomes 0.
func appendFloat(b []byte, x float64) []byte {
	return binary.BigEndian.AppendUint32(b, encodeFloat(x))
}

func encodeFloat(x float64) uint32 {
	negative := x < 0
	x = math.Abs(x)
	if !(x >= 1e-100) { // NaN too
		return 0
	}
	most := float64(maxCoefficient)
	if negative {
		most++
	}
	e, c := maxExponent, most
	if x <= math.Ldexp(most, maxExponent-coefficientBits) {
		e = int(math.Log2(x) + 1)
		c = math.Trunc(math.Ldexp(x, coefficientBits-e) + 0.5)
		for c > most {
			c, e = math.Trunc(c/2), e+1
		}
		if e < minExponent {
			c, e = math.Trunc(math.Ldexp(c, e-minExponent)), minExponent
		}
		if e > maxExponent {
			c, e = most, maxExponent
		}
	}
	if negative {
		c = -c
	}
	return uint32(int32(e))<<coefficientBits | uint32(int32(c))&(1<<coefficientBits-1)
}

// reader consumes a body; after the first lack everything reads as zero, and short is set.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) err() error {
	if r.short {
		return ErrShort
	}
	return nil
}

func (r *reader) u8() uint8      { return r.take(1)[0] }
func (r *reader) i8() int8       { return int8(r.u8()) }
func (r *reader) u16() uint16    { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32    { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) i32() int32     { return int32(r.u32()) }
func (r *reader) u64() uint64    { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) float() float64 { return parseFloat(r.u32()) }

func (r *reader) address() Address {
	b := r.take(20)
	switch binary.BigEndian.Uint16(b[16:]) {
	case familyIPv4:
		return Address{IP: netip.AddrFrom4([4]byte(b[:4]))}
	case familyIPv6:
		return Address{IP: netip.AddrFrom16([16]byte(b[:16]))}
	case familyID:
		return Address{ID: binary.BigEndian.Uint32(b)}
	}
	return Address{}
}

// noHigh in the upper half of the seconds means that there is none.
const noHigh = 0x7fffffff

// time reads two halves of seconds since 1970 and nanoseconds. Zero is the zero Time.
func (r *reader) time() time.Time {
	high, low, nanoseconds := r.u32(), r.u32(), r.u32()
	if high == noHigh {
		high = 0
	}
	seconds := int64(high)<<32 | int64(low)
	if seconds == 0 && nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, int64(min(nanoseconds, 999999999))).UTC()
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, make([]byte, 12)...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// age reads seconds; all ones are "never".
func (r *reader) age() (time.Duration, bool) {
	n := r.u32()
	return time.Duration(n) * time.Second, n != math.MaxUint32
}
