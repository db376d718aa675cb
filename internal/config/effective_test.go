package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What is told to count, read again, is what counts.
func TestEffectiveIsTheConfiguration(t *testing.T) {
	var texts []string
	for _, pattern := range []string{"testdata/*.toml", "../../packaging/*.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(b))
		}
	}
	texts = append(texts, "", everything)
	good := 0
	for _, text := range texts {
		c, err := Parse("a.toml", []byte(text))
		if err != nil {
			continue // a file of a mistake
		}
		good++
		c.Access.Tokens = nil
		told, all := c.Effective(nil)
		again, err := Parse("b.toml", []byte(told))
		if err != nil {
			t.Errorf("%v\n%s", err, told)
			continue
		}
		for _, one := range []*Config{c, again} {
			one.places, one.ignored = nil, nil
			if k := one.KeyExchange; k != nil {
				for i := range k.Servers {
					k.Servers[i].anyPort, k.Servers[i].anyProbe = false, false
				}
			}
		}
		if !reflect.DeepEqual(c, again) {
			t.Errorf("%s\nis told as\n%s", text, told)
		}
		if len(all) < 10 {
			t.Errorf("%d settings", len(all))
		}
	}
	if good < 5 {
		t.Errorf("only %d files are good", good)
	}
}

const everything = `
state-directory = "/var/lib/x"
[keyexchange]
certificate = "/a.pem"
key = "/a.key"
rate-limit = { interval = "1s", burst = 3 }
certificates = [{ certificate = "/b.pem", key = "/b.key" }]
deny = ["192.0.2.0/24"]
[[keyexchange.server]]
name = "a.example"
[[keyexchange.server]]
name = "b.example"
port = 4123
ring = "rack"
[rings.rack]
dialect = "chrony"
[timeserver]
plain = false
[monitoring]
[access]
client-ca = "/ca.pem"
[access.certificate.alice]
san = "alice"
role = "admin"
only = ["metrics"]
[access.token.prometheus]
hash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
role = "monitor"
expires = 2027-01-31
[access.ban."192.0.2.0/24"]
reason = "a \"flood\""
until = 2027-01-31
`

func TestEffectiveTellsWhereFrom(t *testing.T) {
	c, err := Parse("a.toml", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	text, all := c.Effective(map[string]string{"log.level": `"debug"`})
	from := make(map[string]Setting)
	for _, s := range all {
		from[s.Key] = s
	}
	for key, want := range map[string]Setting{
		"state-directory":                        {Value: `"/var/lib/x"`, From: "a.toml:2"},
		"keyexchange.rate-limit.burst":           {Value: "3", From: "a.toml:6"},
		"keyexchange.certificates[0].key":        {Value: `"/b.key"`, From: "a.toml:7"},
		"keyexchange.deny":                       {Value: `["192.0.2.0/24"]`, From: "a.toml:8"},
		"keyexchange.server[1].port":             {Value: "4123", From: "a.toml:13"},
		"rings.rack.keep":                        {Value: "2", From: FromDefault},
		"log.level":                              {Value: `"debug"`, From: FromRuntime},
		"access.token.prometheus.hash":           {Value: `"01234567..."`, From: "a.toml:27"},
		`access.ban."192.0.2.0/24".reason`:       {Value: `"a \"flood\""`, From: "a.toml:31"},
		"keyexchange.max-connections-per-prefix": {Value: "64", From: FromDefault},
		"keyexchange.server[0].weight":           {Value: "1", From: FromDefault},
	} {
		if got := from[key]; got.Value != want.Value || got.From != want.From {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	if strings.Contains(text, "0123456789") {
		t.Error("the hash is told")
	}
}
