package config

import (
	"os"
	"strings"
	"testing"
)

// What the pages show must be what the daemon takes.
func TestMonitoringPageExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/manual/ntptsd-monitoring.7")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first-steps", "plain"} {
		_, after, found := strings.Cut(string(page), ".\\\" example "+name+" ntptsd.toml\n.Bd -literal")
		_, after, _ = strings.Cut(after, "\n")
		block, _, ended := strings.Cut(after, ".Ed\n")
		if _, err := Parse(name, []byte(block)); err != nil || !found || !ended {
			t.Errorf("%s: found %v, ended %v: %v", name, found, ended, err)
		}
	}
}
