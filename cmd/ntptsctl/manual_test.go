package main

import (
	"os"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

// manual is the page as it is read: a minus is a minus.
func manual(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/manual/ntptsctl.1")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), `\-`, "-")
}

func TestManualHasEveryCommand(t *testing.T) {
	page := manual(t)
	for _, c := range api.Commands() {
		d := c.Declaration()
		item := "\n.It Ic " + d.Name
		for _, a := range d.Args {
			switch {
			case a.Number:
				item += " Op Fl -" + a.Name + " Ar n"
			case view.All()[d.Name].Needs > 0:
				item += " Ar " + a.Name
			default:
				item += " Op Ar " + a.Name
			}
		}
		if !strings.Contains(page, item+"\n") {
			t.Errorf("docs/manual/ntptsctl.1 has no %q", item)
		}
	}
}
