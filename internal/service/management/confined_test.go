package management

import (
	"testing"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
)

// Who is confined makes nobody freer than he is himself, and so not himself.
func TestTheConfinedConfine(t *testing.T) {
	for _, c := range []struct {
		mine []string
		only string
		ok   bool
	}{
		{nil, "", true},
		{nil, "status", true},
		{[]string{"access token", "status"}, "status", true},
		{[]string{"access token", "status"}, "status, access token", true},
		{[]string{"access token", "status"}, "status, keys", false},
		{[]string{"access token", "status"}, "", false},
		{[]string{"access token", "status"}, " , ", false},
		{[]string{}, "status", false},
	} {
		who := api.Caller{Role: api.Admin, Name: "token maker", Only: c.mine}
		_, err := newGrant(who, access.KindToken, "x", "admin", c.only, 0, 1, 1)
		if (err == nil) != c.ok || err != nil && api.KindOf(err) != api.Denied {
			t.Errorf("confined to %q, for only %q: %v", c.mine, c.only, err)
		}
	}
}
