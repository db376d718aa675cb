package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who can read the key of an operator is that operator, as with a token.
func TestKeyFiles(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "c.pem"), filepath.Join(t.TempDir(), "k.pem")
	for path, content := range map[string]string{cert: "no PEM", key: "no PEM"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for mode, loose := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		_, err := readPair(cert, key)
		if err == nil || strings.Contains(err.Error(), "--key: others may read "+key+": chmod 600 "+key) != loose {
			t.Errorf("%v: %v", mode, err)
		}
	}
}
