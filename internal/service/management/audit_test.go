package management

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

type auditLog struct {
	after uint64
	limit int
	err   error
}

func (a *auditLog) Records(after uint64, limit int) ([]audit.Record, error) {
	a.after, a.limit = after, limit
	return []audit.Record{everything()}, a.err
}
func (a *auditLog) Head() audit.Head             { return audit.Head{Sequence: 7, Hash: "h", Signature: "s"} }
func (a *auditLog) PublicKey() (text, id string) { return "pem", "id" }
func (a *auditLog) Problem() string              { return "full" }

// everything is a record with nothing left out.
func everything() (r audit.Record) {
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case reflect.Float64:
			f.SetFloat(1.5)
		case reflect.Bool:
			f.SetBool(true)
		}
	}
	r.Time, r.Args = time.Unix(1, 0).UTC(), json.RawMessage(`{"a":1}`)
	return r
}

func TestAuditRecords(t *testing.T) {
	for name, c := range map[string]struct {
		args  api.AuditArg
		kind  api.Kind
		after uint64
		limit int
	}{
		"nothing given": {api.AuditArg{}, "", 0, api.DefaultAudit},
		"both":          {api.AuditArg{After: 3, Limit: 1000}, "", 3, 1000},
		"too many":      {api.AuditArg{Limit: 1001}, api.BadArgument, 0, 0},
		"too few":       {api.AuditArg{Limit: -1}, api.BadArgument, 0, 0},
		"before all":    {api.AuditArg{After: -1}, api.BadArgument, 0, 0},
	} {
		log := &auditLog{}
		s := New(Parts{Audit: log})
		a, err := s.records(context.Background(), api.Caller{Role: api.Admin}, c.args)
		if err != nil && api.KindOf(err) != c.kind || err == nil && c.kind != "" || log.after != c.after || log.limit != c.limit {
			t.Errorf("%s: %v, after %d, limit %d", name, err, log.after, log.limit)
		}
		if err == nil && (a.Head.Sequence != 7 || a.Key != "pem" || a.KeyID != "id" || a.Problem != "full") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if _, err := New(Parts{Audit: &auditLog{err: errors.New("I/O")}}).records(context.Background(), api.Caller{}, api.AuditArg{}); api.KindOf(err) != api.Unavailable {
		t.Error(err)
	}
}

// Nothing of a record is left out, and all of it has the same names.
func TestRecordsAreMirrored(t *testing.T) {
	is, want := members(t, shown(everything())), members(t, everything())
	want["args"] = `{"a":1}`
	if !reflect.DeepEqual(is, want) {
		t.Errorf("%v\nwant\n%v", is, want)
	}
}

func members(t *testing.T, v any) (all map[string]any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}
