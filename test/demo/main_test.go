package main

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/test/build"
)

// screen is where the demonstration writes; cancel is ^C, pressed as soon as it serves.
type screen struct {
	bytes.Buffer
	cancel func()
}

func (s *screen) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("serves until ^C")) {
		s.cancel()
	}
	return s.Buffer.Write(b)
}

// What "make run" promises: an authenticated answer, what to try next, and nothing left behind.
func TestDemonstration(t *testing.T) {
	dir := t.TempDir()
	if err := build.Into(filepath.Join(dir, "bin"), "../.."); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := &screen{cancel: cancel}
	if err := run(ctx, s); err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	for _, want := range []string{"TLS 1.3", "\nauthenticated ", "\nOK: NTS protects", "probe --plain localhost:", "chronyd -x"} {
		if !bytes.Contains(s.Bytes(), []byte(want)) {
			t.Errorf("%q is missing in\n%s", want, s)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "ntptsd-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
