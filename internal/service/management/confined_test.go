package management

import (
	"testing"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
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

// Nor by letting in again somebody who was freer.
func TestTheConfinedRestoreTheConfined(t *testing.T) {
	h := newHouse(t, config.Access{})
	do[api.IssuedToken](t, h, "access token", `{"name":"free","role":"admin"}`)
	do[api.IssuedToken](t, h, "access token", `{"name":"narrow","role":"admin","only":"status"}`)
	do[api.Grants](t, h, "access revoke", `{"name":"free"}`)
	do[api.Grants](t, h, "access revoke", `{"name":"narrow"}`)
	who := api.Caller{Role: api.Admin, Name: "token keeper", Only: []string{"access restore", "status"}}
	if p, err := h.plan(t, who, "access restore", `{"name":"free"}`); api.KindOf(err) != api.Denied {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := h.plan(t, who, "access restore", `{"name":"narrow"}`); err != nil {
		t.Error(err)
	}
}

// Nor by settling a change that he could not have made: to undo a revocation lets somebody in.
func TestTheConfinedSettleTheirOwn(t *testing.T) {
	waiting := &unsettled{all: []api.Unconfirmed{{ID: 7, Command: "access revoke", Role: "admin"}, {ID: 8, Command: "bans add", Role: "operator"}}}
	s := New(Parts{Ledger: waiting})
	who := api.Caller{Role: api.Admin, Name: "token keeper", Only: []string{"changes undo", "bans add"}}
	if _, err := s.settle(who, api.ChangeArg{Change: 7}, "undo change %d: %s", nil); api.KindOf(err) != api.Denied {
		t.Errorf("what he may not: %v", err)
	}
	if _, err := s.settle(who, api.ChangeArg{Change: 8}, "undo change %d: %s", nil); err != nil {
		t.Errorf("what he may: %v", err)
	}
}
