//go:build amd64 || arm64

package aead

import (
	"syscall"
	"testing"
)

// Text beyond the bound lies on pages that may not be touched: it must be refused for its length alone.
func TestTextBeyondBound(t *testing.T) {
	beyond, err := syscall.Mmap(-1, 0, MaxText+Overhead+1, syscall.PROT_NONE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		t.Skip("no address space:", err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(beyond) })
	eachAlgorithm(t, func(t *testing.T, a *AEAD, nonce []byte) {
		sealed := a.Seal(nil, nonce, nil, nil)
		panics(t, "plaintext", func() { a.Seal(nil, nonce, beyond, nil) })
		panics(t, "data", func() { a.Seal(nil, nonce, nil, beyond) })
		refused(t)(a.Open(nil, nonce, beyond, nil))
		refused(t)(a.Open(nil, nonce, sealed, beyond))
		refused(t)(a.Open(nil, beyond, sealed, nil))
		panics(t, "vector", func() { a.SealVector(nil, beyond) })
		panics(t, "component", func() { a.SealVector(nil, nil, nil, beyond) })
		refused(t)(a.OpenVector(nil, beyond))
		refused(t)(a.OpenVector(nil, sealed, nil, beyond))
	})
}
