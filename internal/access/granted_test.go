package access

import (
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// kept opens what a state directory has, as a start does.
func kept(t *testing.T, dir string, c config.Access) *Access {
	t.Helper()
	a, err := Open(&config.Config{StateDirectory: dir, Access: c})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newGrantOf(kind, name, role string) Grant {
	now := time.Now().UTC().Truncate(time.Second)
	return Grant{Kind: kind, Name: name, Role: role, Issued: now, Until: now.Add(24 * time.Hour), By: "uid 0"}
}

func mustGrantToken(t *testing.T, a *Access, g Grant) (token string) {
	t.Helper()
	token, g.Hash = NewToken()
	if err := a.Grant(g); err != nil {
		t.Fatal(err)
	}
	return token
}

// What was granted and revoked counts at once, and over restarts and reloads.
func TestGrantedTokens(t *testing.T) {
	dir := t.TempDir()
	own, hash := NewToken()
	c := config.Access{Tokens: map[string]config.TokenLogin{"old": {Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(time.Hour))}}}
	a := kept(t, dir, c)
	g := newGrantOf(KindToken, "new", "monitor")
	g.Only, g.From = []string{"metrics", "keys rotate"}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	token := mustGrantToken(t, a, g)
	check := func(when string, wantNew, wantOld bool) {
		t.Helper()
		who, err := a.Token(far, token)
		if (err == nil) != wantNew || wantNew && (who.Name != "token new" || who.Role != api.Monitor || len(who.Only) != 2 || !a.Still(who)) {
			t.Errorf("%s: %+v, %v", when, who, err)
		}
		if _, err := a.Token(here, token); err == nil {
			t.Errorf("%s: it counts from elsewhere", when)
		}
		if _, err := a.Token(far, own); (err == nil) != wantOld {
			t.Errorf("%s: of the configuration: %v", when, err)
		}
	}
	again := func(when string, wantNew, wantOld bool) {
		t.Helper()
		check(when, wantNew, wantOld)
		a = kept(t, dir, c)
		check(when+", after a restart", wantNew, wantOld)
		for _, cfg := range []config.Access{{}, c} { // a login that leaves the configuration and comes back
			commit, err := a.Prepare(&config.Config{StateDirectory: dir, Access: cfg})
			if err != nil {
				t.Fatal(err)
			}
			commit()
		}
		check(when+", after reloads", wantNew, wantOld)
	}
	again("granted", true, true)
	if err := a.Revoke("new", "uid 0"); err != nil {
		t.Fatal(err)
	}
	again("revoked", false, true)
	if err := a.Revoke("token/old", "uid 0"); err != nil {
		t.Fatal(err)
	}
	again("both revoked", false, false)
	for _, one := range []string{"new", "old"} {
		if err := a.Restore(one); err != nil {
			t.Fatal(err)
		}
	}
	again("restored", true, true)
	b, err := os.ReadFile(filepath.Join(dir, grantedFile))
	if err != nil || strings.Contains(string(b), token[len(tokenPrefix):]) {
		t.Errorf("%v: the file has the token", err)
	}
	if info, _ := os.Stat(filepath.Join(dir, grantedFile)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// A change of its entry does not bring a revoked login back.
func TestRevokedStaysSoWhateverItsRole(t *testing.T) {
	dir := t.TempDir()
	token, hash := NewToken()
	login := config.TokenLogin{Hash: hash, Role: "operator", Expires: config.Time(time.Now().Add(time.Hour))}
	a := kept(t, dir, config.Access{Tokens: map[string]config.TokenLogin{"x": login}})
	if err := a.Revoke("x", "uid 0"); err != nil {
		t.Fatal(err)
	}
	login.Role = "monitor"
	a = kept(t, dir, config.Access{Tokens: map[string]config.TokenLogin{"y": login}})
	if _, err := a.Token(far, token); api.KindOf(err) != api.Unknown {
		t.Errorf("%v", err)
	}
}

// Sessions, links and streams end with the login that they are of.
func TestRevokedEndsSessions(t *testing.T) {
	a := kept(t, t.TempDir(), config.Access{})
	who, err := a.Token(far, mustGrantToken(t, a, newGrantOf(KindToken, "x", "operator")))
	if err != nil {
		t.Fatal(err)
	}
	open, _, _ := a.Link(who, api.Monitor)
	unused, _, _ := a.Link(who, api.Monitor)
	s, err := a.Redeem(far, open)
	if err != nil {
		t.Fatal(err)
	}
	visitor, err := a.Token(far, s.Token)
	if err != nil || !a.Still(visitor) {
		t.Fatal(err)
	}
	if err := a.Revoke("x", "uid 0"); err != nil {
		t.Fatal(err)
	}
	if a.Still(who) || a.Still(visitor) {
		t.Error("a stream goes on")
	}
	if _, err := a.Token(far, s.Token); api.KindOf(err) != api.Unknown {
		t.Errorf("the session: %v", err)
	}
	if _, err := a.Redeem(far, unused); api.KindOf(err) != api.Unknown {
		t.Errorf("the link: %v", err)
	}
}

// A certificate that was issued is its own login, and once revoked lets nobody in, not by a name of it either.
func TestGrantedCertificates(t *testing.T) {
	ours := newAuthority(t)
	names := func(c *x509.Certificate) { c.DNSNames = []string{"alice.example", "bob"} }
	cert, _ := ours.issue(t, names)
	other, _ := ours.issue(t, names)
	dir := t.TempDir()
	c := config.Access{ClientCA: ours.file(t), Certificates: map[string]config.CertificateLogin{"alice": {SAN: "alice.example", Role: "monitor"}}}
	a := kept(t, dir, c)
	g := newGrantOf(KindCertificate, "bob", "admin")
	g.Hash, g.Until = fingerprint(cert), cert.NotAfter.UTC()
	if err := a.Grant(g); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		who, err := a.Connection(far, shown(cert))
		if err != nil || who.Name != "certificate bob" || who.Role != api.Admin || !a.Still(who) {
			t.Errorf("%+v, %v", who, err)
		}
		a = kept(t, dir, c)
	}
	who, err := a.Connection(far, shown(cert))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke("certificate/bob", "uid 0"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := a.Connection(far, shown(cert)); api.KindOf(err) != api.Unknown || a.Still(who) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := a.Connection(far, shown(other)); err != nil || got.Name != "certificate alice" {
			t.Errorf("another one of the name: %+v, %v", got, err)
		}
		a = kept(t, dir, c)
	}
	if err := a.Revoke("alice", "uid 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Connection(far, shown(other)); api.KindOf(err) != api.Unknown {
		t.Errorf("%v", err)
	}
}

func TestWhoCannotBeGranted(t *testing.T) {
	_, hash := NewToken()
	a := kept(t, t.TempDir(), config.Access{ClientCA: newAuthority(t).file(t),
		Tokens:       map[string]config.TokenLogin{"taken": {Hash: hash, Role: "monitor", Expires: config.Time(time.Now().Add(time.Hour))}},
		Certificates: map[string]config.CertificateLogin{"other": {SAN: "operator", Role: "operator"}}})
	for _, c := range []struct {
		kind, name, role, only string
		want                   api.Kind
	}{
		{KindToken, "", "monitor", "", api.BadArgument},
		{KindToken, "a/b", "monitor", "", api.BadArgument},
		{KindToken, "a b", "monitor", "", api.BadArgument},
		{KindToken, strings.Repeat("a", 65), "monitor", "", api.BadArgument},
		{KindToken, "x", "root", "", api.BadArgument},
		{KindToken, "x", "anonymous", "", api.BadArgument},
		{KindToken, "x", "monitor", "no such command", api.BadArgument},
		{KindToken, "taken", "monitor", "", api.Conflict},
		{KindCertificate, "Operator", "monitor", "", api.Conflict},
		{KindCertificate, "taken", "monitor", "", ""},
		{KindToken, "operator", "monitor", "metrics", ""},
	} {
		g := newGrantOf(c.kind, c.name, c.role)
		if c.only != "" {
			g.Only = []string{c.only}
		}
		if err := a.Grantable(g); c.want == "" && err != nil || c.want != "" && api.KindOf(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, name := range []string{"nobody", "certificate/taken", "socket/taken", ""} {
		if _, err := a.Named(name); api.KindOf(err) != api.NotFound {
			t.Errorf("%q: %v", name, err)
		}
		if err := a.Revoke(name, "x"); api.KindOf(err) != api.NotFound {
			t.Errorf("%q: %v", name, err)
		}
		if err := a.Restore(name); api.KindOf(err) != api.NotFound {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Nobody is let in before it is on disk; who is shut out is so at once, and that is written as soon as it can be.
func TestGrantsOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := kept(t, dir, config.Access{})
		token := mustGrantToken(t, a, newGrantOf(KindToken, "x", "monitor"))
		a.write = func(string, []byte, fs.FileMode) error { return syscall.ENOSPC }
		g := newGrantOf(KindToken, "y", "monitor")
		var second string
		second, g.Hash = NewToken()
		if err := a.Grant(g); api.KindOf(err) != api.Unavailable {
			t.Errorf("%v", err)
		}
		if _, err := a.Token(far, second); err == nil {
			t.Error("somebody is in whom a restart forgets")
		}
		if err := a.Revoke("x", "uid 0"); api.KindOf(err) != api.Unavailable {
			t.Errorf("%v", err)
		}
		if _, err := a.Token(far, token); err == nil {
			t.Error("who was shut out is in")
		}
		if err := a.Restore("x"); api.KindOf(err) != api.Unavailable {
			t.Errorf("%v", err)
		}
		a.write = nil
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		time.Sleep(saveEvery + time.Second)
		cancel()
		<-ended
		if _, err := kept(t, dir, config.Access{}).Token(far, token); err == nil {
			t.Error("after a restart who was shut out is in")
		}
	})
}

func TestGrantsAreBounded(t *testing.T) {
	a := kept(t, "", config.Access{})
	a.path = ""
	for i := range maxGranted {
		mustGrantToken(t, a, newGrantOf(KindToken, fmt.Sprint("t", i), "monitor"))
	}
	if err := a.Grantable(newGrantOf(KindToken, "more", "monitor")); api.KindOf(err) != api.Conflict {
		t.Errorf("%v", err)
	}
	later := newGrantOf(KindToken, "t0", "monitor") // of one that has ended the name is free
	later.Issued = later.Issued.Add(25 * time.Hour)
	later.Until = later.Issued.Add(time.Hour)
	if err := a.Grantable(later); err != nil {
		t.Error(err)
	}
	later.Name, later.Issued = "more", later.Issued.Add(60*24*time.Hour)
	if err := a.Grantable(later); err != nil {
		t.Errorf("when the others have long ended: %v", err)
	}
	for i := range maxShutOut + 10 {
		n := a.granted.clone()
		n.Revoked = append(n.Revoked, shutOut{Of: fmt.Sprint("token/", i)})
		a.granted = n
	}
	if err := a.Revoke("t0", "x"); err != nil || len(a.granted.Revoked) != maxShutOut {
		t.Errorf("%v, %d are remembered", err, len(a.granted.Revoked))
	}
	if _, err := parseGranted(a.granted.append(nil)); err != nil || len(a.granted.append(nil)) > maxGrantedFile {
		t.Errorf("%v", err)
	}
}

func TestGrantsTellWhatIsKnown(t *testing.T) {
	a := kept(t, t.TempDir(), config.Access{Loopback: "monitor"})
	token := mustGrantToken(t, a, newGrantOf(KindToken, "x", "monitor"))
	if g := a.Grants(); len(g) != 2 || g[0].LastUse != nil || g[0].IssuedBy != "uid 0" || g[0].Source != api.FromCommand || g[1].Kind != kindLoopback {
		t.Errorf("%+v", g)
	}
	if _, err := a.Token(far, token); err != nil {
		t.Fatal(err)
	}
	_ = mustGrantToken(t, a, newGrantOf(KindToken, "y", "monitor")) // a new policy remembers
	if g := a.Grants(); g[0].LastUse == nil || g[0].Revoked != nil {
		t.Errorf("%+v", g)
	}
	if err := a.Revoke("x", "somebody"); err != nil {
		t.Fatal(err)
	}
	if g := a.Grants(); g[0].Revoked == nil || g[0].RevokedBy != "somebody" {
		t.Errorf("%+v", g)
	}
}

// A file that cannot be read must end the start: without it, revoked logins would be back.
func TestBadGrantsAreAnError(t *testing.T) {
	for _, text := range []string{"", "{", `{"issued":[{}]}`, `{"revoked":[{}]}`, `{"other":1}`, strings.Repeat(" ", maxGrantedFile+1)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, grantedFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(&config.Config{StateDirectory: dir}); err == nil || !strings.Contains(err.Error(), grantedFile) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, grantedFile)
	if err := os.WriteFile(path, (&granted{}).append(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(&config.Config{StateDirectory: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
}

func FuzzParseGranted(f *testing.F) {
	_, hash := NewToken()
	g := newGrantOf(KindToken, "x", "monitor")
	g.Hash = hash
	f.Add((&granted{Issued: []Grant{g}, Revoked: []shutOut{{Of: "token/x"}}}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := parseGranted(b)
		if err != nil {
			return
		}
		again, err := parseGranted(g.append(nil))
		if err != nil || len(again.Issued) != len(g.Issued) || len(again.Revoked) != len(g.Revoked) {
			t.Fatalf("%v: %+v became %+v", err, g, again)
		}
	})
}

// What somebody else put into the state directory makes nobody admin.
func TestAForeignFileLetsNobodyIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), grantedFile)
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[int]string{0: "", 4711: "belongs to user 4711, and ntptsd runs as user 0"} {
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		if _, err := readGranted(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("of %d: %v", owner, err)
		}
	}
}
