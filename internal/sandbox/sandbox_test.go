package sandbox

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fake is a kernel of a test's choice.
type fake struct {
	version          int
	files, calls     error
	confined, filter *Rules
}

func (f *fake) abi() int { return f.version }

func (f *fake) confine(r Rules) error {
	f.confined = &r
	return f.files
}

func (f *fake) filterCalls(r Rules) error {
	f.filter = &r
	return f.calls
}

func (f *fake) filters() bool { return f.calls == nil }

func (f *fake) openable(path string) bool { return !strings.HasSuffix(path, "closed") }

var errLacking = errors.New("no such thing in this kernel")

// What becomes of a start on every kind of kernel, in every mode.
func TestModes(t *testing.T) {
	for name, c := range map[string]struct {
		kernel  fake
		mode    Mode
		reached Reached
		refused string
		told    string
	}{
		"all":                     {fake{version: 7}, BestEffort, Reached{7, true, true}, "", "level=INFO"},
		"all is required":         {fake{version: 4}, Require, Reached{4, true, true}, "", "level=INFO"},
		"no Landlock":             {fake{files: errLacking}, BestEffort, Reached{0, false, true}, "", "files and ports: no such thing"},
		"Landlock is required":    {fake{files: errLacking}, Require, Reached{}, `sandbox.mode = "require", and this system cannot: files and ports: no such`, ""},
		"old Landlock":            {fake{version: 3}, BestEffort, Reached{3, true, true}, "", "ports need 4"},
		"ports are required":      {fake{version: 3}, Require, Reached{}, "ports need 4 (Linux 6.7)", ""},
		"no seccomp":              {fake{version: 7, calls: errLacking}, BestEffort, Reached{7, true, false}, "", "system calls: no such thing"},
		"seccomp is required":     {fake{version: 7, calls: errLacking}, Require, Reached{}, "system calls: no such thing", ""},
		"nothing":                 {fake{files: errLacking, calls: errLacking}, BestEffort, Reached{}, "", "level=WARN"},
		"off":                     {fake{version: 7}, Off, Reached{}, "", "switched off"},
		"off where there is none": {fake{files: errLacking}, Off, Reached{}, "", "switched off"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s, err := enter(&c.kernel, c.mode, Rules{}, slog.New(slog.NewTextHandler(&log, nil)))
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "boot with Landlock") {
					t.Errorf("error %v, want %q and what to do", err, c.refused)
				}
				return
			}
			if err != nil || s.Reached() != c.reached || s.Mode() != c.mode {
				t.Errorf("reached %+v in mode %s, %v; want %+v", s.Reached(), s.Mode(), err, c.reached)
			}
			if text := log.String(); !strings.Contains(text, c.told) || strings.Count(text, "\n") != 1 {
				t.Errorf("logged %q, want one line with %q", text, c.told)
			}
			if c.mode == Off && (c.kernel.confined != nil || c.kernel.filter != nil) {
				t.Error("the kernel was asked although the sandbox is off")
			}
		})
	}
}

// Who asks before a start hears the same.
func TestLacking(t *testing.T) {
	for want, k := range map[string]*fake{
		"":                    {version: 4},
		"ABI 3":               {version: 3},
		"ABI 0":               {},
		"there is no seccomp": {version: 7, calls: errLacking},
	} {
		if err := lacking(k); (err == nil) != (want == "") || err != nil && !strings.Contains(Refusal(err).Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	s, err := enter(&fake{version: 3, calls: errLacking}, BestEffort, Rules{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const want = `# HELP ntptsd_sandbox_enforced 1 if this part of the sandbox holds: files, ports or system calls.
# TYPE ntptsd_sandbox_enforced gauge
ntptsd_sandbox_enforced{part="calls"} 0
ntptsd_sandbox_enforced{part="files"} 1
ntptsd_sandbox_enforced{part="ports"} 0
# HELP ntptsd_sandbox_landlock_abi_number The version of the kernel's Landlock interface; 0 if there is none.
# TYPE ntptsd_sandbox_landlock_abi_number gauge
ntptsd_sandbox_landlock_abi_number 3
`
	if err := testutil.CollectAndCompare(s, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// What is missing of the configuration's folders is told once; what is missing of the system's is as usual.
func TestMissingFoldersAreTold(t *testing.T) {
	dir := real(t, t.TempDir())
	if err := errors.Join(os.Mkdir(dir+"/there", 0o700), os.Mkdir(dir+"/closed", 0o700), os.Symlink(dir+"/there", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	k := &fake{version: 7}
	_, err := enter(k, BestEffort, Rules{Places: []Place{
		{"a.file", dir + "/link", Write}, {"b.file", dir + "/gone", Read}, {"c.file", dir + "/gone", Write}, {"", dir + "/nowhere", Read},
		{"d.file", dir + "/closed", Read},
	}}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.confined.Places; len(got) != 1 || got[0] != (Place{"a.file", dir + "/there", Write}) {
		t.Errorf("inside are %v", got)
	}
	text := log.String()
	if strings.Count(text, "WARN") != 2 || !strings.Contains(text, dir+"/gone") || !strings.Contains(text, dir+"/closed") {
		t.Errorf("logged %s", text)
	}
}

// A reload that needs more than is open is refused by the names of the keys.
func TestReloadsOutsideAreRefused(t *testing.T) {
	dir := real(t, t.TempDir())
	for _, d := range []string{"open/below", "writable", "sockets", "outside", "open2"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(dir+"/outside", dir+"/open/away"), os.Symlink(dir+"/open", dir+"/home")); err != nil {
		t.Fatal(err)
	}
	entered := Rules{Listen: []uint16{80}, Places: []Place{{"old.key", dir + "/open", Read}, {"old.state", dir + "/writable", Write},
		{"old.socket", dir + "/sockets", Sockets}, {"old.later", dir + "/later", Read}}}
	for name, c := range map[string]struct {
		place   Place
		refused bool
	}{
		"as before":                     {Place{"old.key", dir + "/open", Read}, false},
		"missing as before":             {Place{"old.later", dir + "/later", Read}, false},
		"another key, the same folder":  {Place{"new.key", dir + "/open", Read}, false},
		"below":                         {Place{"new.key", dir + "/open/below", Read}, false},
		"below, and not there":          {Place{"new.key", dir + "/open/none", Read}, false},
		"by another name":               {Place{"new.key", dir + "/home/below", Read}, false},
		"reading where writing is open": {Place{"new.key", dir + "/writable", Read}, false},
		"sockets where writing is open": {Place{"new.key", dir + "/writable", Sockets}, false},
		"of the system":                 {Place{"", dir + "/outside", Read}, false},
		"outside":                       {Place{"new.key", dir + "/outside", Read}, true},
		"outside, through a link":       {Place{"new.key", dir + "/open/away", Read}, true},
		"a name that begins alike":      {Place{"new.key", dir + "/open2", Read}, true},
		"above":                         {Place{"new.key", dir, Read}, true},
		"writing where reading is open": {Place{"new.key", dir + "/open", Write}, true},
		"reading where sockets are":     {Place{"new.key", dir + "/sockets", Read}, true},
		"outside, and not there":        {Place{"new.key", dir + "/none", Read}, true},
	} {
		for _, confined := range []bool{true, false} {
			k := &fake{version: 7}
			if !confined {
				k.files = errLacking
			}
			s, err := enter(k, BestEffort, entered, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			err = s.Admits(Rules{Listen: []uint16{80}, Places: []Place{c.place}})
			if refused := c.refused && confined; refused != (err != nil) {
				t.Errorf("%s, confined %v: %v", name, confined, err)
			} else if refused && (!strings.Contains(err.Error(), "new.key: may not ") || !strings.Contains(err.Error(), "restart ntptsd")) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	s, err := enter(&fake{version: 7}, BestEffort, entered, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Admits(Rules{Listen: []uint16{443}}); err == nil || !strings.Contains(err.Error(), "port 443") {
		t.Errorf("another port: %v", err)
	}
}

func real(t *testing.T, path string) string {
	t.Helper()
	p, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
