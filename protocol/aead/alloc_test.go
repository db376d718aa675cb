package aead

import "testing"

// A cipher is one allocation of crypto/aes. AES-GCM-SIV needs one for each nonce (RFC 8452 section 4).
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under the race detector")
	}
	for _, id := range algorithms {
		t.Run(id.String(), func(t *testing.T) {
			call := 0.0
			if id == AES128GCMSIV {
				call = 1
			}
			var a AEAD
			setKey := func() {
				var key [MaxKeyLen]byte // on the stack if it does not escape; so are all below
				if err := a.SetKey(id, key[:id.KeyLen()]); err != nil {
					t.Fatal(err)
				}
			}
			sealFirst := func(n int) func() {
				return func() {
					setKey()
					var nonce [16]byte
					var text [1 + Overhead]byte
					a.Seal(text[:0], nonce[:id.NonceLen()], text[:n], nil)
				}
			}
			holds(t, "SetKey", 1, setKey)
			holds(t, "SetKey and an empty text", 1+call, sealFirst(0))
			holds(t, "SetKey and a text", 2, sealFirst(1))
			holds(t, "Seal and Open", 2*call, func() {
				var nonce [16]byte
				var data [100]byte
				var text [100 + Overhead]byte
				sealed := a.Seal(text[:0], nonce[:id.NonceLen()], text[:100], data[:])
				if _, err := a.Open(sealed[:0], nonce[:id.NonceLen()], sealed, data[:]); err != nil {
					t.Fatal(err)
				}
			})
			if id == AES128GCMSIV {
				return
			}
			holds(t, "SealVector and OpenVector", 0, func() {
				var nonce [16]byte
				var text [100 + Overhead]byte
				sealed := a.SealVector(text[:0], text[:100], nil, nonce[:], nil)
				if _, err := a.OpenVector(sealed[:0], sealed, nil, nonce[:], nil); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func holds(t *testing.T, what string, want float64, f func()) {
	t.Helper()
	if got := testing.AllocsPerRun(200, f); got != want {
		t.Errorf("%s: %v allocations, want %v", what, got, want)
	}
}
