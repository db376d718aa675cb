package keyring

import (
	"encoding/binary"
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

// vectors are files that real daemons loaded, and cookies under their keys that the daemons answered; those of ntpd-rs
// are computed from its source.
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
	if err != nil || len(v.Files) != 5 || len(v.Cookies) == 0 {
		t.Fatalf("%d files, %d cookies: %v", len(v.Files), len(v.Cookies), err)
	}
	b, err = hex.DecodeString(v.Files["ntpdrs_hex"])
	if err != nil {
		t.Fatal(err)
	}
	v.Files["ntpdrs_hex"] = string(b)
	return v
}

// vectorConfig is how a ring is configured beside the file of that name.
var vectorConfig = map[string]config.KeyRing{
	"chrony_NKS0":       {Dialect: "chrony"},
	"chrony_NKS1_alg15": {Dialect: "chrony", NeighbourFormat: "nks1"},
	"chrony_NKS1_alg30": {Dialect: "chrony", NeighbourFormat: "nks1", AEAD: 30},
	"ntpsec_nts_keys":   {Dialect: "ntpsec"},
	"ntpdrs_hex":        {Dialect: "ntpdrs", Owner: ownerNeighbour},
}

// vectorMints is the id of the key that its daemon mints with.
var vectorMints = map[string]uint32{"chrony_NKS0": 0x5ec0de03, "chrony_NKS1_alg15": 0x5ec0de03, "chrony_NKS1_alg30": 0x5ec0df03,
	"ntpsec_nts_keys": 287454020, "ntpdrs_hex": 7}

// appendNTPDRS writes what ntpd-rs writes.
func appendNTPDRS(b []byte, h *held) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(epoch.Unix()))
	b = binary.BigEndian.AppendUint32(b, h.keys[0].id)
	b = binary.BigEndian.AppendUint32(b, uint32(h.primary))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.keys)))
	for _, k := range h.keys {
		b = append(b, k.secret.bytes()...)
	}
	return b
}

// Whatever a daemon loaded we write the same way, but for NTPsec's next key, which it does not have.
func TestVectorsComeOutAsTheyWere(t *testing.T) {
	for name, text := range loadVectors(t).Files {
		d, _ := cookie.ParseDialect(vectorConfig[name].Dialect)
		h, err := parseFormat(d, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d == cookie.NTPDRS {
			if got := string(appendNTPDRS(nil, h)); got[8:] != text[8:] {
				t.Errorf("%s: %x, want %x", name, got, text)
			}
			continue
		}
		format := map[string]string{"NKS0": nks0, "NKS1": nks1, "T: 0": ntpsecKeys}[text[:4]]
		keys := h.keys
		if d == cookie.NTPsec {
			keys = []key{keys[0], keys[2], keys[1]} // as a set: old, current, next
		}
		if got := string(appendFormat(nil, format, keys)); got != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, text)
		}
	}
}

// The first start beside a neighbour adopts its keys, whoever owns them from then on, so that nobody's cookie dies, and
// mints with the same one.
func TestAdoptedKeysOpenTheirCookies(t *testing.T) {
	v := loadVectors(t)
	for name, text := range v.Files {
		k := vectorConfig[name]
		for _, owner := range []string{k.Owner, ownerNeighbour} {
			k.Owner = owner
			w := beside(t, k, text)
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
			if w.current() != vectorMints[name] {
				t.Errorf("%s: mints under %08x, want %08x", name, w.current(), vectorMints[name])
			}
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
		h, err := parseFormat(tt.d, []byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(h.keys) > ntpsecFileKeys {
			t.Errorf("%s: %d keys", name, len(h.keys))
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
		h, err := parseNKS(text)
		if err != nil {
			return
		}
		keys := h.keys
		formats := []string{nks1}
		if !slices.ContainsFunc(keys, func(k key) bool { return k.alg != keys[0].alg }) {
			formats = append(formats, nks0)
		}
		for _, format := range formats {
			again, err := parseNKS(string(appendFormat(nil, format, keys)))
			if err != nil || !slices.Equal(again.keys, keys) {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
}

func FuzzNTPsec(f *testing.F) {
	seed(f, cookie.NTPsec)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseNTPsec(text)
		if err != nil || len(h.keys) < 2 {
			return
		}
		n := len(h.keys)
		set := append(slices.Clone(h.keys[:n-2]), h.keys[n-1], h.keys[n-2]) // what mints stands before the next one
		again, err := parseNTPsec(string(appendFormat(nil, ntpsecKeys, set)))
		if err != nil || !slices.Equal(again.keys, h.keys) || !again.stopped {
			t.Errorf("%v", err)
		}
	})
}

// FuzzNTPDRS: what is taken comes out again octet for octet, but for the time.
func FuzzNTPDRS(f *testing.F) {
	seed(f, cookie.NTPDRS)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseNTPDRS([]byte(text))
		if err != nil {
			return
		}
		if got := string(appendNTPDRS(nil, h)); got[8:] != text[8:] {
			t.Errorf("%x comes out as %x", text, got)
		}
		s, err := mirror(policy{dialect: cookie.NTPDRS, interval: hour, keep: 7}, h, nil, epoch)
		if err != nil || s.current().id != h.keys[h.primary].id || opens(s, mint(t, s)) != nil {
			t.Errorf("no set of it: %v", err)
		}
	})
}

// FuzzFollowed: whatever a neighbour's file holds, it is refused, or makes a set whose record can be read again; no error
// shows what may be a secret.
func FuzzFollowed(f *testing.F) {
	for _, d := range []cookie.Dialect{cookie.Chrony, cookie.NTPsec, cookie.NTPDRS} {
		seed(f, d)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range []cookie.Dialect{cookie.Chrony, cookie.NTPsec, cookie.NTPDRS} {
			h, err := parseFormat(d, []byte(text))
			var s *KeySet
			if err == nil {
				s, err = mirror(policy{dialect: d, interval: hour, keep: min(7, maxKeep(d))}, h, nil, epoch)
			}
			if err != nil {
				wantNoSecret(t, err, text)
				continue
			}
			if !s.mirrors(h) {
				t.Errorf("%v: other keys", d)
			}
			again, err := parseRecord(record{saved: epoch, set: s}.appendTo(nil))
			if err != nil || !again.set.mirrors(h) {
				t.Errorf("%v: the record: %v", d, err)
			}
		}
	})
}

// wantNoSecret checks that an error repeats no 16 hexadecimal digits of the text.
func wantNoSecret(t *testing.T, err error, text string) {
	t.Helper()
	const part = 16
	for i := range max(0, len(text)-part+1) {
		if word := text[i : i+part]; strings.Trim(word, "0123456789abcdefABCDEF") == "" && strings.Contains(err.Error(), word) {
			t.Errorf("the error %v tells %q", err, word)
			return
		}
	}
}

func seed(f *testing.F, d cookie.Dialect) {
	for name, text := range loadVectors(f).Files {
		if vectorConfig[name].Dialect == d.String() {
			f.Add(text)
		}
	}
}
