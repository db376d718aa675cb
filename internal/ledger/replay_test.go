package ledger

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// What the audit log leaves out of a change is part of it all the same.
func TestAKeyIsForAllTheArguments(t *testing.T) {
	d := api.Declaration{Name: "door lock", Args: []api.Arg{{Name: "code", Secret: true}, {Name: "note"}, {Name: "door"}}}
	long := func(last string) string {
		return fmt.Sprintf(`{"door":"front","note":%q}`, strings.Repeat("n", 5000)+last)
	}
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{`{"door":"front","code":"1"}`, ` { "code":"1", "door":"front" } `, true},
		{`{"door":"front","code":"1"}`, `{"door":"front","code":"2"}`, false},
		{`{"door":"front"}`, `{"door":"back"}`, false},
		{``, `{}`, true},
		{long("a"), long("a"), true},
		{long("a"), long("b"), false},
	} {
		one, other := request(d, []byte(c.one), api.How{}), request(d, []byte(c.other), api.How{})
		if one.is(other) != c.same {
			t.Errorf("%.40s and %.40s are the same: %v", c.one, c.other, !c.same)
		}
		recalled := asked{written: one.written} // as the audit log tells it
		if same := string(d.Redact(json.RawMessage(c.one))) == string(d.Redact(json.RawMessage(c.other))); recalled.is(other) != same {
			t.Errorf("after a restart %.40s and %.40s are the same: %v", c.one, c.other, !same)
		}
	}
}
