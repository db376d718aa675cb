package config

import "time"

// AEADs by their IANA number, RFC 5297 and RFC 8452.
const (
	aesSIVCMAC256 = 15
	aesSIVCMAC384 = 16
	aesSIVCMAC512 = 17
	aes128GCMSIV  = 30
)

// Who rotates the keys of a ring.
const (
	ownerNtptsd    = "ntptsd"
	ownerNeighbour = "neighbour"
)

// dialect is what a cookie dialect lets the other keys say.
type dialect struct {
	carries          []uint16 // AEADs of sessions, in the order in which they are offered
	keys             []uint16 // AEADs of keys
	keep             int      // default
	minKeep, maxKeep int
	rotateEvery      Duration // default
	formats          []string // of the neighbour's file, the default first
	owner            string   // default beside a neighbour's file
	onlyOwner        bool     // there is no other
}

// dialects knows the dialects of this version by name.
func dialects(name string) (d dialect, known bool) {
	const day = Duration(24 * time.Hour)
	switch name {
	case "native":
		return dialect{
			carries: []uint16{aesSIVCMAC256, aesSIVCMAC384, aesSIVCMAC512, aes128GCMSIV}, keys: []uint16{aesSIVCMAC256},
			keep: 7, minKeep: 1, maxKeep: maxKeep, rotateEvery: day,
		}, true
	case "chrony": // its file has exactly four keys: two old ones, the current and the next
		return dialect{
			carries: []uint16{aesSIVCMAC256, aes128GCMSIV}, keys: []uint16{aesSIVCMAC256, aes128GCMSIV},
			keep: 2, minKeep: 2, maxKeep: 2, rotateEvery: 7 * day, formats: []string{"nks0", "nks1"},
			owner: ownerNtptsd,
		}, true
	case "ntpsec": // reads ten keys at most: the current, the next and eight old ones
		return dialect{
			carries: []uint16{aesSIVCMAC256, aesSIVCMAC384, aesSIVCMAC512},
			keys:    []uint16{aesSIVCMAC256, aesSIVCMAC384, aesSIVCMAC512},
			keep:    7, minKeep: 1, maxKeep: 8, rotateEvery: day, formats: []string{"ntpsec"},
			owner: ownerNeighbour, // it reads its file at its start only
		}, true
	case "ntpdrs": // rewrites its file itself
		return dialect{
			carries: []uint16{aesSIVCMAC256, aesSIVCMAC512}, keys: []uint16{aesSIVCMAC512},
			keep: 7, minKeep: 1, maxKeep: maxKeep, rotateEvery: day, formats: []string{"ntpdrs"},
			owner: ownerNeighbour, onlyOwner: true,
		}, true
	}
	return dialect{}, false
}

// offers are the AEADs of sessions that cookies of the ring can carry to whoever opens them.
func (k *KeyRing) offers() []uint16 {
	d, _ := dialects(k.Dialect)
	if k.NeighbourFormat == "nks0" { // chronyd before 4.4, which reads no other, cannot open AEAD 30's
		return []uint16{aesSIVCMAC256}
	}
	return d.carries
}
