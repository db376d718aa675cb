package mode6

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func testKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey(2, SHA1, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysOfAKeysFile(t *testing.T) {
	long := strings.Repeat("ab", 21)
	for line, want := range map[string]string{
		"2 M secret":                               "mode 6 key 2 (MD5)",
		"65535 sha1 12345678901234567890":          "mode 6 key 65535 (SHA1)",
		"3\tAES " + long[:32] + " # to the daemon": "mode 6 key 3 (AES128CMAC)",
		"4 AES128CMAC short":                       "mode 6 key 4 (AES128CMAC)",
		"4 aes-128-cmac short":                     "mode 6 key 4 (AES128CMAC)",
		"5 AES-192 " + long:                        "mode 6 key 5 (AES192CMAC)",
		"6 AES256CMAC " + long:                     "mode 6 key 6 (AES256CMAC)",
		"7 SHA-256 " + long:                        "mode 6 key 7 (SHA256)",
		"8 SHA512 " + long:                         "mode 6 key 8 (SHA512)",
		"9 SHA384 " + long:                         "mode 6 key 9 (SHA384)",
		"":                                         "",
		"2 M":                                      "",
		"2 M secret word":                          "",
		"0 M secret":                               "",
		"65536 M secret":                           "",
		"-1 M secret":                              "",
		"x M secret":                               "",
		"2 RC4 secret":                             "",
		"2 CMAC secret":                            "",
		"2 M 123456789012345678901":                "", // 21 characters, and so hex of odd length
		"2 M this-is-not-hexadecimal-at-all":       "",
		"2 AES " + long:                            "", // 21 octets
		"2 M " + strings.Repeat("ab", 65):          "",
	} {
		k, err := ParseKey(line)
		switch {
		case want == "":
			if !errors.Is(err, ErrKey) {
				t.Errorf("%q: %v, %v", line, k, err)
			}
		case err != nil || fmt.Sprint(k) != want:
			t.Errorf("%q: %v, %v, want %s", line, k, err, want)
		}
	}
}

// Of the text of a key 20 characters are the key itself; more are its hex. Both ends of that rule sign alike.
func TestTextOfKeys(t *testing.T) {
	packet := []byte("packet")
	for a, b := range map[string]string{
		"1 SHA1 12345678901234567890": "1 SHA1 3132333435363738393031323334353637383930",
		"1 AES 1234567890123456":      "1 AES 31323334353637383930313233343536",
		"1 AES a":                     "1 AES 6100000000000000000000",
	} {
		one, err := ParseKey(a)
		if err != nil {
			t.Fatal(err)
		}
		two, err := ParseKey(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one.digest(packet), two.digest(packet)) {
			t.Errorf("%q and %q sign differently", a, b)
		}
	}
}

func TestDigestLengths(t *testing.T) {
	for a, n := range map[Algorithm]int{MD5: 16, SHA1: 20, SHA256: 20, SHA384: 20, SHA512: 20, AES128CMAC: 16, AES192CMAC: 16, AES256CMAC: 16} {
		k, err := NewKey(1, a, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		if d := k.digest(nil); len(d) != n || k.macLen() != keyIDLen+n {
			t.Errorf("%v: %d octets, macLen %d", a, len(d), k.macLen())
		}
		if again, err := ParseAlgorithm(a.String()); err != nil || again != a {
			t.Errorf("%v is read as %v: %v", a, again, err)
		}
	}
	for _, a := range []Algorithm{0, AES256CMAC + 1} {
		if _, err := NewKey(1, a, []byte("secret")); !errors.Is(err, ErrKey) {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// No verb prints the secret, by pointer, by value or within another value.
func TestKeysPrintAsTheirName(t *testing.T) {
	secret := "very secret"
	k, err := NewKey(7, MD5, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key", "pointer", k, "value", *k)
	text := log.String()
	for _, v := range []any{k, *k, struct{ K *Key }{k}, struct{ k *Key }{k}, struct{ k Key }{*k}, []*Key{k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			text += fmt.Sprintf(verb, v)
		}
	}
	if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, "118 101 114 121") ||
		!strings.Contains(text, "mode 6 key 7 (MD5)") {
		t.Error(text)
	}
}

func TestVerify(t *testing.T) {
	k := testKey(t)
	other, _ := NewKey(3, SHA1, []byte("secret"))
	good := k.appendMAC(Fragment{Op: OpReadVariables, Data: []byte("leap=3")}.AppendTo(nil), 0)
	junk := k.appendMAC(append(Fragment{Op: OpReadVariables, Data: []byte("leap=3")}.AppendTo(nil), 1, 2, 3, 4), 0)
	bare := k.appendMAC(Fragment{Error: true, Status: 0x100}.AppendTo(nil), 0)
	for name, b := range map[string][]byte{"good": good, "junk as padding": junk, "an error": bare} {
		if err := k.Verify(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := other.Verify(b); !errors.Is(err, ErrMAC) {
			t.Errorf("%s: by another key: %v", name, err)
		}
		for i := range b {
			forged := bytes.Clone(b)
			forged[i] ^= 1
			if err := k.Verify(forged); !errors.Is(err, ErrMAC) {
				t.Errorf("%s: octet %d changed: %v", name, i, err)
			}
			if err := k.Verify(b[:i]); !errors.Is(err, ErrMAC) {
				t.Errorf("%s: cut to %d octets: %v", name, i, err)
			}
		}
	}
	// A MAC that the count takes for data is none: else it would be read as text that nobody signed.
	within := Fragment{Op: OpReadVariables, Data: make([]byte, 24)}.AppendTo(nil)
	within = k.appendMAC(within[:headerLen], 0)
	if err := k.Verify(within); !errors.Is(err, ErrMAC) {
		t.Error(err)
	}
}

func TestAlignmentOf(t *testing.T) {
	for version, want := range map[string]Alignment{
		"ntpd 4.2.8p15@1.3728-o Sun Nov 22 21:45:51 UTC 2026 (3)": Align8,
		"ntpd ntpsec-1.2.2":  Align8,
		"ntpd ntpsec-1.2.2a": Align8,
		"ntpd ntpsec-1.2.3":  Align4,
		"ntpd ntpsec-1.2.10": Align4,
		"ntpd ntpsec-1.3.0":  Align4,
		"ntpd ntpsec-2.0.0":  Align4,
		"ntpd ntpsec-1.1.9":  Align8,
		"ntpd ntpsec-":       Align8,
		"":                   Align8,
	} {
		if got := AlignmentOf(version); got != want {
			t.Errorf("%s: %d, want %d", version, got, want)
		}
	}
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			if v.Name != "auth_ifstats" {
				continue
			}
			if got := AlignmentOf("ntpd " + d.name); int(got) != v.Request.Auth.Alignment {
				t.Errorf("%s: %d", d.name, got)
			}
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, line := range []string{"2 SHA1 secret", "3 AES 101112131415161718191a1b1c1d1e1f", "1 M \xff", "65535 SHA512 x # y"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		k, err := ParseKey(line)
		if err != nil {
			if !errors.Is(err, ErrKey) || len(line) > 8 && strings.Contains(err.Error(), line[len(line)-8:]) {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		b, err := Request{}.AppendSigned(nil, k, Align4)
		if err != nil || k.ID() == 0 || k.Verify(b) != nil || k.Verify(b[:len(b)-1]) == nil {
			t.Fatalf("%q: %x, %v", line, b, err)
		}
	})
}
