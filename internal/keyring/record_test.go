package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

func TestRecordRoundTrip(t *testing.T) {
	for _, d := range dialects {
		for n := range 4 {
			s := mustSet(t, d, n)
			b := record{saved: epoch, set: s}.appendTo(nil)
			r, err := parseRecord(b)
			if err != nil {
				t.Fatalf("%v: %v\n%s", d, err, b)
			}
			if !bytes.Equal(r.appendTo(nil), b) {
				t.Errorf("%v: written differently", d)
			}
			if err := opens(r.set, mint(t, s)); err != nil {
				t.Errorf("%v: %v", d, err)
			}
		}
	}
}

// A record of this version stays readable: testdata/keys-1 is never written anew.
func TestRecordOfVersion1(t *testing.T) {
	b, err := os.ReadFile("testdata/keys-1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.set.keys) != 4 || r.set.current().id != 0x044cdced || !r.saved.Equal(epoch.Add(3*hour)) {
		t.Errorf("%d keys, current %08x, saved %v", len(r.set.keys), r.set.current().id, r.saved)
	}
}

// Nor is testdata/keys-2, a followed set.
func TestRecordOfVersion2(t *testing.T) {
	b, err := os.ReadFile("testdata/keys-2")
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseNTPDRS([]byte(loadVectors(t).Files["ntpdrs_hex"]))
	if err != nil || !r.set.mirrors(h) || r.set.current().id != 7 || !r.saved.Equal(epoch) {
		t.Errorf("%d keys, current %08x, saved %v: %v", len(r.set.keys), r.set.current().id, r.saved, err)
	}
}

func summed(body string) string {
	sum := sha256.Sum256([]byte(body))
	return body + sumLine + hex.EncodeToString(sum[:]) + "\n"
}

func testRecord(t testing.TB, d cookie.Dialect) string {
	return string(record{saved: epoch, set: mustSet(t, d, 1)}.appendTo(nil))
}

// replaced is a native record with a correct sum in which one thing is different.
func replaced(t testing.TB, d cookie.Dialect, old, new string) string {
	b := testRecord(t, d)
	body, _ := checkSum([]byte(b))
	if !strings.Contains(b, old) {
		t.Fatalf("no %q in the record", old)
	}
	return summed(strings.Replace(string(body), old, new, 1))
}

func TestBadRecords(t *testing.T) {
	good := testRecord(t, cookie.Native)
	lines := strings.SplitAfter(testRecord(t, cookie.Chrony), "\n") // 7 before the keys
	head, keys := strings.Join(lines[:7], ""), lines[7:11]
	for name, tt := range map[string]struct{ text, want string }{
		"empty":             {"", "torn"},
		"cut in the magic":  {good[:5], "torn"},
		"cut":               {good[:len(good)/2], "torn"},
		"cut in the sum":    {good[:len(good)-2], "torn"},
		"a bit":             {strings.Replace(good, "keep 2", "keep 3", 1), "torn"},
		"text behind":       {good + "x", "torn"},
		"torn version":      {strings.Replace(good, "keys 1", "keys 2", 1), "torn"},
		"zeros":             {string(make([]byte, 500)), "is no key record of ntptsd: name another path"},
		"chrony's":          {"NKS0\n15 0.0\n", "is no key record of ntptsd"},
		"later version":     {replaced(t, cookie.Native, "keys 1", "keys 4"), `of another version of ntptsd ("4"): run the version`},
		"unknown dialect":   {replaced(t, cookie.Native, "dialect native", "dialect other"), `wrong line "dialect"`},
		"unknown line":      {replaced(t, cookie.Native, "keep 2\n", "keep 2\nmore 1\n"), "in other words"},
		"blank":             {replaced(t, cookie.Native, "keep 2\n", "keep  2\n"), `wrong line "keep"`},
		"other words":       {replaced(t, cookie.Native, "keep 2\n", "keep 02\n"), "in other words"},
		"keep 0":            {replaced(t, cookie.Native, "keep 2\n", "keep 0\n"), "keyring.keep"},
		"negative interval": {replaced(t, cookie.Native, "every 1h", "every -1h"), "keyring.rotate-every"},
		"long interval":     {replaced(t, cookie.Native, "every 1h", "every 1000000h"), "200 years"},
		"time":              {replaced(t, cookie.Native, "saved 2026-11", "saved 2026-13"), `wrong line "saved"`},
		"key time":          {replaced(t, cookie.Native, "15 2026-11", "15 2026-13"), "key time"},
		"key aead":          {replaced(t, cookie.Native, " 15 2026", " 17 2026"), "hex digits"},
		"unknown aead":      {replaced(t, cookie.Native, " 15 2026", " 99 2026"), "unknown"},
		"mints":             {replaced(t, cookie.Native, "published yes\n", "published yes\nmints 00000000\n"), "has no key that mints"},
		"mints nonsense":    {replaced(t, cookie.Native, "published yes\n", "published yes\nmints x\n"), `wrong line "mints"`},
		"version 2 of ours": {replaced(t, cookie.Native, "keys 1", "keys 2"), "in other words"},
		"wrong dialect":     {replaced(t, cookie.Chrony, "dialect chrony", "dialect native"), ""},
		"three chrony keys": {summed(head + keys[0] + keys[1] + keys[2]), "has 3 keys, dialect chrony takes 4 to 4"},
		"one key":           {summed(head + keys[0]), "has 1 keys"},
		"same id":           {summed(head + keys[0] + keys[1] + keys[2] + keys[0]), "two keys with the id"},
		"slots":             {summed(head + keys[0] + keys[2] + keys[1] + keys[3]), "out of sequence"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config.KeyRing{Dialect: "native", Keep: 2})
			if err := os.WriteFile(w.cfg.KeyRing.File, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := w.start()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), w.cfg.KeyRing.File) {
				t.Errorf("error %v, want %q and the file", err, tt.want)
			}
			if b, _ := os.ReadFile(w.cfg.KeyRing.File); string(b) != tt.text {
				t.Error("the file was overwritten")
			}
		})
	}
}

func TestBadRecordFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(path string) error
		want  string
	}{
		"mode":       {func(p string) error { return os.Chmod(p, 0o640) }, "has mode 0640, so other users may know the keys: find out, then run chmod 0600"},
		"link":       {func(p string) error { return errors.Join(os.Rename(p, p+"2"), os.Symlink(p+"2", p)) }, "is a symbolic link"},
		"folder":     {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "is not a regular file"},
		"large":      {func(p string) error { return os.Truncate(p, maxRecord+1) }, "more than any file of keys"},
		"unreadable": {func(p string) error { return os.Chmod(p, 0o200) }, "permission denied: ntptsd runs as user "},
		"owner": {func(p string) error {
			if os.Geteuid() != 0 {
				return nil
			}
			return os.Chown(p, 4711, -1)
		}, "belongs to user 4711, and ntptsd runs as user 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "owner" && os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			if name == "unreadable" && os.Geteuid() == 0 {
				t.Skip("root can read all files")
			}
			w := newWorld(t, config.KeyRing{})
			w.mustStart()
			if err := tt.spoil(w.cfg.KeyRing.File); err != nil {
				t.Fatal(err)
			}
			if err := w.start(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFirstStartMakesRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "keys")
	w := newWorld(t, config.KeyRing{File: path})
	w.mustStart()
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("record: %v, %v", info, err)
	}
	if info, _ = os.Stat(filepath.Dir(path)); info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("folder: %v", info.Mode())
	}
	r, err := loadRecord(path, nil)
	if err != nil || r.set.current().id != w.current() {
		t.Errorf("record %v: %v", r.set, err)
	}
}

// FuzzRecord: no input panics; what is taken comes out again octet for octet; errors tell no secret.
func FuzzRecord(f *testing.F) {
	for _, d := range dialects {
		text := record{saved: epoch, set: mustSet(f, d, 0)}.appendTo(nil)
		body, _ := checkSum(text)
		f.Add(text)
		f.Add(body)
	}
	for _, name := range []string{"testdata/keys-1", "testdata/keys-2"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(recordMagic + "2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		body, ok := checkSum(b)
		if !ok {
			body = b
		}
		for _, text := range []string{string(b), summed(string(body))} {
			r, err := parseRecord([]byte(text))
			if err != nil {
				continue
			}
			if again := string(r.appendTo(nil)); again != text {
				t.Errorf("%q comes out as %q", text, again)
			}
			if err := r.set.check(); err != nil {
				t.Error(err)
			}
		}
	})
}
