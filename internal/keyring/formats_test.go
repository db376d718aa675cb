package keyring

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// vectors are files that real daemons loaded, and cookies under their keys that the daemons answered.
type vectors struct {
	Files   map[string]string
	Cookies []struct {
		Name, File       string
		AEAD             aead.ID
		C2S, S2C, Cookie string
	}
}

func loadVectors(t testing.TB) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/neighbours.json")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil || len(v.Files) != 4 || len(v.Cookies) == 0 {
		t.Fatalf("%d files, %d cookies: %v", len(v.Files), len(v.Cookies), err)
	}
	return v
}

// vectorConfig is how a ring is configured beside the file of that name.
var vectorConfig = map[string]config.KeyRing{
	"chrony_NKS0":       {Dialect: "chrony"},
	"chrony_NKS1_alg15": {Dialect: "chrony", NeighbourFormat: "nks1"},
	"chrony_NKS1_alg30": {Dialect: "chrony", NeighbourFormat: "nks1", AEAD: 30},
	"ntpsec_nts_keys":   {Dialect: "ntpsec"},
}

// Whatever a daemon loaded we write the same way, but for NTPsec's next key, which it does not have.
func TestVectorsComeOutAsTheyWere(t *testing.T) {
	for name, text := range loadVectors(t).Files {
		d, _ := cookie.ParseDialect(vectorConfig[name].Dialect)
		keys, err := parseFormat(d, text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		format := map[string]string{"NKS0": nks0, "NKS1": nks1, "T: 0": ntpsecKeys}[text[:4]]
		if d == cookie.NTPsec {
			keys = []key{keys[2], keys[0], keys[1]} // as a set: old, current, next
		}
		if got := string(appendFormat(nil, format, keys)); got != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, text)
		}
	}
}

// The first start beside a neighbour adopts its keys, so that nobody's cookie dies, and mints with the same one.
func TestAdoptedKeysOpenTheirCookies(t *testing.T) {
	v := loadVectors(t)
	for name, text := range v.Files {
		w := beside(t, vectorConfig[name], text)
		w.mustStart()
		for _, c := range v.Cookies {
			if c.File != name {
				continue
			}
			sealed, err := hex.DecodeString(c.Cookie)
			if err != nil {
				t.Fatal(err)
			}
			var s cookie.Session
			if err := w.ring.KeySet().Open(&s, sealed); err != nil || s.AEAD() != c.AEAD ||
				hex.EncodeToString(s.C2S()) != c.C2S || hex.EncodeToString(s.S2C()) != c.S2C {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
		mints := map[string]uint32{"chrony_NKS0": 0x5ec0de03, "chrony_NKS1_alg15": 0x5ec0de03,
			"chrony_NKS1_alg30": 0x5ec0df03, "ntpsec_nts_keys": 287454020}[name]
		if w.current() != mints {
			t.Errorf("%s: mints under %08x, want %08x", name, w.current(), mints)
		}
	}
}

func TestTolerantAsTheDaemons(t *testing.T) {
	v := loadVectors(t)
	nks, sec := v.Files["chrony_NKS0"], v.Files["ntpsec_nts_keys"]
	for name, tt := range map[string]struct {
		d    cookie.Dialect
		text string
	}{
		"no final newline":   {cookie.Chrony, strings.TrimSuffix(nks, "\n")},
		"lower case":         {cookie.Chrony, strings.Replace(strings.ToLower(nks), "nks0", "NKS0", 1)},
		"0x":                 {cookie.Chrony, strings.ReplaceAll(nks, "5EC0DE", "0x5EC0DE")},
		"tabs and blanks":    {cookie.Chrony, strings.ReplaceAll(nks, " ", " \t ")},
		"lines behind":       {cookie.Chrony, nks + "whatever\n"},
		"aead 30 in NKS0":    {cookie.Chrony, "NKS0\n30 1.5\n" + shortKeys()},
		"ntpsec carriage":    {cookie.NTPsec, strings.ReplaceAll(sec, "\n", "\r\n")},
		"ntpsec no newline":  {cookie.NTPsec, strings.TrimSuffix(sec, "\n")},
		"ntpsec upper case":  {cookie.NTPsec, strings.ReplaceAll(sec, "eec8835d", "EEC8835D")},
		"ntpsec no blank":    {cookie.NTPsec, strings.ReplaceAll(sec, ": ", ":")},
		"ntpsec eleven keys": {cookie.NTPsec, sec + strings.Repeat(sec[len("T: 0\nL: 32\n"):], 3)},
	} {
		keys, err := parseFormat(tt.d, tt.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(keys) > ntpsecFileKeys {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
}

func shortKeys() (text string) {
	for i := range 4 {
		text += fmt.Sprintf("%d 836ECC2D854FAA30DB3CDBA1C911D3B3\n", i)
	}
	return text
}

func TestBadNeighbourFiles(t *testing.T) {
	v := loadVectors(t)
	nks, nks1, sec := v.Files["chrony_NKS0"], v.Files["chrony_NKS1_alg15"], v.Files["ntpsec_nts_keys"]
	for name, tt := range map[string]struct{ dialect, text, want string }{
		"nonsense":         {"chrony", "hello\n", "first line is neither"},
		"record":           {"chrony", recordMagic + "1\n", "first line is neither"},
		"carriage returns": {"chrony", strings.ReplaceAll(nks, "\n", "\r\n"), "first line is neither"},
		"one return":       {"chrony", strings.Replace(nks, "0F\n", "0F\r\n", 1), "line 3: a key of AES-SIV-CMAC-256 has 64 hex digits"},
		"torn":             {"chrony", nks[:300], "line 6"},
		"three keys":       {"chrony", nks[:len(nks)-74], "line 6: want an id and a key"},
		"torn in a key":    {"chrony", nks[:len(nks)-3], "hex digits"},
		"slots":            {"chrony", strings.Replace(nks, "DE03", "DE07", 1) + "", ""},
		"wrong slots":      {"chrony", strings.Replace(nks, "DE03", "DE04", 1), "line 5: the id is out of sequence"},
		"word behind":      {"chrony", strings.Replace(nks, "0F\n", "0F x\n", 1), "line 3: want an id"},
		"no age":           {"chrony", strings.Replace(nks, "15 0.0", "15", 1), "line 2"},
		"age":              {"chrony", strings.Replace(nks, "15 0.0", "15 x", 1), "line 2"},
		"wrong aead":       {"chrony", strings.Replace(nks, "15 0.0", "17 0.0", 1), "neither 15 nor 30"},
		"NKS1 as NKS0":     {"chrony", strings.Replace(nks1, "NKS1", "NKS0", 1), "line 2"},
		"no aead":          {"chrony", strings.Replace(nks, "NKS0\n15 ", "NKS1\n", 1), "line 3"},
		"id":               {"chrony", strings.Replace(nks, "5EC0DE01", "5EC0DE0155", 1), "line 3: the id"},
		"digits":           {"chrony", strings.Replace(nks, "B3EF", "XXXX", 1), "not hexadecimal"},
		"other daemon":     {"chrony", sec, "first line is neither"},
		"ntpsec other":     {"ntpsec", nks, "want T:"},
		"ntpsec no T":      {"ntpsec", sec[5:], "want T:"},
		"ntpsec L":         {"ntpsec", strings.Replace(sec, "L: 32", "L: 40", 1), "want L:"},
		"ntpsec no key":    {"ntpsec", "T: 0\nL: 32\n", "pair 1: want I:"},
		"ntpsec torn":      {"ntpsec", sec[:150], "pair 2"},
		"ntpsec torn id":   {"ntpsec", strings.TrimSuffix(sec, "K: d939960345251bc9123a02b67696ce277448a610d870a2e88abd8ee0f1ead8f3\n"), "pair 3: want K:"},
		"ntpsec long key":  {"ntpsec", strings.Replace(sec, "761c\n", "761c00\n", 1), "pair 1: a key of AES-SIV-CMAC-256 has 64"},
		"ntpsec behind":    {"ntpsec", sec + "junk\n", "pair 4"},
		"ntpsec big id":    {"ntpsec", strings.Replace(sec, "I: 7", "I: 4294967296", 1), "pair 3: want I:"},
		"ntpsec twice":     {"ntpsec", strings.Replace(sec, "I: 7", "I: 287454020", 1), "two keys with the id"},
		"two lengths":      {"chrony", strings.Replace(nks1, "0F 15", "0F 30", 1), "line 3: a key of AES-128-GCM-SIV has 32"},
	} {
		t.Run(name, func(t *testing.T) {
			w := beside(t, config.KeyRing{Dialect: tt.dialect}, tt.text)
			err := w.start()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), w.cfg.KeyRing.NeighbourFile) {
				t.Errorf("error %v, want %q and the file", err, tt.want)
			}
			if err != nil && strings.Contains(strings.ToUpper(err.Error()), "31479C92") {
				t.Errorf("the error tells a secret: %v", err)
			}
			if w.neighbourText() != tt.text {
				t.Error("the file was overwritten")
			}
			if _, err := os.Stat(w.cfg.KeyRing.File); err == nil {
				t.Error("a record was made")
			}
		})
	}
}

// FuzzNKS, FuzzNTPsec: no input panics; what is taken and written is taken again as the same keys.
func FuzzNKS(f *testing.F) {
	seed(f, cookie.Chrony)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseNKS(text)
		if err != nil {
			return
		}
		formats := []string{nks1}
		if !slices.ContainsFunc(keys, func(k key) bool { return k.alg != keys[0].alg }) {
			formats = append(formats, nks0)
		}
		for _, format := range formats {
			again, err := parseNKS(string(appendFormat(nil, format, keys)))
			if err != nil || !slices.Equal(again, keys) {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
}

func FuzzNTPsec(f *testing.F) {
	seed(f, cookie.NTPsec)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseNTPsec(text)
		if err != nil || len(keys) < 2 {
			return
		}
		set := slices.Clone(keys[2:])
		slices.Reverse(set)
		again, err := parseNTPsec(string(appendFormat(nil, ntpsecKeys, append(set, keys[0], keys[1]))))
		if err != nil || !slices.Equal(again, keys) {
			t.Errorf("%v", err)
		}
	})
}

func seed(f *testing.F, d cookie.Dialect) {
	for name, text := range loadVectors(f).Files {
		if vectorConfig[name].Dialect == d.String() {
			f.Add(text)
		}
	}
}
