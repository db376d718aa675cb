package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

func auditKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// auditFolder is a log of twelve records in three files, and what their heads were.
func auditFolder(t *testing.T) (dir string, heads []audit.Head) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]string{}
	end := audit.Empty()
	for i := range 12 {
		r, err := audit.Record{Kind: audit.Attempt, Caller: "certificate alice", Command: fmt.Sprint("change ", i)}.Bounded().Seal(end)
		if err != nil {
			t.Fatal(err)
		}
		line, err := r.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		name := []string{"0000000001.log", "0000000005.log", "current.log"}[i/4]
		files[name] += string(line)
		end = r.Head()
		heads = append(heads, end.Sign(auditKey(1)))
	}
	files["head"] = heads[11].String() + "\n"
	files["public.pem"] = publicKey(t, 1)
	files["torn-0000000005-0.part"] = "{"
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	return dir, heads
}

func publicKey(t *testing.T, seed byte) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(auditKey(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, path, old, by string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%v, %q", err, b)
	}
	put(t, path, strings.Replace(string(b), old, by, 1))
}

func TestAuditVerify(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string)
		args  func(dir string, heads []audit.Head) []string
		code  int
		want  string
	}{
		"right":       {nil, nil, 0, "right: records 1 to 12, files: 3\ncompared with the head of record 12 from DIR/head, signed by key "},
		"an old head": {nil, func(dir string, h []audit.Head) []string { return []string{"--head", h[2].String(), dir} }, 0, "compared with the head of record 3 from --head, signed by key "},
		"without a key": {nil, func(dir string, h []audit.Head) []string {
			return []string{"--head", h[2].String(), dir + "/0000000001.log"}
		}, 0, "right: records 1 to 4, files: 1\ncompared with the head of record 3 from --head, its signature was not checked"},
		"of some files": {nil, func(dir string, _ []audit.Head) []string {
			return []string{dir + "/0000000005.log", dir + "/current.log"}
		}, 0, "records 1 to 4 are not in these files"},
		"no head":          {nil, func(dir string, _ []audit.Head) []string { return []string{dir + "/0000000001.log"} }, 0, "no head was given: whether a tail was cut off is not known"},
		"altered":          {func(dir string) { change(t, dir+"/0000000005.log", "change 6", "change 7") }, nil, 1, "WRONG: DIR/0000000005.log:3: record 7 was altered: its hash is not that of what stands there\nright before that: records 1 to 6\n"},
		"a file gone":      {func(dir string) { os.Remove(dir + "/0000000005.log") }, nil, 1, "WRONG: DIR/current.log:1: records 5 to 8 are missing"},
		"cut":              {func(dir string) { os.Remove(dir + "/current.log") }, nil, 1, "WRONG: the tail behind record 8 was cut off: the head says that there were 12"},
		"head gone":        {func(dir string) { os.Remove(dir + "/head") }, nil, 1, "WRONG: DIR/head is gone, so that a tail may have been cut off"},
		"head altered":     {func(dir string) { change(t, dir+"/head", "12:", "11:") }, nil, 1, "WRONG: the head of record 11 is not signed by key"},
		"head no head":     {func(dir string) { put(t, dir+"/head", "x") }, nil, 1, "WRONG: DIR/head was altered"},
		"head without one": {func(dir string) { b, _ := os.ReadFile(dir + "/head"); put(t, dir+"/head", string(b[:67])) }, nil, 1, "WRONG: DIR/head has no signature"},
		"another key": {func(dir string) { put(t, dir+"/other.pem", publicKey(t, 2)) },
			func(dir string, _ []audit.Head) []string { return []string{"--public-key", dir + "/other.pem", dir} }, 1, "WRONG: the head of record 12 is not signed by key " + audit.KeyID(auditKey(2).Public().(ed25519.PublicKey))},
		"rolled back": {func(dir string) { os.Remove(dir + "/current.log"); os.Remove(dir + "/head") },
			func(dir string, h []audit.Head) []string {
				put(t, dir+"/head", h[7].String()+"\n")
				return []string{"--head", h[11].String(), dir}
			}, 1, "WRONG: the tail behind record 8 was cut off: the head says that there were 12"},
		"empty folder": {nil, func(dir string, _ []audit.Head) []string {
			os.Mkdir(dir+"/empty", 0o700)
			return []string{dir + "/empty"}
		}, 1, "WRONG: DIR/empty/head is gone"},
		"no such folder": {nil, func(dir string, _ []audit.Head) []string { return []string{dir + "/none"} }, 3, ""},
		"no key":         {nil, func(dir string, _ []audit.Head) []string { return []string{"--public-key", dir + "/head", dir} }, 3, ""},
		"bad head":       {nil, func(dir string, _ []audit.Head) []string { return []string{"--head", "12", dir} }, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, heads := auditFolder(t)
			if c.spoil != nil {
				c.spoil(dir)
			}
			args := []string{dir}
			if c.args != nil {
				args = c.args(dir, heads)
			}
			code, stdout, stderr := ctl(t, "none", append([]string{"audit", "verify"}, args...)...)
			if want := strings.ReplaceAll(c.want, "DIR", dir); code != c.code || !strings.Contains(stdout, want) || (stderr != "") != (code == exitUsage) {
				t.Errorf("exit %d\n%s%s\nwant %d\n%s", code, stdout, stderr, c.code, want)
			}
			code, stdout, _ = ctl(t, "none", append([]string{"audit", "verify", "--json"}, args...)...)
			var r auditReport
			if err := json.Unmarshal([]byte(stdout), &r); code != c.code || code != exitUsage && (err != nil || r.Right != (code == 0)) {
				t.Errorf("exit %d, %v, %s", code, err, stdout)
			}
		})
	}
}

// A daemon that writes while the log is read makes it look torn, and nothing is wrong.
func TestAuditVerifyWhileItIsWritten(t *testing.T) {
	dir, _ := auditFolder(t)
	whole, err := os.ReadFile(dir + "/current.log")
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/current.log", string(whole[:len(whole)-20]))
	go func() {
		time.Sleep(auditPause / 2)
		os.WriteFile(dir+"/current.log", whole, 0o600)
	}()
	if code, stdout, stderr := ctl(t, "none", "audit", "verify", dir); code != 0 {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}

func FuzzAuditHead(f *testing.F) {
	f.Add("12:ab", []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, head string, key []byte) {
		dir := t.TempDir()
		put(t, dir+"/head", head)
		put(t, dir+"/public.pem", string(key))
		put(t, dir+"/current.log", head)
		if r, _, err := verifyOnce([]string{dir}, nil, ""); err == nil && r.Right && len(r.Heads) == 0 {
			t.Errorf("right without a head: %+v", r)
		}
	})
}

// auditDaemon answers from a log that grows with each question.
func auditDaemon(t *testing.T, have func(asked int) (first, last uint64), asked *[]string) string {
	return daemon(t, func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Query().Encode())
		a := api.AuditRecords{Records: []api.AuditRecord{}}
		first, last := have(len(*asked))
		for n := first; n <= last; n++ {
			a.Records = append(a.Records, api.AuditRecord{Sequence: n, Kind: "attempt", Caller: "certificate alice", Role: "operator", From: "192.0.2.1",
				Command: "sources add", Summary: "hostile\x1b[2J\nline", Before: "a", After: "b", Time: time.Unix(0, 0)})
		}
		a.Head.Sequence = last
		answerJSON(w, a)
	})
}

func TestAuditFollow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var asked []string
	socket := auditDaemon(t, func(n int) (uint64, uint64) {
		if n == 2 {
			cancel()
		}
		return uint64(3 * n), uint64(3*n + 2)
	}, &asked)
	var out, errs strings.Builder
	if err := following(socket).followAudit(ctx, &out, &errs, false, time.Millisecond); err != nil {
		t.Error(err)
	}
	checkSafe(t, "follow", out.String())
	if strings.Count(out.String(), "\n") < 3 || !strings.HasPrefix(out.String(),
		`3 1970-01-01T00:00:00Z certificate alice (operator) from 192.0.2.1: sources add: hostile\x1b[2J\nline: attempt; a → b`+"\n4 ") {
		t.Errorf("%q", &out)
	}
	if len(asked) < 2 || asked[0] != "limit=10" || asked[1] != "after=5&limit=1000" || errs.String() != "" {
		t.Errorf("asked %q, %s", asked, &errs)
	}
}

// A log that ends before what was shown is told of: it was cut, or is another one.
func TestAuditFollowNoticesACut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var asked []string
	socket := auditDaemon(t, func(n int) (uint64, uint64) {
		switch n {
		case 1:
			return 30, 34
		case 2:
			return 1, 0
		}
		cancel()
		return 28, 30
	}, &asked)
	var out, errs strings.Builder
	if err := following(socket).followAudit(ctx, &out, &errs, true, time.Millisecond); err != nil {
		t.Error(err)
	}
	if !strings.Contains(errs.String(), "the log ends at record 0 now, and record 34 was there") || len(asked) < 3 || asked[2] != "limit=10" {
		t.Errorf("%s, asked %q", &errs, asked)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q", line)
		}
	}
}

func TestAuditFollowEndsWhereItMayNot(t *testing.T) {
	socket := daemon(t, func(w http.ResponseWriter, _ *http.Request) {
		answerProblem(w, http.StatusForbidden, api.Denied, "audit needs the role admin")
	})
	if code, _, stderr := ctl(t, socket, "audit", "follow"); code != exitFailed || !strings.Contains(stderr, "audit needs the role admin") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
