package clockstate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// Source is one that knows the clock: the kernel or a daemon. Read is called by one goroutine at a time and ends with
// ctx. It fills all of State but Precision and At. An error means that nothing is known; not synchronised is no error.
type Source interface {
	Read(ctx context.Context, now time.Time) (State, error)
}

// Defaults for a configuration that says nothing.
const (
	defaultStratum           = 10
	defaultReferenceID       = "127.127.1.1" // a local clock, as chrony's "local" tells
	defaultMinRootDispersion = time.Millisecond
	maxStratum               = 15 // 16 is "unsynchronised", RFC 5905 figure 11
)

// newSource makes what clock.source names.
func newSource(c *config.Clock, door Door) (Source, error) {
	identity, err := identityOf(c)
	if err != nil {
		return nil, err
	}
	floor := time.Duration(c.MinRootDispersion)
	if floor <= 0 {
		floor = defaultMinRootDispersion
	}
	own := &kernel{identity: identity, floor: floor, read: readKernel}
	switch c.Source {
	case "", "kernel":
		return own, nil
	case "fixed":
		return fixed(identity), nil
	case "chrony", "ntpd":
		return &nextDoor{door: door, floor: floor}, nil
	case "auto":
		return &nextDoor{door: door, floor: floor, without: own}, nil
	}
	return nil, fmt.Errorf("clock.source = %q: write kernel, chrony, ntpd, auto or fixed", c.Source)
}

// identity is what neither kernel nor fixed can find out by themselves.
type identity struct {
	stratum     uint8
	referenceID ntp.ReferenceID
}

func identityOf(c *config.Clock) (identity, error) {
	i := identity{stratum: c.Stratum}
	if i.stratum == 0 {
		i.stratum = defaultStratum
	}
	if i.stratum > maxStratum {
		return identity{}, fmt.Errorf("clock.stratum = %d: write 1 to %d", i.stratum, maxStratum)
	}
	text := c.ReferenceID
	if text == "" {
		text = defaultReferenceID
	}
	var err error
	if i.referenceID, err = parseReferenceID(text); err != nil {
		return identity{}, fmt.Errorf("clock.reference-id = %q: %w", text, err)
	}
	return i, nil
}

// parseReferenceID reads an IPv4 address or up to four ASCII characters, RFC 5905 section 7.3.
func parseReferenceID(text string) (ntp.ReferenceID, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is4() {
		return addr.As4(), nil
	}
	var id ntp.ReferenceID
	if len(text) == 0 || len(text) > len(id) {
		return id, errors.New("write an IPv4 address or one to four ASCII characters")
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return ntp.ReferenceID{}, errors.New("write an IPv4 address or one to four ASCII characters")
		}
		id[i] = text[i]
	}
	return id, nil
}

// fixed is always synchronised, because the configuration says so: for tests and isolated networks.
type fixed identity

func (f fixed) Read(_ context.Context, now time.Time) (State, error) {
	return State{
		Source:         "fixed",
		Synchronised:   true,
		Stratum:        f.stratum,
		ReferenceID:    f.referenceID,
		RootDispersion: defaultMinRootDispersion,
		ReferenceTime:  now,
	}, nil
}
