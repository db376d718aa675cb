package config

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// validateRings looks at every ring, and at all of them together: a file has one writer.
func (c *Config) validateRings(r *report) {
	files := make(map[string]string)
	c.KeyRing.validate(r, "keyring", files)
	if len(c.Rings) > maxRings {
		r.add("rings", "", "has %d tables, at most %d are allowed", len(c.Rings), maxRings)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Rings)) {
		section, k := join("rings", name), c.Rings[name]
		if name == DefaultRing || len(name) > maxRingName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name == "" {
			r.add(section, "", "a ring's name is of a-z, 0-9 and -, at most %d of them, and %q is [keyring]", maxRingName, DefaultRing)
			continue
		}
		k.validate(r, section, files)
	}
}

func (k *KeyRing) validate(r *report, section string, files map[string]string) {
	r.path(section+".file", k.File)
	r.alone(section+".file", k.File, files)
	if k.NeighbourFile != "" {
		r.path(section+".neighbour-file", k.NeighbourFile)
		r.alone(section+".neighbour-file", k.NeighbourFile, files)
	}
	k.validateSeal(r, section)
	r.oneOf(section+".owner", k.Owner, ownerNtptsd, ownerNeighbour)
	d, known := dialects(k.Dialect)
	if !known {
		r.oneOf(section+".dialect", k.Dialect, "native", "chrony", "ntpsec", "ntpdrs")
		return
	}
	k.validateNeighbour(r, section, d)
	if k.Owner == ownerNeighbour {
		return
	}
	if !slices.Contains(d.keys, k.AEAD) {
		r.add(section+".aead", fmt.Sprint(k.AEAD), "keys of the %s dialect are of AEAD %s", k.Dialect, or(d.keys))
	}
	if k.Keep < d.minKeep || k.Keep > d.maxKeep {
		allowed := fmt.Sprintf("from %d to %d", d.minKeep, d.maxKeep)
		if d.minKeep == d.maxKeep {
			allowed = fmt.Sprint(d.minKeep)
		}
		r.add(section+".keep", fmt.Sprint(k.Keep), "must be %s with the %s dialect", allowed, k.Dialect)
	}
	r.duration(section+".rotate-every", k.RotateEvery, minRotateEvery, maxRotateEvery)
}

// alone refuses a file that another key names already.
func (r *report) alone(key, path string, files map[string]string) {
	clean := filepath.Clean(path)
	if other, ok := files[clean]; ok {
		r.add(key, show(path), "is %s already; it needs another place", other)
		return
	}
	files[clean] = key
}

// Ignored tells of keys that stand in the configuration and change nothing. They are allowed, so that one line,
// owner = "neighbour" in a later file, gives the keys of a ring back to the neighbour, and its end takes them again.
func (c *Config) Ignored() []string { return c.ignored }

// unused gathers what is told by Ignored.
func (c *Config) unused(r *report) {
	note := func(section string, k KeyRing) {
		for _, key := range []string{"rotate-every", "keep", "aead", "neighbour-socket", "neighbour-server"} {
			if full := join(section, key); k.Owner == ownerNeighbour && r.given(full) {
				c.ignored = append(c.ignored, full+" is not used: the neighbour owns the keys")
			}
		}
	}
	note("keyring", c.KeyRing)
	for _, name := range slices.Sorted(maps.Keys(c.Rings)) {
		note(join("rings", name), c.Rings[name])
	}
}

func (k *KeyRing) validateNeighbour(r *report, section string, d dialect) {
	if len(d.formats) == 0 {
		for _, f := range []struct{ key, value string }{
			{"neighbour-file", k.NeighbourFile}, {"neighbour-format", k.NeighbourFormat},
			{"neighbour-socket", k.NeighbourSocket}, {"neighbour-server", k.NeighbourServer},
		} {
			if f.value != "" {
				r.add(join(section, f.key), show(f.value), "no neighbour reads keys of the %s dialect; set dialect to chrony, ntpsec or ntpdrs", k.Dialect)
				return
			}
		}
		if k.Owner == ownerNeighbour {
			r.add(section+".owner", show(k.Owner), "no neighbour has keys of the %s dialect; set dialect to chrony, ntpsec or ntpdrs", k.Dialect)
		}
		return
	}
	if d.onlyOwner && k.Owner != d.owner {
		r.add(section+".owner", show(k.Owner), "the daemon of the %s dialect rewrites its file itself: only %q", k.Dialect, d.owner)
	}
	if k.NeighbourFile == "" {
		k.withoutFile(r, section)
		return
	}
	if !slices.Contains(d.formats, k.NeighbourFormat) {
		r.add(section+".neighbour-format", show(k.NeighbourFormat), "must be %s with the %s dialect", or(d.formats), k.Dialect)
	}
	if k.NeighbourSocket != "" && k.NeighbourSocket != None {
		r.path(section+".neighbour-socket", k.NeighbourSocket)
		if k.Dialect != "chrony" {
			r.add(section+".neighbour-socket", show(k.NeighbourSocket), "only chronyd has one; leave it out")
		}
	}
	if s := k.NeighbourServer; s != "" && s != None {
		if a, err := netip.ParseAddrPort(s); err != nil || a.Port() == 0 || a.Addr().IsUnspecified() {
			r.add(section+".neighbour-server", show(s), "must be ADDRESS:PORT as in \"127.0.0.1:123\", or %q", None)
		}
	}
}

// withoutFile refuses what speaks of a neighbour's file that is not named.
func (k *KeyRing) withoutFile(r *report, section string) {
	if k.Owner == ownerNeighbour {
		r.add(section+".neighbour-file", "", "is required where the neighbour owns the keys: the path of its key file")
	}
	for _, f := range []struct{ key, value string }{
		{"neighbour-format", k.NeighbourFormat}, {"neighbour-socket", k.NeighbourSocket}, {"neighbour-server", k.NeighbourServer},
	} {
		if f.value != "" {
			r.add(join(section, f.key), show(f.value), "is about neighbour-file, and that is not set")
		}
	}
}
