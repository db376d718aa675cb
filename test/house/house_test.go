// Package house holds the rules of the house as tests: who may import whom, what every package says of itself, what a
// metric is called. It reads the sources in-process, so that the test cache sees what it depends on.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/ntptsd/ntptsd/"

// root is the repository, seen from this folder.
const root = "../.."

// source is one Go file with its folder relative to the repository.
type source struct {
	dir  string
	name string
	file *ast.File
	fset *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) imports() []string {
	var paths []string
	for _, i := range s.file.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

// sources parses every Go file of the module, the tools' own module excepted.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skip := d.Name(); skip == "tools" || skip == "testdata" || (strings.HasPrefix(skip, ".") && skip != root && skip != "..") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		all = append(all, source{dir: filepath.ToSlash(rel), name: filepath.Base(p), file: f, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found below %s: this test no longer sees the sources", len(all), root)
	}
	return all
}

// rule is a row of the import table in docs/architecture.md.
type rule struct {
	under string   // a folder; the longest that fits decides
	ours  []string // folders of ours that files there may import; "." is the part's own folder and what lies below it
	any   bool     // may import everything
}

var rules = []rule{
	{under: "protocol", ours: []string{"protocol"}},
	{under: "internal/config"},
	{under: "internal/durable"},
	{under: "internal/api", ours: []string{"."}},
	{under: "internal/daemon", ours: []string{"internal/config"}},
	{under: "internal", ours: []string{".", "protocol", "internal/config", "internal/durable", "internal/api"}},
	{under: "internal/service", ours: []string{".", "protocol", "internal", "web"}},
	{under: "cmd/ntptsctl", ours: []string{"protocol", "internal/api", "internal/probe"}},
	{under: "cmd/ntptsd", any: true},
	{under: "web"},
	{under: "test", any: true},
	{under: "bench", any: true},
	{under: "packaging"},
}

func under(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

func ruleFor(dir string) (rule, bool) {
	var best rule
	for _, r := range rules {
		if under(dir, r.under) && len(r.under) > len(best.under) {
			best = r
		}
	}
	return best, best.under != ""
}

// part is the folder that owns dir: internal/keyring for internal/keyring/etcd, internal/service/x for what lies in it.
func part(dir string) string {
	n := 2
	if under(dir, "internal/service") {
		n = 3
	}
	words := strings.Split(dir, "/")
	return path.Join(words[:min(n, len(words))]...)
}

// allowed judges one import of ours.
func allowed(r rule, dir, target string) bool {
	if r.any {
		return true
	}
	if under(dir, "internal/service") && part(target) != part(dir) && (under(target, "internal/service") || under(target, "internal/daemon")) {
		return false // no service imports another, nor what runs it
	}
	for _, o := range r.ours {
		if o == "." {
			// A part's sub-folder belongs to it; its root never imports it.
			if part(target) == part(dir) && !(dir == part(dir) && target != dir) {
				return true
			}
			continue
		}
		if under(target, o) {
			return true
		}
	}
	return false
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		r, ok := ruleFor(s.dir)
		if !ok {
			t.Errorf("%s: no row of the import table covers this folder", s.dir)
			continue
		}
		for _, p := range s.imports() {
			target, ours := strings.CutPrefix(p, module)
			if ours && target != s.dir && !allowed(r, s.dir, target) {
				t.Errorf("%s/%s may not import %s", s.dir, s.name, target)
			}
		}
	}
}

// protocol/ is for everybody: it may pull in nothing but the standard library and x/crypto.
func TestProtocolStandsAlone(t *testing.T) {
	for _, s := range sources(t) {
		if !under(s.dir, "protocol") {
			continue
		}
		for _, p := range s.imports() {
			first, _, _ := strings.Cut(p, "/")
			if strings.Contains(first, ".") && !strings.HasPrefix(p, module+"protocol/") && !strings.HasPrefix(p, "golang.org/x/crypto/") {
				t.Errorf("%s/%s imports %s", s.dir, s.name, p)
			}
		}
	}
}

func TestRulesRefuse(t *testing.T) {
	for _, c := range []struct {
		dir, target string
		want        bool
	}{
		{"protocol/nts", "protocol/ntp", true},
		{"protocol/nts", "internal/config", false},
		{"internal/config", "protocol/ntp", false},
		{"internal/daemon", "internal/keyring", false},
		{"internal/keyring", "internal/durable", true},
		{"internal/keyring", "internal/certs", false},
		{"internal/keyring", "internal/keyring/etcd", false},
		{"internal/keyring/etcd", "internal/keyring", true},
		{"internal/service/timeserver", "internal/keyring", true},
		{"internal/service/timeserver", "internal/service/keyexchange", false},
		{"internal/service/timeserver", "internal/daemon", false},
		{"cmd/ntptsctl", "internal/probe", true},
		{"cmd/ntptsctl", "internal/keyring", false},
		{"cmd/ntptsctl", "internal/service/timeserver", false},
		{"cmd/ntptsd", "internal/service/timeserver", true},
	} {
		r, _ := ruleFor(c.dir)
		if got := allowed(r, c.dir, c.target); got != c.want {
			t.Errorf("%s -> %s: allowed = %v, want %v", c.dir, c.target, got, c.want)
		}
	}
}
