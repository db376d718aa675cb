package console

import (
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// A long answer is held until it is taken, and who reads slowly takes minutes: so many are written at once, of all connections,
// each for so long. Lists of clients have megabytes.
const (
	longAnswer    = 64 << 10 // octets
	maxLong       = 16
	longForAdmins = 4 // of them, which nobody else gets
	longTimeout   = 30 * time.Second
)

// long gives an answer of that size a place, which leave gives back.
func (s *session) long(size int) (leave func(), err error) {
	if size <= longAnswer {
		return func() {}, nil
	}
	most := int32(maxLong)
	if s.who.Role < api.Admin {
		most -= longForAdmins
	}
	if s.longs.Add(1) > most {
		s.longs.Add(-1)
		return nil, api.Failf(api.TooMany, "%d long answers are being read already: try again in a moment, or ask for less", most)
	}
	s.out.until = time.Now().Add(longTimeout)
	return func() {
		s.out.until = time.Time{}
		s.longs.Add(-1)
	}, nil
}

// object answers with one line of JSON. An error tells that nothing was written.
func (s *session) object(result any) error {
	b, err := encoded(codeOK, result, nil)
	if err != nil {
		return err
	}
	leave, err := s.long(len(b))
	if err != nil {
		return err
	}
	defer leave()
	s.out.told.count(codeOK)
	s.out.json(b)
	return nil
}

// block answers with lines of text. An error tells that nothing was written.
func (s *session) block(name, text string) error {
	leave, err := s.long(len(text))
	if err != nil {
		return err
	}
	defer leave()
	s.out.begin(name)
	s.out.data(text)
	s.out.end()
	return nil
}
