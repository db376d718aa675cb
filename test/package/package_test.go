package packages

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// One run makes everything once: the packages are what takes the time.
func TestPackages(t *testing.T) {
	wanted(t)
	var debian string
	var failed error
	var wait sync.WaitGroup
	wait.Go(func() { debian, failed = bootstrap() }) // waits for the network, mostly
	t.Cleanup(wait.Wait)

	first, second := t.TempDir(), t.TempDir()
	clone(t, first)
	clone(t, second)
	commit(t, first, "v0.1.0")
	commit(t, second, "v0.1.0")
	old := build(t, first, "amd64,arm64")
	t.Run("two builds in two folders make the same octets", func(t *testing.T) {
		sameFiles(t, old, build(t, second, "amd64,arm64"))
	})
	commit(t, second, "v0.2.0")
	newer := build(t, second, "amd64")

	t.Run("the binaries are static", func(t *testing.T) { static(t, old) })
	t.Run("the bill of materials tells what is in the binaries", func(t *testing.T) { bill(t, old) })
	t.Run("lintian has no objection", func(t *testing.T) { lintian(t, old) })
	t.Run("the container", func(t *testing.T) { container(t, old) })

	wait.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	was, is := filepath.Join(old, "ntptsd_0.1.0_amd64.deb"), filepath.Join(newer, "ntptsd_0.2.0_amd64.deb")
	t.Run("install, upgrade, remove, purge", func(t *testing.T) { life(t, debian, was, is) })
	t.Run("under systemd", func(t *testing.T) { underSystemd(t, debian, was, is) })
}

// enabled is what "systemctl enable ntptsd" makes.
const enabled = "etc/systemd/system/multi-user.target.wants/ntptsd.service"

func enable(t *testing.T, link string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(link), 0o755)
	if err == nil {
		err = os.Symlink("/usr/lib/systemd/system/ntptsd.service", link)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// life is that of the package on a server, from the README.
func life(t *testing.T, debian, was, is string) {
	x := unpack(t, debian)
	x.write(t, "was.deb", readFile(t, was), 0o644)
	x.write(t, "is.deb", readFile(t, is), 0o644)
	before := x.list(t)

	x.dpkg(t, "--install", "/was.deb")
	x.installed(t, "v0.1.0")
	if _, err := os.Lstat(x.path(enabled)); err == nil {
		t.Error("the package enables a service that has no configuration")
	}

	// As the README says, but for the clock: nobody keeps one here.
	x.run(t, "ntptsd", "init", "time.example.net", "127.0.0.1")
	config := clockless(t, x.read(t, "etc/ntptsd/ntptsd.toml"))
	x.write(t, "etc/ntptsd/ntptsd.toml", config, 0o644)
	x.run(t, "ntptsd", "check")
	d, said := x.serve(t, "0:0")
	if !strings.Contains(said, "OK: NTS protects") {
		t.Errorf("the probe says\n%s", said)
	}
	if ids, want := d.status(t, "Uid"), strings.Repeat(x.account(t)+"\t", 4); ids+"\t" != want {
		t.Errorf("ntptsd runs as %q, want %q", ids, want)
	}
	keys := x.fingerprints(t)
	enable(t, x.path(enabled))
	x.write(t, "etc/ntptsd/mine.pem", "the operator's own file", 0o600)

	// While it runs: who has no systemd restarts it himself, and until then it serves.
	x.dpkg(t, "--install", "/is.deb")
	x.installed(t, "v0.2.0")
	if said, err := x.probe(t.Context(), "0:0"); err != nil {
		t.Errorf("the daemon of before the upgrade no longer serves: %v\n%s", err, said)
	}
	d.stop(t)
	d, _ = x.serve(t, "0:0")
	if got := x.read(t, "etc/ntptsd/ntptsd.toml"); got != config {
		t.Errorf("the upgrade changed the configuration:\n%s", got)
	}
	if _, err := os.Lstat(x.path(enabled)); err != nil {
		t.Errorf("the upgrade disabled the service: %v", err)
	}
	if got := x.fingerprints(t); got != keys {
		t.Errorf("the upgrade lost the keys: %s, before %s", got, keys)
	}
	d.stop(t)

	x.dpkg(t, "--remove", "ntptsd")
	for _, name := range []string{"etc/ntptsd/ntptsd.toml", "etc/ntptsd/ca.key", "etc/ntptsd/mine.pem", "var/lib/ntptsd/keys"} {
		x.read(t, name)
	}
	if _, err := os.Stat(x.path("usr/bin/ntptsd")); err == nil {
		t.Error("remove leaves the program")
	}
	x.dpkg(t, "--install", "/is.deb")
	x.run(t, "ntptsd", "check")

	x.dpkg(t, "--purge", "ntptsd")
	if left := slices.DeleteFunc(x.list(t), func(name string) bool { return slices.Contains(before, name) }); len(left) > 0 {
		t.Errorf("purge leaves %q", left)
	}
	x.account(t) // nobody else may get its number
}

// dpkg must neither ask nor warn.
func (x *tree) dpkg(t *testing.T, args ...string) {
	t.Helper()
	out := x.run(t, append([]string{"dpkg", "--force-unsafe-io"}, args...)...)
	for _, word := range []string{"warning", "Configuration file '", "error", "not found"} {
		if strings.Contains(out, word) {
			t.Errorf("dpkg %s says\n%s", args[0], out)
			return
		}
	}
}

// installed looks at what the package must have brought.
func (x *tree) installed(t *testing.T, version string) {
	t.Helper()
	if got := x.run(t, "ntptsd", "version"); !strings.HasPrefix(got, "ntptsd "+version+" ") {
		t.Errorf("ntptsd version says %q, want %s", got, version)
	}
	if got := x.run(t, "dpkg", "--verify", "ntptsd"); got != "" {
		t.Errorf("dpkg --verify says\n%s", got)
	}
	if got := x.run(t, "dpkg-query", "--show", "--showformat=${db:Status-Status} [${Conffiles}]", "ntptsd"); got != "installed []" {
		t.Errorf("status %q: no file of the package may be a configuration that dpkg asks about", got)
	}
	account := x.account(t)
	for _, f := range []struct{ name, mode, owner string }{
		{"usr/bin/ntptsd", "-rwxr-xr-x", "0"},
		{"usr/bin/ntptsctl", "-rwxr-xr-x", "0"},
		{"usr/lib/systemd/system/ntptsd.service", "-rw-r--r--", "0"},
		{"usr/lib/systemd/system/ntptsd.socket", "-rw-r--r--", "0"},
		{"usr/lib/systemd/system/ntptsd-time.socket", "-rw-r--r--", "0"},
		{"usr/lib/systemd/system/ntptsd-services.socket", "-rw-r--r--", "0"},
		{"usr/share/man/man8/ntptsd.8.gz", "-rw-r--r--", "0"},
		{"usr/share/bash-completion/completions/ntptsctl", "-rw-r--r--", "0"},
		{"usr/share/zsh/vendor-completions/_ntptsd", "-rw-r--r--", "0"},
		{"usr/share/fish/vendor_completions.d/ntptsctl.fish", "-rw-r--r--", "0"},
		{"usr/share/doc/ntptsd/licences.gz", "-rw-r--r--", "0"},
		{"etc/ntptsd", "drwxr-xr-x", "0"},
		{"var/lib/ntptsd", "drwx------", account},
		{"run/ntptsd", "drwxr-xr-x", account},
	} {
		info, err := os.Lstat(x.path(f.name))
		if err != nil {
			t.Error(err)
			continue
		}
		if owner := fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid); info.Mode().String() != f.mode || owner != f.owner {
			t.Errorf("%s is %v of %s, want %s of %s", f.name, info.Mode(), owner, f.mode, f.owner)
		}
	}
	x.unitsRun(t)
}

// unitsRun: what the units start of ours is there.
func (x *tree) unitsRun(t *testing.T) {
	t.Helper()
	units, err := filepath.Glob(x.path("usr/lib/systemd/system/ntptsd*"))
	if err != nil || len(units) < 3 {
		t.Errorf("units %q, %v", units, err)
	}
	for _, u := range units {
		for _, m := range regexp.MustCompile(`(?m)^Exec\w+=[-+!:@]*(\S*ntpts\S*)`).FindAllStringSubmatch(readFile(t, u), -1) {
			if _, err := os.Stat(x.path(m[1])); err != nil {
				t.Errorf("%s starts %s: %v", filepath.Base(u), m[1], err)
			}
		}
	}
}

// account is the number of the daemon's account, which must be one for daemons.
func (x *tree) account(t *testing.T) string {
	t.Helper()
	fields := strings.Split(strings.TrimSpace(x.run(t, "getent", "passwd", "ntptsd")), ":")
	if len(fields) != 7 || len(fields[2]) != 3 || fields[4] != "NTP TCP services daemon" || fields[5] != "/var/lib/ntptsd" || fields[6] != "/usr/sbin/nologin" {
		t.Errorf("the account is %q", fields)
	}
	return fields[2]
}

// list is every file but dpkg's own records, caches of the system and what changes by itself.
func (x *tree) list(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(x.dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(x.dir, path)
		switch {
		case err != nil:
			return err
		case name == "proc", strings.HasPrefix(name, "var/lib/dpkg/"), strings.HasPrefix(name, "var/log/"):
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case regexp.MustCompile(`^etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^etc/\.pwd\.lock$`).MatchString(name):
			return nil
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fingerprints names the keys that a cookie may be sealed with.
func (x *tree) fingerprints(t *testing.T) string {
	t.Helper()
	var answer struct {
		Rings []struct {
			Keys []struct{ Fingerprint string }
		}
	}
	text := x.run(t, "ntptsctl", "keys", "--json")
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Rings) != 1 || len(answer.Rings[0].Keys) == 0 {
		t.Fatalf("keys: %v\n%s", err, text)
	}
	return fmt.Sprint(answer.Rings)
}

var clockSource = regexp.MustCompile(`(?m)^source = "[a-z]+"`)

// clockless believes the clock as it is.
func clockless(t *testing.T, config string) string {
	t.Helper()
	if n := len(clockSource.FindAllString(config, -1)); n != 1 {
		t.Fatalf("%d clock sources in\n%s", n, config)
	}
	return clockSource.ReplaceAllString(config, "source = \"fixed\"\nstratum = 3")
}

// underSystemd asks what the maintainer scripts would tell systemd, by a stand-in that writes it down. The account is made without
// systemd-sysusers here.
func underSystemd(t *testing.T, debian, was, is string) {
	x := unpack(t, debian)
	x.write(t, "was.deb", readFile(t, was), 0o644)
	x.write(t, "is.deb", readFile(t, is), 0o644)
	if err := os.Remove(x.path("usr/bin/systemd-sysusers")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(x.path("run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	x.write(t, "usr/bin/systemctl", "#!/bin/sh\necho \"$@\" >>/asked\n", 0o755)
	for _, step := range []struct {
		dpkg []string
		want []string // of what is asked of units, in this order
	}{
		{[]string{"--install", "/was.deb"}, nil}, // nothing is configured yet: nothing starts
		{[]string{"--install", "/is.deb"}, []string{"try-restart ntptsd.service"}},
		{[]string{"--remove", "ntptsd"}, []string{"stop ntptsd.socket ntptsd-time.socket ntptsd-services.socket ntptsd.service"}},
		{[]string{"--purge", "ntptsd"}, nil},
		{[]string{"--install", "/is.deb"}, nil}, // the account is there already
	} {
		x.write(t, "asked", "", 0o644)
		x.dpkg(t, step.dpkg...)
		var got []string
		for line := range strings.Lines(x.read(t, "asked")) {
			if m := regexp.MustCompile(`\b(start|stop|restart|try-restart|reload|enable|preset) .*`).FindString(line); m != "" {
				got = append(got, strings.TrimSpace(m))
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("dpkg %s asks for %q, want %q", step.dpkg[0], got, step.want)
		}
		if step.dpkg[0] == "--install" {
			x.account(t)
		}
	}
}

// static: they run on a Linux that has nothing else.
func static(t *testing.T, dist string) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		for _, name := range []string{"ntptsd", "ntptsctl"} {
			f, err := elf.Open(filepath.Join(dist, "linux_"+arch, name))
			if err != nil {
				t.Fatal(err)
			}
			if f.Machine != machine {
				t.Errorf("%s for %s is for %v", name, arch, f.Machine)
			}
			for _, p := range f.Progs {
				if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
					t.Errorf("%s for %s wants a dynamic linker", name, arch)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	emulator, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		return // what is above holds without; this is for who has it
	}
	out, err := exec.Command(emulator, filepath.Join(dist, "linux_arm64", "ntptsd"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ntptsd v0.1.0 ") {
		t.Errorf("on arm64 ntptsd version says %q: %v", out, err)
	}
}

// bill compares with the binaries that are in the package, not with those beside it.
func bill(t *testing.T, dist string) {
	inside := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "--extract", filepath.Join(dist, "ntptsd_0.1.0_arm64.deb"), inside).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, out)
	}
	text := readFile(t, filepath.Join(dist, "ntptsd_0.1.0_arm64.cdx.json"))
	var b struct {
		Components []struct {
			Name, Version string
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range b.Components {
		listed[c.Name+" "+c.Version] = true
	}
	for _, name := range []string{"ntptsd", "ntptsctl"} {
		info, err := buildinfo.ReadFile(filepath.Join(inside, "usr/bin", name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Main.Version != "v0.1.0" || len(info.Deps) == 0 {
			t.Errorf("%s is %q with %d modules", name, info.Main.Version, len(info.Deps))
		}
		linked := b.Dependencies[slices.IndexFunc(b.Dependencies, func(d struct {
			Ref       string
			DependsOn []string
		}) bool {
			return d.Ref == "file:usr/bin/"+name
		})].DependsOn
		for _, m := range info.Deps {
			if !listed[m.Path+" "+m.Version] || !slices.Contains(linked, "pkg:golang/"+m.Path+"@"+m.Version) {
				t.Errorf("%s has %s %s in it, the bill of materials does not say so", name, m.Path, m.Version)
			}
		}
	}
}

func lintian(t *testing.T, dist string) {
	if _, err := exec.LookPath("lintian"); err != nil {
		t.Skip("lintian is missing")
	}
	packages, err := filepath.Glob(filepath.Join(dist, "*.deb"))
	if err != nil || len(packages) != 2 {
		t.Fatalf("packages %q, %v", packages, err)
	}
	out, err := exec.Command("lintian", append([]string{"--allow-root", "--fail-on", "error,warning"}, packages...)...).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// container runs what is in the image as the image's user, in nothing but the image's file tree.
func container(t *testing.T, dist string) {
	recipe := readFile(t, filepath.Join(root, "packaging/Containerfile"))
	user := regexp.MustCompile(`(?m)^USER (\d+:\d+)$`).FindStringSubmatch(recipe)
	adds := regexp.MustCompile(`(?m)^(?:ADD|COPY) (\S+) /$`).FindAllStringSubmatch(recipe, -1)
	if len(adds) != 1 || user == nil || !strings.Contains(recipe, "\nENTRYPOINT [\"/usr/bin/ntptsd\"]\n") {
		t.Fatalf("the container file adds %q as %q", adds, user)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		if _, err := os.Stat(filepath.Join(dist, strings.ReplaceAll(adds[0][1], "${TARGETARCH}", arch))); err != nil {
			t.Error(err)
		}
	}
	x := unpack(t, filepath.Join(dist, strings.ReplaceAll(adds[0][1], "${TARGETARCH}", "amd64")))
	if got := x.runAs(t, user[1], "/usr/bin/ntptsd", "version"); !strings.HasPrefix(got, "ntptsd v0.1.0 ") {
		t.Errorf("version: %q", got)
	}
	x.runAs(t, user[1], "/usr/bin/ntptsd", "init", "time.example.net", "127.0.0.1")
	x.write(t, "etc/ntptsd/ntptsd.toml", clockless(t, x.read(t, "etc/ntptsd/ntptsd.toml")), 0o644)
	x.lowPorts(t)
	d, said := x.serve(t, user[1])
	if !strings.Contains(said, "OK: NTS protects") {
		t.Errorf("the probe says\n%s", said)
	}
	if got := d.status(t, "CapPrm"); strings.Trim(got, "0") != "" {
		t.Errorf("capabilities %s in a container, want none", got)
	}
	d.stop(t)
}

// lowPorts lets everybody open port 123, as container engines do.
func (x *tree) lowPorts(t *testing.T) {
	t.Helper()
	out, err := exec.Command("nsenter", "--target", fmt.Sprint(x.inside), "--net", "--",
		"sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start").CombinedOutput()
	if err != nil {
		t.Fatalf("sysctl: %v\n%s", err, out)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
