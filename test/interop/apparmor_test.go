package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

// TestExamplesFitAppArmor holds the paths in the manual's examples against the profiles that Debian confines the daemons by.
// The lab's daemons are not confined, and would not notice.
func TestExamplesFitAppArmor(t *testing.T) {
	t.Parallel()
	need(t)
	for _, c := range []struct {
		example, profile string
		release          peers.Release
		more             []string // what the daemon writes there
	}{
		{"chrony-keys chrony.conf", "usr.sbin.chronyd", peers.Bookworm(), []string{"/var/lib/chrony/ntskeys", "/var/lib/chrony/ntskeys.tmp"}},
		{"chrony-keys chrony.conf", "usr.sbin.chronyd", peers.Trixie(), []string{"/var/lib/chrony/ntskeys", "/var/lib/chrony/ntskeys.tmp"}},
		{"ntpsec-keys ntp.conf", "usr.sbin.ntpd", peers.Bookworm(), nil},
	} {
		tree(t, c.release)
		dir, err := peers.Dir()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, c.release.Name, "etc/apparmor.d", c.profile))
		if err != nil {
			t.Fatal(err)
		}
		paths := append(regexp.MustCompile(`(?m)/(etc|var)/\S+$`).FindAllString(exampleFrom(t, neighboursPage, c.example), -1), c.more...)
		if len(paths) < 3 {
			t.Errorf("%s: %q", c.example, paths)
		}
		for _, path := range paths {
			if !permits(string(text), path) && !permits(string(text), path+"/") {
				t.Errorf("%s of %s: %s is not permitted by %s", c.example, c.release.Name, path, c.profile)
			}
		}
	}
}

// permits tells whether a rule of the profile is about the path: AppArmor's * is within a folder, ** below it.
func permits(profile, path string) bool {
	for line := range strings.Lines(profile) {
		rule, _, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || !strings.HasPrefix(rule, "/") {
			continue
		}
		pattern := strings.NewReplacer("**", ".*", "*", "[^/]*", "{", "(", "}", ")", ",", "|", ".", `\.`).Replace(rule)
		if regexp.MustCompile("^" + pattern + "$").MatchString(path) {
			return true
		}
	}
	return false
}

func TestAppArmorRulesAreUnderstood(t *testing.T) {
	const profile = "  /etc/chrony/{,**} r,\n  /var/lib/chrony/{,*} rw,\n  # /etc/ntptsd/ r,\n  /etc/key.pem r,\n"
	for path, want := range map[string]bool{"/etc/chrony/": true, "/etc/chrony/a/b": true, "/var/lib/chrony/keys": true, "/var/lib/chrony/a/b": false,
		"/etc/key.pem": true, "/etc/keyXpem": false, "/etc/ntptsd/": false} {
		if permits(profile, path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
