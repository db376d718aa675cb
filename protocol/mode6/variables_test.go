package mode6

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) Variables {
	t.Helper()
	v, err := ParseVariables([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTextOfVariables(t *testing.T) {
	for text, want := range map[string][]Variable{
		"":                          nil,
		"\r\n":                      nil,
		" , ,\r\n,":                 nil,
		"a=1":                       {{"a", "1"}},
		"a=1,b=2":                   {{"a", "1"}, {"b", "2"}},
		" a = 1 ,\r\n b\t=2\r\n":    {{"a", "1"}, {"b", "2"}},
		"bcast.0=, x":               {{"bcast.0", ""}, {"x", ""}},
		"=1, a=2":                   {{"a", "2"}},
		"a=b=c":                     {{"a", "b=c"}},
		"a\x00\x01=\xff1\x7f":       {{"a", "1"}},
		`v="ntpd, 4", w=1`:          {{"v", `"ntpd, 4"`}, {"w", "1"}},
		`v="a=b,c" , w=1`:           {{"v", `"a=b,c"`}, {"w", "1"}},
		`v= "a,b",w=1`:              {{"v", `"a,b"`}, {"w", "1"}},
		`v="a"b,c", w=1`:            {{"v", `"a"b,c"`}, {"w", "1"}}, // a clock that says "
		`v="", w=1`:                 {{"v", `""`}, {"w", "1"}},
		`v=", w=1`:                  {{"v", `"`}, {"w", "1"}},
		`v="open, w=1`:              {{"v", `"open`}, {"w", "1"}},
		`v="open, w="x", y="z`:      {{"v", `"open, w="x"`}, {"y", `"z`}},
		"v=\"two\r\nlines, one\"":   {{"v", `"two  lines, one"`}},
		"filtdelay=a,b 1.0, c=1":    {{"filtdelay", "a,b 1.0"}, {"c", "1"}},
		"filtdelay=a,,\r\nc=1":      {{"filtdelay", "a"}, {"c", "1"}},
		"filtdelay=a,,":             {{"filtdelay", "a"}},
		"filtdisp,c=1":              {{"filtdisp", ""}, {"c", "1"}},
		"filtoffset=\",\x80,1, c=2": {{"filtoffset", `",,1`}, {"c", "2"}},
		"srchost=\xc3\xa4.example":  {{"srchost", ".example"}},
	} {
		if got := parse(t, text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestTooManyVariables(t *testing.T) {
	if v := parse(t, strings.Repeat("a=1,", MaxVariables)); len(v) != MaxVariables {
		t.Error(len(v))
	}
	if v, err := ParseVariables([]byte(strings.Repeat("a=1,", MaxVariables+1))); v != nil || !errors.Is(err, ErrTooLong) {
		t.Error(len(v), err)
	}
}

func TestValues(t *testing.T) {
	v := parse(t, `i=-12, h=0xff, whole=2.000, big=18446744073709551615, f=-0.25, quoted="3", text="ntpd, 4", e=1e-06, nan=NaN,
inf=Inf, much=1e300, stamp=0xeeade35b.767b8aff, never=0x00000000.00000000, short=0x1.8, long=0x1eeade35b.767b8aff, a=10.9.0.2,
p=[::1]:123, z=fe80::1%2, q="10.9.0.2:123", empty=, word=INIT, oct=010, i=99`)
	type result struct {
		f         float64
		fOK       bool
		i         int64
		iOK       bool
		t         uint64
		tOK       bool
		address   string
		addressOK bool
	}
	for name, want := range map[string]result{
		"i":      {f: -12, fOK: true, i: -12, iOK: true},
		"h":      {f: 255, fOK: true, i: 255, iOK: true},
		"whole":  {f: 2, fOK: true, i: 2, iOK: true},
		"big":    {f: 1 << 64, fOK: true},
		"f":      {f: -0.25, fOK: true},
		"quoted": {f: 3, fOK: true, i: 3, iOK: true},
		"oct":    {f: 10, fOK: true, i: 10, iOK: true},
		"e":      {f: 1e-6, fOK: true},
		"much":   {f: 1e300, fOK: true},
		"stamp":  {t: 0xeeade35b767b8aff, tOK: true},
		"never":  {tOK: true},
		"a":      {address: "10.9.0.2:0", addressOK: true},
		"p":      {address: "[::1]:123", addressOK: true},
		"z":      {address: "[fe80::1%2]:0", addressOK: true},
		"q":      {address: "10.9.0.2:123", addressOK: true},
		"nan":    {}, "inf": {}, "short": {}, "long": {}, "empty": {}, "word": {}, "text": {}, "none": {},
	} {
		var got result
		if f, ok := v.Float(name); ok {
			got.f, got.fOK = f, true
		}
		if i, ok := v.Int(name); ok {
			got.i, got.iOK = i, true
		}
		if when, ok := v.Time(name); ok {
			got.t, got.tOK = uint64(when), true
		}
		if a, ok := v.Address(name); ok {
			got.address, got.addressOK = a.String(), true
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if s, ok := v.Text("text"); s != "ntpd, 4" || !ok {
		t.Error(s, ok)
	}
	if s, ok := v.Raw("text"); s != `"ntpd, 4"` || !ok {
		t.Error(s, ok)
	}
	if s, ok := v.Text("empty"); s != "" || !ok {
		t.Error(s, ok)
	}
	if s, ok := v.Raw("none"); s != "" || ok {
		t.Error(s, ok)
	}
	if s, ok := v.Seconds("i"); s != -0.012 || !ok {
		t.Error(s, ok)
	}
}

func TestFilter(t *testing.T) {
	v := parse(t, "filtdelay= 1.0 2.0, filtoffset=_r,ss 9.9 0\x04 1 2 3 4 5 6 7 -8,\r\nfiltdisp=garbage")
	for name, want := range map[string]string{
		"filtdelay":  "[0.001 0.002]",
		"filtoffset": "[0.001 0.002 0.003 0.004 0.005 0.006 0.007 -0.008]",
		"filtdisp":   "[]",
		"none":       "[]",
	} {
		if got := fmt.Sprint(v.Filter(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Some values of real daemons, read by hand.
func TestValuesOfRealDaemons(t *testing.T) {
	for _, d := range daemons(t) {
		for _, v := range d.Vectors {
			if v.Name != "rv_peer_default" {
				continue
			}
			all := parse(t, string(latin1(*v.Text)))
			delay, _ := all.Seconds("delay")
			reach, _ := all.Int("reach")
			from, _ := all.Address("srcadr")
			got := fmt.Sprintf("%.9f %o %v %.5f %.2f", delay, reach, from, all.Filter("filtdelay"), all.Filter("filtdisp"))
			want := map[string]string{
				"ntp-4.2.8p15": "0.000070000 377 10.9.0.2:0 [0.00007 0.00006 0.00007 0.00007 0.00007 0.00007 0.00007 0.00007]",
				"ntpsec-1.2.2": "0.000071994 377 10.9.0.2:0 [0.00007 0.00007 0.00007 0.00006 0.00007 0.00006 0.00007 0.00006]",
				"ntpsec-1.2.5": "0.000041993 377 10.9.0.2:0 [0.00004 0.00004 0.00003 0.00005 0.00003 0.00006 0.00003 0.00005]",
			}[d.name] + " [0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00]"
			if got != want {
				t.Errorf("%s: %s, want %s", d.name, got, want)
			}
		}
	}
}

func TestNameLists(t *testing.T) {
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf("ss_%d", i)
	}
	lists, err := NameLists(names...)
	if err != nil || len(lists) < 2 {
		t.Fatal(len(lists), err)
	}
	var back []string
	for i, l := range lists {
		if len(l) > MaxData || i+1 < len(lists) && len(l)+len(",ss_100") <= MaxData {
			t.Errorf("list %d has %d octets", i, len(l))
		}
		back = append(back, strings.Split(string(l), ",")...)
	}
	if !slices.Equal(back, names) {
		t.Errorf("%q", back)
	}
	long := strings.Repeat("x", MaxData)
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, "[]"},
		{[]string{"leap"}, "[leap]"},
		{[]string{"leap", "stratum"}, "[leap,stratum]"},
		{[]string{long, "a", "b"}, "[" + long + " a,b]"},
	} {
		if lists, err := NameLists(c.names...); err != nil || fmt.Sprintf("%s", lists) != c.want {
			t.Errorf("%q: %q, %v", c.names, lists, err)
		}
	}
	for _, bad := range []string{"", "a b", "a,b", "a=1", "a\n", "\xff", `"a"`, long + "x"} {
		if lists, err := NameLists("leap", bad); lists != nil || !errors.Is(err, ErrName) {
			t.Errorf("%.20q: %q, %v", bad, lists, err)
		}
	}
}

// What is parsed can be written and comes back; what it has is printable; numbers are numbers.
func FuzzParseVariables(f *testing.F) {
	for _, d := range daemons(f) {
		for _, v := range d.Vectors {
			if v.Text != nil {
				f.Add(latin1(*v.Text))
			}
		}
	}
	f.Add([]byte(`v="a"b,c", filtdelay=",,1, x="`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := ParseVariables(text)
		if err != nil {
			return
		}
		again, err := ParseVariables(all.AppendTo(nil))
		if err != nil || !slices.Equal(all, again) {
			t.Fatalf("%q, then %q, %v", all, again, err)
		}
		for _, one := range all {
			if strings.ContainsFunc(one.Name+one.Value, func(c rune) bool { return c < ' ' || c > '~' }) || one.Name == "" {
				t.Fatalf("%q", one)
			}
			if x, ok := all.Float(one.Name); ok && (math.IsNaN(x) || math.IsInf(x, 0)) {
				t.Fatalf("%q is %v", one, x)
			}
			if n := len(all.Filter(one.Name)); n > filterStages {
				t.Fatalf("%q has %d stages", one, n)
			}
			_, _ = all.Int(one.Name)
			_, _ = all.Time(one.Name)
			_, _ = all.Address(one.Name)
		}
	})
}
