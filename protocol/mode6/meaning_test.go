package mode6

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// checkMeaning reads the data of an answer with the parser of its opcode, and compares it with what the vector states or,
// where that is text only, with what a regular expression finds in the text.
func checkMeaning(t *testing.T, d daemon, v vector, q Request, data []byte) {
	t.Helper()
	name := d.name + " " + v.Name
	switch {
	case q.Op == OpReadStatus && q.Association == 0:
		checkAssociations(t, name, v.Decoded, data)
	case q.Op == OpReadStatus, q.Op == OpReadVariables, q.Op == OpReadClock:
		checkVariables(t, name, string(data))
	case q.Op == OpReadMRU, q.Op == OpRequestNonce:
		checkList(t, name, v.Decoded, data)
	case q.Op == OpReadOrdered:
		checkOrdered(t, name, string(q.Data), data)
	case q.Op == OpUnspecified, q.Op == OpSetTrap, q.Op == OpUnsetTrap:
		if len(data) != 0 {
			t.Errorf("%s has data: %q", name, data)
		}
	case q.Op == OpConfigure, q.Op == OpSaveConfig: // a sentence
		if Sentence(data) == "" {
			t.Errorf("%s says nothing", name)
		}
	default:
		t.Errorf("%s: no parser for %v", name, q.Op)
	}
}

func checkAssociations(t *testing.T, name string, decoded json.RawMessage, data []byte) {
	t.Helper()
	var want []struct {
		ID     uint16 `json:"associd"`
		Status string
	}
	if err := json.Unmarshal(decoded, &want); err != nil {
		t.Fatal(err)
	}
	all, err := ParseAssociations(data)
	if err != nil || len(all) != len(want) || len(all) == 0 {
		t.Errorf("%s: %v, %v, want %v", name, all, err, want)
		return
	}
	var again []byte
	for i, a := range all {
		if again = a.AppendTo(again); a.ID != want[i].ID || fmt.Sprintf("0x%04x", uint16(a.Status)) != want[i].Status {
			t.Errorf("%s: %v, want %v", name, a, want[i])
		}
	}
	if string(again) != string(data) {
		t.Errorf("%s: written again it is %x, want %x", name, again, data)
	}
}

var (
	item   = regexp.MustCompile(`(?:^|, |,\r\n|,\n)([A-Za-z_][A-Za-z0-9_.]*)=`)
	stages = regexp.MustCompile(`(filt[a-z]*)=[^=]*?((?: -?[0-9]+\.[0-9]+){1,8})(?:,\r\n|, |\r\n|$)`)
	stamp  = regexp.MustCompile(`^0x[0-9a-f]{8}\.[0-9a-f]{8}$`)
	number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	numbrd = regexp.MustCompile(`(?:^|, |,\r\n)addr\.([0-9]+)=`)
)

func checkVariables(t *testing.T, name, text string) {
	t.Helper()
	all, err := ParseVariables([]byte(text))
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	var want []string
	for _, m := range item.FindAllStringSubmatch(text, -1) {
		want = append(want, m[1])
	}
	for i, one := range all {
		if i >= len(want) || one.Name != want[i] {
			t.Errorf("%s: variable %d is %q, want one of %q", name, i, one, want)
			break
		}
		f, isFloat := all.Float(one.Name)
		seconds, _ := all.Seconds(one.Name)
		when, isStamp := all.Time(one.Name)
		_, isInt := all.Int(one.Name)
		bare, _ := all.Text(one.Name)
		switch {
		case stamp.MatchString(one.Value):
			if !isStamp || stampOf(when) != one.Value {
				t.Errorf("%s: %v is %x", name, one, when)
			}
		case number.MatchString(one.Value):
			if w, _ := strconv.ParseFloat(one.Value, 64); !isFloat || f != w || seconds != w/1000 {
				t.Errorf("%s: %v is %v, %v s", name, one, f, seconds)
			}
		case strings.HasPrefix(one.Value, "0x"):
			if w, err := strconv.ParseInt(one.Value, 0, 64); err != nil || !isInt || f != float64(w) {
				t.Errorf("%s: %v is %v", name, one, f)
			}
		case strings.HasPrefix(one.Value, `"`):
			if `"`+bare+`"` != one.Value || strings.Contains(bare, `"`) {
				t.Errorf("%s: %v is %q", name, one, bare)
			}
		case slices.Contains([]string{"srcadr", "dstadr", "peeradr"}, one.Name):
			if a, ok := all.Address(one.Name); !ok || a.Addr().String() != one.Value && a.String() != one.Value {
				t.Errorf("%s: %v is %v", name, one, a)
			}
		}
	}
	if len(want) != len(all) {
		t.Errorf("%s: %d variables, want %d", name, len(all), len(want))
	}
	for _, m := range stages.FindAllStringSubmatch(text, -1) {
		var want []float64
		for _, w := range strings.Fields(m[2]) {
			f, _ := strconv.ParseFloat(w, 64)
			want = append(want, f/1000)
		}
		if got := all.Filter(m[1]); !slices.Equal(got, want) || len(got) != filterStages {
			t.Errorf("%s: %s is %v, want %v", name, m[1], got, want)
		}
	}
	if n := strings.Count(text, "\nfilt") + strings.Count(text, ", filt"); len(stages.FindAllString(text, -1)) < n {
		t.Errorf("%s: the test finds only some of the filters: %q", name, text)
	}
}

func checkList(t *testing.T, name string, decoded json.RawMessage, data []byte) {
	t.Helper()
	l, err := parseList(nil, data)
	if err != nil || len(l.nonce) != 24 {
		t.Errorf("%s: %+v, %v", name, l, err)
	}
	n := len(numbrd.FindAllString(string(data), -1))
	if len(l.clients) != n {
		t.Errorf("%s: %d clients, want %d", name, len(l.clients), n)
	}
	for _, c := range l.clients {
		if !c.Address.IsValid() || c.First == 0 || c.Last == 0 || c.Count == 0 || c.Version == 0 || c.Mode == 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if decoded == nil {
		return
	}
	var want struct {
		Entries int
		First   map[string]string `json:"first_entry"`
		Last    map[string]string `json:"last_entry"`
		Now     bool              `json:"has_now"`
		Older   *string           `json:"last_older"`
	}
	if err := json.Unmarshal(decoded, &want); err != nil {
		t.Fatal(err)
	}
	if want.Entries != n || l.ended != want.Now || l.resumed != (want.Older != nil) {
		t.Errorf("%s: %d clients, ended %v, resumed %v, want %+v", name, n, l.ended, l.resumed, want)
	}
	if l.resumed && stampOf(l.older) != *want.Older {
		t.Errorf("%s: resumed after %s, want %s", name, stampOf(l.older), *want.Older)
	}
	for i, fields := range map[int]map[string]string{0: want.First, n - 1: want.Last} {
		if got := fieldsOf(l.clients[i]); !equalFields(got, fields) {
			t.Errorf("%s: client %d is %v, want %v", name, i, got, fields)
		}
	}
}

func stampOf(t ntp.Timestamp) string { return fmt.Sprintf("0x%08x.%08x", uint32(t>>32), uint32(t)) }

// fieldsOf writes a client as daemons do.
func fieldsOf(c Client) map[string]string {
	fields := map[string]string{
		"addr": c.Address.String(), "ct": fmt.Sprint(c.Count), "mv": fmt.Sprint(c.Version<<3 | uint8(c.Mode)),
		"rs":    fmt.Sprintf("0x%x", uint32(c.Restrictions)),
		"first": stampOf(c.First), "last": stampOf(c.Last),
	}
	if c.Scored {
		fields["sc"], fields["dr"] = fmt.Sprintf("%.3f", c.Score), fmt.Sprint(c.Drops)
	}
	return fields
}

func equalFields(a, b map[string]string) bool {
	for k := range a {
		if a[k] != b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

func checkOrdered(t *testing.T, name, which string, data []byte) {
	t.Helper()
	n := len(numbrd.FindAllString(string(data), -1))
	if which == "addr_restrictions" {
		all, err := ParseRestrictions(data)
		if err != nil || len(all) != n || n == 0 {
			t.Errorf("%s: %d restrictions, want %d: %v", name, len(all), n, err)
		}
		for _, r := range all {
			if !r.Address.IsValid() || !r.Mask.IsValid() || r.Address.BitLen() != r.Mask.BitLen() {
				t.Errorf("%s: %+v", name, r)
			}
		}
		return
	}
	all, err := ParseInterfaces(data)
	if err != nil || len(all) != n || n == 0 {
		t.Errorf("%s: %d interfaces, want %d: %v", name, len(all), n, err)
	}
	for _, i := range all {
		if !i.Address.IsValid() || i.Name == "" || i.Flags == 0 || i.Up == 0 || strings.Contains(i.Name, `"`) {
			t.Errorf("%s: %+v", name, i)
		}
	}
}
