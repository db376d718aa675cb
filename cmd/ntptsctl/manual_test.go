package main

import (
	"os"
	"regexp"
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
		for i, a := range d.Args {
			switch {
			case i < view.All()[d.Name].Needs:
				item += " Ar " + a.Name
			case a.Flag:
				item += " Op Fl -" + a.Name
			case a.Number:
				item += " Op Fl -" + a.Name + " Ar n"
			default:
				item += " Op Ar " + a.Name
			}
		}
		if !strings.Contains(page, item+"\n") {
			t.Errorf("docs/manual/ntptsctl.1 has no %q", item)
		}
	}
}

func TestManualShowsTop(t *testing.T) {
	var out strings.Builder
	m := fiveHosts()
	m.hosts, m.width = m.hosts[:2], onceWidth
	if bad, err := m.report(&out); err != nil || !bad {
		t.Error(bad, err)
	}
	if want := "\n.Bd -literal\n$ ntptsctl top a.example.net b.example.net | cat\n" + out.String() + ".Ed\n"; !strings.Contains(manual(t), want) {
		t.Errorf("docs/manual/ntptsctl.1 has not\n%s", want)
	}
}

// A page that tells of flags that there are not, or hides some, helps nobody.
func TestManualHasEveryFlag(t *testing.T) {
	page, root := manual(t), rootFor(&flags{})
	all := regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(root.PersistentFlags().FlagUsages(), -1)
	for _, flag := range all {
		if !strings.Contains(page, " Fl -"+flag[1]+" ") && !strings.Contains(page, " Fl -"+flag[1]+"\n") {
			t.Errorf("docs/manual/ntptsctl.1 has no --%s", flag[1])
		}
	}
	if len(all) < 10 {
		t.Errorf("%d flags", len(all))
	}
}
