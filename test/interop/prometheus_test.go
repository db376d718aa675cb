package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

const prometheusConfiguration = `global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [%q]
scrape_configs:
  - job_name: ntptsd
    scheme: https
    tls_config: {ca_file: %q}
    authorization: {credentials_file: %q}
    static_configs:
      - targets: ["server.test:4461", "lost.test:4461"]
`

// TestPrometheusScrapes lets Debian's Prometheus log in by a token that may scrape and nothing else, and evaluate the alerts
// that we ship.
func TestPrometheusScrapes(t *testing.T) {
	t.Parallel()
	release := peers.Bookworm()
	l, hosts := newLab(t, "", "server", "client", "lost")
	tools := tree(t, release)
	a := newAuthority(l)
	token, table := newToken(t, "prometheus", "--only", "metrics", "--days", "1")
	port := "[monitoring]\nlisten = [\"[::]:4461\"]\n\n" + table
	startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test"), more: port})
	// On the other host nobody keeps the clock: it is not synchronised.
	startNtptsd(hosts[2], settings{pair: a.issue("lost", "lost.test"), time: "[::]:10123", clock: "source = \"ntpd\"", more: port})
	rules, err := filepath.Abs("../../packaging/prometheus/ntptsd.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := l.write("prometheus.yml", fmt.Sprintf(prometheusConfiguration, rules, a.root, l.write("token", token)))
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", strings.TrimSuffix(rules, ".yml") + ".test.yml"}, {"check", "config", file}} {
		if out, err := hosts[1].run(tools.Command("usr/bin/promtool", args...)...); err != nil {
			t.Errorf("promtool: %v", err)
		} else {
			t.Log(out)
		}
	}
	hosts[1].start("prometheus", tools.Command("usr/bin/prometheus", "--config.file", file, "--storage.tsdb.path", l.folder("tsdb"),
		"--web.listen-address", "127.0.0.1:9090", "--web.enable-lifecycle", "--enable-feature=native-histograms"))
	query := func(expr string) (values []string, err error) {
		out, err := hosts[1].run(tools.Command("usr/bin/promtool", "query", "instant", "-o", "json", "http://127.0.0.1:9090", expr)...)
		if err != nil {
			return nil, err
		}
		var samples []struct{ Value [2]any }
		if err := json.Unmarshal([]byte(out), &samples); err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		for _, s := range samples {
			values = append(values, fmt.Sprint(s.Value[1]))
		}
		return values, nil
	}
	well, lost := `{instance="server.test:4461"}`, `{instance="lost.test:4461"}`
	for expr, want := range map[string]string{
		`up` + well:                              "[1]",
		`up` + lost:                              "[1]",
		`ntptsd_monitoring_fit` + well:           "[1]",
		`ntptsd_monitoring_fit` + lost:           "[0]",
		`count(ALERTS` + well + `) or vector(0)`: "[0]",
		`count(ALERTS{alertname="NtptsdNotFit",alertstate="pending"})`:                    "[1]",
		`count(ALERTS{alertname="NtptsdClockUnsynchronised",alertstate="pending"})`:       "[1]",
		`histogram_count(ntptsd_keyexchange_handshake_duration_seconds` + well + `) >= 0`: "[0]", // native
		`scrape_samples_scraped` + well + ` > bool 100`:                                   "[1]",
		`scrape_samples_scraped` + well + ` < bool 1000`:                                  "[1]",
	} {
		eventually(t, commandTimeout, func() error {
			got, err := query(expr)
			if err == nil && fmt.Sprint(got) != want {
				err = fmt.Errorf("%s is %v, want %s", expr, got, want)
			}
			return err
		})
	}
	// What is scraped with the token opens nothing else.
	out, err := hosts[1].run("sh", "-c", fmt.Sprintf(`printf 'login %s\njson status\nquit\n' | openssl s_client -quiet -crlf -CAfile %s -connect server.test:4461 2>/dev/null`, token, a.root))
	if err != nil || !strings.Contains(out, `{"code":501,`) {
		t.Errorf("the scraper's token on the console: %v\n%s", err, out)
	}
}

// newToken is what ntptsd token makes: the token, and the table that lets it in.
func newToken(t *testing.T, args ...string) (token, table string) {
	t.Helper()
	cmd := exec.Command(program(t, "ntptsd"), append([]string{"token"}, args...)...)
	var out, snippet bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &snippet
	if err := cmd.Run(); err != nil {
		t.Fatalf("ntptsd token: %v\n%s", err, &snippet)
	}
	_, table, found := strings.Cut(snippet.String(), "[access.token.")
	if !found {
		t.Fatalf("ntptsd token says\n%s", &snippet)
	}
	return strings.TrimSpace(out.String()), "[access.token." + table
}
