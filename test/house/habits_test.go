package house

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.isTest() && !under(s.dir, "test") {
			continue
		}
		comments[s.dir] += 0
		if s.file.Doc == nil {
			continue
		}
		comments[s.dir]++
		text := s.file.Doc.Text()
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(text, want) {
			t.Errorf("%s/%s: the package comment begins %.30q, want %q", s.dir, s.name, text, want)
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", dir, n)
		}
	}
}

var metricName = regexp.MustCompile(`^ntptsd_(audit|daemon|keyexchange|timeserver|clock|keyring|certs|access|monitoring|management|neighbour|sandbox|build)_[a-z0-9_]+$`)

// Every string that looks like one of our metrics is ntptsd_<section>_<what>_<unit>; counters end in _total.
func TestMetricNames(t *testing.T) {
	seen := 0
	for _, s := range sources(t) {
		if s.isTest() || !under(s.dir, "internal") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil || !strings.HasPrefix(text, "ntptsd_") || text == "ntptsd_" || strings.ContainsAny(text, " /.") { // how a token begins
				return true
			}
			seen++
			if !metricName.MatchString(text) {
				t.Errorf("%s: metric %q, want ntptsd_<section>_<what>_<unit>", s.fset.Position(lit.Pos()), text)
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("no metric name found: this test no longer sees them")
	}
}

// What lives in a package variable is shared by stealth; constructors start nothing and register nothing.
func TestNoHiddenWiring(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || under(s.dir, "test") || under(s.dir, "bench") {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s/%s has an init function", s.dir, s.name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := call.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch x.Name + "." + call.Sel.Name {
			case "prometheus.MustRegister", "http.DefaultServeMux", "http.HandleFunc", "slog.Default", "slog.SetDefault":
				t.Errorf("%s uses %s.%s: hand it in instead", s.fset.Position(call.Pos()), x.Name, call.Sel.Name)
			}
			return true
		})
	}
}

// Only main may end the program.
func TestOnlyMainExits(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := call.X.(*ast.Ident); ok && (x.Name == "os" && call.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(call.Sel.Name, "Fatal")) {
				t.Errorf("%s ends the program", s.fset.Position(call.Pos()))
			}
			return true
		})
	}
}

// Every Parse of a protocol package has a fuzz target beside it.
func TestParsersAreFuzzed(t *testing.T) {
	parses, fuzzes := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if !under(s.dir, "protocol") {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			switch name := f.Name.Name; {
			case s.isTest() && strings.HasPrefix(name, "Fuzz"):
				fuzzes[s.dir] = true
			case !s.isTest() && strings.HasPrefix(name, "Parse"):
				parses[s.dir] = true
			}
		}
	}
	for dir := range parses {
		if !fuzzes[dir] {
			t.Errorf("%s parses and has no fuzz target", dir)
		}
	}
	if len(parses) == 0 {
		t.Error("no parser found: this test no longer sees them")
	}
}

// A dependency is a decision: each direct one stands in docs/decisions.
func TestEveryDependencyHasADecision(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs/decisions/*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no decision pages: %v", err)
	}
	var text strings.Builder
	for _, p := range pages {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1)
	if len(direct) == 0 {
		t.Fatal("no direct dependency found in go.mod")
	}
	for _, d := range direct {
		if !strings.Contains(text.String(), d[1]) {
			t.Errorf("docs/decisions does not speak of %s", d[1])
		}
	}
}

// The sizes of docs/decisions: long files and functions are split while they are small.
func TestSizes(t *testing.T) {
	const maxFile, maxFunction = 300, 60
	flat := []string{} // functions that are one flat switch or table
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		if lines := s.fset.Position(s.file.End()).Line; lines > maxFile {
			t.Errorf("%s/%s has %d lines, want at most %d", s.dir, s.name, lines, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if lines > maxFunction && !slices.Contains(flat, f.Name.Name) {
				t.Errorf("%s: %s has %d lines, want at most %d", s.fset.Position(f.Pos()), f.Name.Name, lines, maxFunction)
			}
		}
	}
}

// The manual has every key of the configuration, and none that is not there.
func TestManualHasEveryKey(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/manual/ntptsd.toml.5"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, line := range strings.Split(string(page), "\n") {
		switch {
		case strings.HasPrefix(line, ".It Cm "):
			for _, w := range strings.Fields(strings.TrimPrefix(line, ".It Cm ")) {
				documented[w] = true
			}
		case strings.HasPrefix(line, ".Ss ["):
			documented[strings.TrimSuffix(strings.Trim(strings.TrimPrefix(line, ".Ss "), "[]"), ".NAME")] = true
		case strings.HasPrefix(line, ".Pq Cm "):
			documented[strings.Fields(line)[2]] = true
		}
	}
	tags := map[string]bool{}
	for _, s := range sources(t) {
		if s.dir != "internal/config" || s.isTest() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			f, ok := n.(*ast.Field)
			if !ok || f.Tag == nil {
				return true
			}
			if m := regexp.MustCompile(`toml:"([a-z-]+)"`).FindStringSubmatch(f.Tag.Value); m != nil {
				tags[m[1]] = true
			}
			return true
		})
	}
	if len(tags) < 20 {
		t.Fatalf("only %d keys found: this test no longer sees them", len(tags))
	}
	for tag := range tags {
		if !documented[tag] && !documented["keyexchange."+tag] && !documented["timeserver."+tag] {
			t.Errorf("docs/manual/ntptsd.toml.5 does not speak of %q", tag)
		}
	}
	for word := range documented {
		if name := word[strings.LastIndex(word, ".")+1:]; word != "," && !tags[name] {
			t.Errorf("docs/manual/ntptsd.toml.5 speaks of %q, which is no key", word)
		}
	}
}
