package keyring

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
)

// What would end a start is wrong; with what would not it is borne. Nothing is made or changed.
func TestCheck(t *testing.T) {
	put := func(text string, mode fs.FileMode) func(w *world) {
		return func(w *world) {
			path := w.cfg.KeyRing.NeighbourFile
			if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
				w.Fatal(err)
			}
		}
	}
	nothing := func(*world) {}
	foreign := loadVectors(t).Files["chrony_NKS0"]
	for name, tt := range map[string]struct {
		owner           string
		first           bool // no record yet
		change          func(w *world)
		bearable, wrong string
	}{
		"well":                   {"", false, nothing, "", ""},
		"first":                  {"", true, nothing, "", ""},
		"follows":                {ownerNeighbour, true, put(foreign, 0o640), "", ""},
		"follows nothing":        {ownerNeighbour, true, nothing, "", ""},
		"adopts":                 {"", true, put(foreign, 0o600), "", ""},
		"foreign":                {"", false, put(foreign, 0o600), "not in the record", ""},
		"public":                 {"", false, put(foreign, 0o644), "chmod 0640", ""},
		"no key file":            {"", false, put("NKS9", 0o600), "no key file", ""},
		"follows no key file":    {ownerNeighbour, true, put("NKS9", 0o600), "no key file", ""},
		"adopts no key file":     {"", true, put("NKS9", 0o600), "", "no key file"},
		"first without a folder": {"", true, func(w *world) { w.cfg.KeyRing.NeighbourFile += "/no/folder" }, "", "cannot write to the folder"},
		"without a folder":       {"", false, func(w *world) { w.cfg.KeyRing.NeighbourFile = "/nonexistent/file" }, "cannot write to the folder", ""},
		"torn record":            {"", false, func(w *world) { _ = os.Truncate(w.cfg.KeyRing.File, 100) }, "", "is torn"},
		"public record":          {"", false, func(w *world) { _ = os.Chmod(w.cfg.KeyRing.File, 0o644) }, "", "has mode 0644"},
		"another dialect":        {"", false, func(w *world) { w.cfg.KeyRing.Dialect, w.cfg.KeyRing.NeighbourFormat = "ntpsec", "ntpsec" }, "", "dialect"},
	} {
		w := beside(t, config.KeyRing{Dialect: "chrony", Owner: tt.owner}, "-")
		if !tt.first {
			w.mustStart()
		}
		tt.change(w)
		other := *w.cfg
		other.KeyRing = filled(config.KeyRing{File: filepath.Join(w.cfg.StateDirectory, "other")})
		other.Rings = map[string]config.KeyRing{"x": w.cfg.KeyRing}
		for section, cfg := range map[string]*config.Config{"keyring": w.cfg, "rings.x": &other} {
			bearable, wrong := Check(cfg)
			for _, c := range []struct {
				got  error
				want string
			}{{errors.Join(bearable...), tt.bearable}, {errors.Join(wrong...), tt.wrong}} {
				if (c.got == nil) != (c.want == "") || c.got != nil && (!strings.Contains(c.got.Error(), c.want) || !strings.HasPrefix(c.got.Error(), section+".")) {
					t.Errorf("%s, %s: %v, want %q", name, section, c.got, c.want)
				}
			}
		}
		if _, err := os.Stat(w.cfg.KeyRing.File); tt.first != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the record: %v", name, err)
		}
		if err := w.start(); (err == nil) != (tt.wrong == "") {
			t.Errorf("%s: check says %q, the start %v", name, tt.wrong, err)
		}
	}
}
