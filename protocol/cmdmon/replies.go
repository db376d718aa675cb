package cmdmon

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Tracking is what chronyd says of the local clock. Unsynchronised: stratum 0, leap 3.
type Tracking struct {
	ReferenceID       [4]byte
	Address           Address // not set with a reference clock or the local reference
	Stratum           uint16
	Leap              uint16 // 0 none, 1 insert, 2 delete, 3 unsynchronised
	ReferenceTime     time.Time
	CurrentCorrection float64 // s; positive: the system's clock is slow of true time
	LastOffset        float64 // s; positive: it was ahead of the sources
	RMSOffset         float64 // s
	Frequency         float64 // ppm; positive: it would run fast
	ResidualFrequency float64 // ppm
	Skew              float64 // ppm
	RootDelay         float64 // s
	RootDispersion    float64 // s
	UpdateInterval    float64 // s
}

// ParseTracking reads the answer to TrackingCommand.
func ParseTracking(p Reply) (t Tracking, err error) {
	r, err := p.want(typeTracking)
	if err != nil {
		return t, err
	}
	copy(t.ReferenceID[:], r.take(4))
	t.Address = r.address()
	t.Stratum, t.Leap, t.ReferenceTime = r.u16(), r.u16(), r.time()
	for _, f := range t.floats() {
		*f = r.float()
	}
	return t, r.err()
}

func (t *Tracking) floats() []*float64 {
	return []*float64{&t.CurrentCorrection, &t.LastOffset, &t.RMSOffset, &t.Frequency, &t.ResidualFrequency, &t.Skew,
		&t.RootDelay, &t.RootDispersion, &t.UpdateInterval}
}

// AppendTo appends the body.
func (t Tracking) AppendTo(b []byte) []byte {
	b = append(b, t.ReferenceID[:]...)
	b = t.Address.AppendTo(b)
	b = binary.BigEndian.AppendUint16(b, t.Stratum)
	b = binary.BigEndian.AppendUint16(b, t.Leap)
	b = appendTime(b, t.ReferenceTime)
	for _, f := range t.floats() {
		b = appendFloat(b, *f)
	}
	return b
}

// Reply is the answer to q that says t.
func (t Tracking) Reply(q Request) Reply {
	return Reply{Command: TrackingCommand, Type: typeTracking, Sequence: q.Sequence, Body: t.AppendTo(nil)}
}

// ParseNSources reads the answer to NSources. The number may change before the sources are read: NoSuchSource ends a walk.
func ParseNSources(p Reply) (n uint32, err error) {
	r, err := p.want(typeNSources)
	if err != nil {
		return 0, err
	}
	n = r.u32()
	return n, r.err()
}

// SourceState is how chronyd judges a source.
type SourceState uint16

// Source states; Unselected are combined with the selected one, Selectable are not.
const (
	Selected SourceState = iota
	Nonselectable
	Falseticker
	Jittery
	Unselected
	Selectable
)

// Modes of sources.
const (
	ModeClient = iota
	ModePeer
	ModeRefclock
)

// Source is one source of chronyd's.
type Source struct {
	Address    Address // of a reference clock: its four letters, as an IPv4 address
	Poll       int16   // log2 s
	Stratum    uint16
	State      SourceState
	Mode       uint16
	Reach      uint16
	Since      time.Duration // since the last sample
	Sampled    bool          // there was one
	OrigOffset float64       // s, of the last measurement; positive: the local clock is ahead
	Offset     float64       // the same, adjusted for slews since
	Error      float64       // s
}

// ParseSource reads the answer to SourceData.
func ParseSource(p Reply) (s Source, err error) {
	r, err := p.want(typeSourceData)
	if err != nil {
		return s, err
	}
	s.Address, s.Poll, s.Stratum = r.address(), int16(r.u16()), r.u16()
	s.State, s.Mode = SourceState(r.u16()), r.u16()
	r.u16() // flags, unused since 4.0
	s.Reach = r.u16()
	s.Since, s.Sampled = r.age()
	s.OrigOffset, s.Offset, s.Error = r.float(), r.float(), r.float()
	return s, r.err()
}

// Statistics are the drift and offset of one source.
type Statistics struct {
	ReferenceID       [4]byte
	Address           Address // not set with a reference clock
	Samples, Runs     uint32
	Span              uint32  // s
	Deviation         float64 // s; 4 without samples
	ResidualFrequency float64 // ppm
	Skew              float64 // ppm; 2000 without samples
	Offset            float64 // s
	OffsetError       float64 // s
}

// ParseStatistics reads the answer to SourceStats.
func ParseStatistics(p Reply) (s Statistics, err error) {
	r, err := p.want(typeSourceStats)
	if err != nil {
		return s, err
	}
	copy(s.ReferenceID[:], r.take(4))
	s.Address, s.Samples, s.Runs, s.Span = r.address(), r.u32(), r.u32(), r.u32()
	s.Deviation, s.ResidualFrequency, s.Skew = r.float(), r.float(), r.float()
	s.Offset, s.OffsetError = r.float(), r.float()
	return s, r.err()
}

// RTC is the real-time clock.
type RTC struct {
	ReferenceTime time.Time
	Samples, Runs uint16
	Span          uint32  // s
	Fast          float64 // s
	Gain          float64 // ppm
}

// ParseRTC reads the answer to RTCReport.
func ParseRTC(p Reply) (c RTC, err error) {
	r, err := p.want(typeRTC)
	if err != nil {
		return c, err
	}
	c.ReferenceTime, c.Samples, c.Runs, c.Span = r.time(), r.u16(), r.u16(), r.u32()
	c.Fast, c.Gain = r.float(), r.float()
	return c, r.err()
}

// Activity counts sources.
type Activity struct{ Online, Offline, BurstOnline, BurstOffline, Unresolved int32 }

// ParseActivity reads the answer to ActivityCommand.
func ParseActivity(p Reply) (a Activity, err error) {
	r, err := p.want(typeActivity)
	if err != nil {
		return a, err
	}
	a = Activity{r.i32(), r.i32(), r.i32(), r.i32(), r.i32()}
	return a, r.err()
}

// Smoothing is how far the time that chronyd serves differs from its clock on purpose.
type Smoothing struct {
	Active    bool
	LeapOnly  bool
	Offset    float64 // s
	Frequency float64 // ppm
	Wander    float64 // ppm/s
	LastAgo   float64 // s
	Remaining float64 // s
}

// ParseSmoothing reads the answer to SmoothingCommand; NotEnabled is its usual status.
func ParseSmoothing(p Reply) (s Smoothing, err error) {
	r, err := p.want(typeSmoothing)
	if err != nil {
		return s, err
	}
	flags := r.u32()
	s = Smoothing{flags&1 != 0, flags&2 != 0, r.float(), r.float(), r.float(), r.float(), r.float()}
	return s, r.err()
}

// manualSlots is how many entries a ManualList has room for.
const manualSlots = 16

// ManualSample is one time entered by hand.
type ManualSample struct {
	When                       time.Time
	Slewed, Original, Residual float64 // s
}

// ParseManualList reads the answer to ManualList.
func ParseManualList(p Reply) ([]ManualSample, error) {
	r, err := p.want(typeManualList)
	if err != nil {
		return nil, err
	}
	var all []ManualSample
	for n := min(r.u32(), manualSlots); n > 0; n-- {
		all = append(all, ManualSample{r.time(), r.float(), r.float(), r.float()})
	}
	return all, r.err()
}

// Correction is what chronyd makes of a time that it was told.
type Correction struct {
	Offset          float64 // s, of its clock
	FrequencyChange float64 // ppm
	Frequency       float64 // ppm
}

// ParseCorrection reads the answer to SetTime.
func ParseCorrection(p Reply) (Correction, error) {
	r, err := p.want(typeManual)
	if err != nil {
		return Correction{}, err
	}
	return Correction{r.float(), r.float(), r.float()}, r.err()
}

// ParseSourceName reads the answer to NTPSourceName: the name as it was configured.
func ParseSourceName(p Reply) (string, error) {
	const room = 256
	r, err := p.want(typeSourceName)
	if err != nil {
		return "", err
	}
	name, _, _ := bytes.Cut(r.take(room), []byte{0})
	return string(name), r.err()
}
