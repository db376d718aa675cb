package house

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Alerts and dashboards must ask for metrics that are there: a misspelt one never fires.
func TestPackagedQueriesNameRealMetrics(t *testing.T) {
	known := make(map[string]bool)
	name := regexp.MustCompile(`"(ntptsd_[a-z_]+)"`)
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, s.dir, s.name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(b), -1) {
			known[m[1]] = true
		}
	}
	asked := regexp.MustCompile(`\bntptsd_[a-z_]+\b`)
	for _, f := range []string{"prometheus/ntptsd.rules.yml", "grafana/ntptsd.json"} {
		b, err := os.ReadFile(filepath.Join(root, "packaging", f))
		if err != nil {
			t.Fatal(err)
		}
		found := asked.FindAllString(string(b), -1)
		if len(found) < 10 {
			t.Errorf("%s asks for %d metrics", f, len(found))
		}
		for _, m := range slices.Compact(slices.Sorted(slices.Values(found))) {
			if !known[m] && !known[strings.TrimSuffix(m, "_bucket")] {
				t.Errorf("%s asks for %s, which nobody makes", f, m)
			}
		}
	}
}

// An alert without for: wakes people for a moment's trouble; one without a description leaves them alone with it.
func TestAlertsAreWhole(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "packaging/prometheus/ntptsd.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts := strings.Split(string(b), "- alert: ")[1:]
	if len(alerts) == 0 {
		t.Fatal("no alerts")
	}
	for _, a := range alerts {
		for _, part := range []string{"expr: ", "for: ", "severity: ", "summary: ", "description: "} {
			if strings.Count(a, part) != 1 {
				t.Errorf("%s has not exactly one %s", strings.Fields(a)[0], part)
			}
		}
	}
}

func TestGrafanaDashboard(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "packaging/grafana/ntptsd.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || len(d.Panels) < 10 {
		t.Errorf("uid %q, %d panels", d.UID, len(d.Panels))
	}
	seen := make(map[int]bool)
	for _, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: %+v", p.ID, p.Title, p.GridPos)
		}
		seen[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			if !strings.Contains(q.Expr, "$instance") {
				t.Errorf("panel %q shows all instances: %s", p.Title, q.Expr)
			}
		}
	}
}
