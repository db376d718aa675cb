package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/test/build"
)

// screen is where the demonstration writes; whole is closed when all of it is there.
type screen struct {
	bytes.Buffer
	whole chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if bytes.Contains(b, []byte("/chronyd.pid'")) {
		close(s.whole)
	}
	return n, err
}

// What "make run" promises: an authenticated answer, what to try next, each line of which works as it is printed, and nothing left behind.
func TestDemonstration(t *testing.T) {
	dir := t.TempDir()
	if err := build.Into(filepath.Join(dir, "bin"), "../.."); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := &screen{whole: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, s) }()
	select {
	case err := <-ended:
		t.Fatalf("%v\n%s", err, s)
	case <-s.whole:
	}
	printed := s.String()
	for _, want := range []string{"TLS 1.3", "\nauthenticated ", "\nOK: NTS protects", "\nntptsd serves until ^C", "/#token=ntptsd1_", "chronyd -x"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q is missing in\n%s", want, printed)
		}
	}
	tryPrinted(t, ctx, printed)
	cancel() // ^C
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "ntptsd-demo-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// tryPrinted types what is printed, as far as this machine has the program: what comes is what a newcomer looks for.
func tryPrinted(t *testing.T, ctx context.Context, printed string) {
	t.Helper()
	for line, want := range map[string]string{
		`openssl s_client .*`:            "*LOCAL(0)",
		`curl --cacert .*/v1/status`:     `"synchronised":true`,
		`bin/ntptsctl .* top`:            "fit",
		`bin/ntptsctl .* login`:          "/#token=ntptsd1_",
		`bin/ntptsctl probe --ca .*`:     "OK: NTS protects",
		`bin/ntptsctl probe --plain.*`:   "plain NTP is not authenticated",
		`bin/ntptsctl probe localhost.*`: "certificate signed by unknown authority",
		`bin/ntptsctl .* status`:         "no problems",
		`bin/ntptsctl .* keys`:           "current",
		`curl --unix-socket .*/metrics`:  "ntptsd_monitoring_fit 1",
		`cat .*/ntptsd.toml`:             "[monitoring]",
	} {
		typed := regexp.MustCompile(`(?m)^  (` + line + `)$`).FindStringSubmatch(printed)
		if typed == nil {
			t.Errorf("no line %s in\n%s", line, printed)
			continue
		}
		if _, err := exec.LookPath(strings.Fields(typed[1])[0]); err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		c := exec.CommandContext(ctx, "sh", "-c", typed[1])
		c.Stdin = strings.NewReader("peers\nquit\n")
		if out, err := c.CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q in\n%s", typed[1], err, want, out)
		}
	}
}
