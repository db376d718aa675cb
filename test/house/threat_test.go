package house

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// word is what counts in a cell: a folder in back-ticks, a test, or what stands between two of them.
var word = regexp.MustCompile("`[a-z0-9/-]+`|\\b(?:Test|Fuzz)[A-Z]\\w*|;")

// A promise is held by a test that is there: the last column of each table of docs/threat-model.md names folders and their
// tests. Folders are below internal/ unless they are not; several in a row have all that follows.
func TestThreatModelNamesRealTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest() && f.Recv == nil {
				there[s.dir+" "+f.Name.Name] = true
			}
		}
	}
	named := 0
	for i, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "|") || len(cells) < 3 {
			continue
		}
		var folders []string
		fresh := true // the next folder begins a new row of them
		for _, w := range word.FindAllString(cells[len(cells)-1], -1) {
			switch {
			case w == ";":
				fresh = true
			case strings.HasPrefix(w, "`"):
				if fresh {
					folders = nil
				}
				folders, fresh = append(folders, folderOf(strings.Trim(w, "`"))), false
			default:
				fresh = true
				if len(folders) == 0 {
					t.Errorf("line %d: %s stands behind no folder", i+1, w)
				}
				for _, f := range folders {
					named++
					if !there[f+" "+w] {
						t.Errorf("line %d: there is no %s in %s", i+1, w, f)
					}
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`TestScripts \(([a-z, ]+)\)`).FindAllStringSubmatch(string(text), -1) {
		for _, script := range strings.Split(m[1], ", ") {
			if _, err := os.Stat(filepath.Join(root, "cmd/ntptsd/testdata/script", script+".txtar")); err != nil {
				t.Errorf("TestScripts has no %v", err)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named: this test no longer sees them", named)
	}
}

func folderOf(name string) string {
	for _, top := range []string{"cmd", "packaging", "protocol", "test"} {
		if under(name, top) {
			return name
		}
	}
	return "internal/" + name
}
