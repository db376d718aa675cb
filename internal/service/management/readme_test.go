package management

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// The page has every command, and an example that is a configuration.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	bindings := New(Parts{}).Bindings()
	for _, b := range bindings {
		if !bytes.Contains(text, []byte("`"+b.Name+"`")) {
			t.Errorf("README.md does not speak of %s", b.Name)
		}
		if b.Inverse != "" && !regexp.MustCompile("(?m)^\\|.*`"+b.Name+"`.*(each other|itself|`"+b.Inverse+"`)").Match(text) {
			t.Errorf("README.md does not say that %s undoes %s", b.Inverse, b.Name)
		}
	}
	if len(bindings) < 40 {
		t.Errorf("%d commands", len(bindings))
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) == 0 {
		t.Error("README.md has no example")
	}
	for _, e := range examples {
		if _, err := config.Parse("README.md", append([]byte("[clock]\nsource = \"kernel\"\n\n"), e[1]...)); err != nil {
			t.Error(err)
		}
	}
}
