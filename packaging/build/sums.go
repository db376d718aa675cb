package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const sumsFile = "SHA256SUMS"

// checksums is for "sha256sum --check", and what two builds are compared by.
func (r *release) checksums(names []string) error {
	slices.Sort(names)
	var sums bytes.Buffer
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), name)
	}
	return os.WriteFile(filepath.Join(r.out, sumsFile), sums.Bytes(), 0o644)
}
