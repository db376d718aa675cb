package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The folders of a file stay right when it is renewed the way that certificates are.
func TestFilesAreNamedByTheirFolders(t *testing.T) {
	dir := real(t, t.TempDir())
	for _, d := range []string{"plain", "live/a", "archive/a", "secret/..2026_1", "releases/42/etc", "other/deep"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{ // link: where it leads to
		"live/a/key.pem":   "../../archive/a/key1.pem",            // as certbot does
		"secret/..data":    "..2026_1",                            // as Kubernetes does
		"secret/key.pem":   "..data/key.pem",                      //
		"releases/current": "42",                                  // as deployments do
		"away":             "other/deep",                          // a folder that is elsewhere
		"loop":             "loop",                                //
		"far.pem":          filepath.Join(dir, "away", "key.pem"), // absolute
	}
	for link, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"plain/key.pem":            "plain",
		"plain/../plain/key.pem":   "plain",
		"live/a/key.pem":           "live/a archive/a",
		"secret/key.pem":           "secret secret/..data",
		"releases/current/etc/key": "releases releases/current/etc",
		"away/key.pem":             "away",
		"far.pem":                  ". away",
		"none/key.pem":             "none",
		"loop":                     ".",
	} {
		places := FileIn("some.key", filepath.Join(dir, path), Read)
		var got []string
		for _, p := range places {
			rel, err := filepath.Rel(dir, p.Path)
			if err != nil || p.Key != "some.key" || p.Access != Read {
				t.Errorf("%s: %+v, %v", path, p, err)
			}
			got = append(got, rel)
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, want %s", path, got, want)
		}
	}
}

// A file in the root folder must not open the whole system, nor must a link in it that leads beside itself, as /bin does.
func TestTheRootFolderStaysClosed(t *testing.T) {
	for _, path := range []string{"/ntptsd.toml", "/bin/x", "/lib/x/y", "/var/run/x/y", "/proc/self/x", "/../ntptsd.toml"} {
		for _, p := range FileIn("", path, Read) {
			if p.Path == "/" {
				t.Errorf("%s opens %s", path, p.Path)
			}
		}
	}
	if _, err := os.Stat("/bin"); errors.Is(err, os.ErrNotExist) {
		t.Log("no /bin here")
	}
}
