// Package build makes the real binaries for tests that run them.
package build

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Into builds every command of the module at root into dir. It reads what they are made of itself, since the test cache
// does not see what a child process reads, and would call an old result good.
func Into(dir, root string) error {
	for _, part := range []string{"cmd", "internal", "protocol"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			return err
		}
	}
	c := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/...")
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
