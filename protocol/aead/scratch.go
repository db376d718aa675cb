package aead

import (
	"crypto/aes"
	"sync"
)

// scratch is what one call hands to cipher.Block. Whatever goes through that interface escapes to the heap, so arguments
// never do: they are added to what lies here.
type scratch struct {
	x      [aes.BlockSize]byte                // CMAC's chaining value, and any single block
	stream [streamBlocks * aes.BlockSize]byte // CTR's key stream
	keys   [maxDerived * aes.BlockSize]byte   // AES-GCM-SIV's key derivation
	hash   polyval
}

// scratches holds no state, only memory between calls; it lets one AEAD serve many goroutines.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

func takeScratch() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) release() { scratches.Put(s) }
