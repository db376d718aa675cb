package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the manual says to whoever does not trust our own verifier must hold, with tools that are not ours.
func TestRecipesOfTheManual(t *testing.T) {
	for _, tool := range []string{"sh", "jq", "sha256sum", "openssl", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("NTPTSD_PEERS") == "require" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	page, err := os.ReadFile("../../docs/manual/ntptsd-audit.7")
	if err != nil {
		t.Fatal(err)
	}
	recipe := func(name string) string {
		_, after, found := strings.Cut(string(page), ".\\\" example "+name+" sh\n.Bd -literal -offset indent\n")
		block, _, ended := strings.Cut(after, ".Ed\n")
		if !found || !ended {
			t.Fatalf("the manual has no example %q", name)
		}
		return strings.NewReplacer(`\e`, `\`, `\-`, "-").Replace(block)
	}
	lines, records := chain(t, 12)
	head := records[11].Head().Sign(testKey())
	der, err := x509.MarshalPKIXPublicKey(testKey().Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	all := func(from, to int) string { return string(bytes.Join(lines[from:to], nil)) }
	run := func(t *testing.T, script string, change func(files map[string]string)) string {
		dir := t.TempDir()
		files := map[string]string{"0000000003.log": all(2, 8), "current.log": all(8, 12), "head": head.String() + "\n",
			"public.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
		if change != nil {
			change(files)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := exec.Command("sh", "-c", strings.ReplaceAll(script, "/tmp/", dir+"/"))
		c.Dir = dir
		out, _ := c.CombinedOutput() // the last word tells
		return strings.TrimSpace(string(out))
	}
	for name, c := range map[string]struct {
		recipe string
		change func(map[string]string)
		want   string
	}{
		"chain":        {"chain", nil, "right"},
		"altered":      {"chain", func(f map[string]string) { f["current.log"] = strings.Replace(all(8, 12), "alice", "malle", 1) }, `wrong: {"seq":9,`},
		"missing":      {"chain", func(f map[string]string) { f["current.log"] = all(9, 12) }, `wrong: {"seq":10,`},
		"head":         {"head", nil, "Signature Verified Successfully\ntrue"},
		"cut":          {"head", func(f map[string]string) { f["current.log"] = all(8, 11) }, "Signature Verified Successfully"},
		"another head": {"head", func(f map[string]string) { f["head"] = strings.Replace(f["head"], "12:", "11:", 1) }, "Signature Verification Failure\nfalse"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, recipe(c.recipe), c.change)
			if c.recipe == "chain" && c.change != nil {
				got = got[:min(len(got), len(c.want))]
			}
			if got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}
