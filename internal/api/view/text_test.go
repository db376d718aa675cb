package view

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestSpan(t *testing.T) {
	for seconds, want := range map[float64]string{
		-3: "0s", 0: "0s", 3.99: "3s", 59.9: "59s", 60: "1m", 300: "5m", 3599: "59m", 3600: "1h", 7300: "2h",
		172799: "47h", 172800: "2d", 86400 * 400: "400d", 1e300: "1.16e+295d", math.MaxFloat64: "2.08e+303d",
	} {
		if got := Span(seconds); got != want {
			t.Errorf("span(%v) = %s, want %s", seconds, got, want)
		}
	}
}

func TestAmount(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0s", 230e-9: "230ns", 0.4e-9: "0ns", 1e-9: "1ns", 999.4e-9: "999ns", 999.6e-9: "1.0us", 9.94e-6: "9.9us", 9.96e-6: "10us",
		12e-6: "12us", 3.2e-3: "3.2ms", 0.0123: "12ms", 0.4567: "457ms", 0.9994: "999ms", 0.9996: "1.0s", 1.5: "1.5s", 12.7: "13s", 86400: "86400s",
		9.2e9: "9.2e+09s", 1e300: "1e+300s", -12e-6: "-12us", -3.2e-3: "-3.2ms", -1.5: "-1.5s",
	} {
		if got := Amount(seconds); got != want {
			t.Errorf("amount(%v) = %s, want %s", seconds, got, want)
		}
	}
	for seconds, want := range map[float64]string{0: "+0s", 12e-6: "+12us", -3.2e-3: "-3.2ms", 1e300: "+1e+300s"} {
		if got := Offset(seconds); got != want {
			t.Errorf("offset(%v) = %s, want %s", seconds, got, want)
		}
	}
}

func TestInterval(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 0.25: "0.25s", 1.004: "1s", 64: "64s", 100: "100s", 131072: "131072s", 1e8: "1e+08s"} {
		if got := interval(seconds); got != want {
			t.Errorf("interval(%v) = %s, want %s", seconds, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	for at, want := range map[time.Time]string{
		{}:                     "-",
		now:                    "0s ago",
		now.Add(-time.Minute):  "1m ago",
		now.Add(3 * time.Hour): "in 3h",
		time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC): "in 106751d", // as far as a Duration goes
	} {
		if got := Moment(at, now); got != want {
			t.Errorf("moment(%v) = %s, want %s", at, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		"Köln":         "Köln",
		"12345":        "12345",
		"123456":       "1234…",
		"ää\x1b":       "ää\\x…",
		"日本語日本語":       "日本語日…",
		"\xff\xfe":     "��",
		"a\nb":         `a\nb`,
		"ab\xc3":       "ab�",
		"𐍈𐍈𐍈𐍈𐍈":        "𐍈𐍈𐍈𐍈𐍈",
		"𐍈𐍈𐍈𐍈𐍈𐍈":       "𐍈𐍈𐍈𐍈…",
		"12345\x1b[2J": "1234…",
	} {
		if got := clip(in, 5); got != want || !utf8.ValidString(got) {
			t.Errorf("clip(%q) = %q, want %q", in, got, want)
		}
	}
}

// An error of several lines, as of a bad configuration, stays readable, and each line shows that it belongs to the first.
func TestLines(t *testing.T) {
	if got, want := Lines("\na: wrong\nb:\twrong\x1b[2J\n"), "a: wrong\n    b:\\twrong\\x1b[2J"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	got := Lines(strings.Repeat("x\n", 10000))
	if n := strings.Count(got, "\n"); n != maxLines || !strings.HasSuffix(got, "\n    …") {
		t.Errorf("%d lines, the end is %q", n, got[len(got)-20:])
	}
}

func TestPrintable(t *testing.T) {
	if got, want := Printable("CN=t\n\x1b.example, O=Zeitgeber Köln"), `CN=t\n\x1b.example, O=Zeitgeber Köln`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
