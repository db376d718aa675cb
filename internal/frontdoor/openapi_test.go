package frontdoor

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ntptsd/ntptsd/internal/api"
)

func loadDescription(t *testing.T, b []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// Every command's answer, with everything in it and with as little as there can be, is what the document says it is.
func TestAnswersAreAsDescribed(t *testing.T) {
	for _, full := range []bool{true, false} {
		all := wholeTable(t, full)
		b, err := describe(all)
		if err != nil {
			t.Fatal(err)
		}
		doc := loadDescription(t, b)
		if doc.OpenAPI != "3.1.0" {
			t.Errorf("OpenAPI %s", doc.OpenAPI)
		}
		c, _ := commandsFor(all)
		for _, d := range all.Declarations() {
			item := doc.Paths.Value(d.Path())
			if item == nil {
				t.Errorf("%s is not described", d.Path())
				continue
			}
			operation, method := item.Get, "GET"
			if d.Changes {
				operation, method = item.Post, "POST"
			}
			w := httptest.NewRecorder()
			c.ServeHTTP(w, requestBy(t.Context(), api.Admin, method, d.Path(), http.NoBody))
			var answer any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
				t.Fatalf("%s: %d %s, %v", d.Name, w.Code, w.Body, err)
			}
			schema := operation.Responses.Value("200").Value.Content.Get("application/json").Schema.Value
			if err := schema.VisitJSON(answer, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation()); err != nil {
				t.Errorf("%s answers %s: %v", d.Name, w.Body, err)
			}
			if operation.Extensions["x-role"] != d.Role.String() || operation.Summary != d.Summary {
				t.Errorf("%s: %v %q", d.Name, operation.Extensions, operation.Summary)
			}
			checkDescribedMembers(t, d.Name, schema, answer)
		}
	}
}

// checkDescribedMembers finds members of an answer that the document does not know.
func checkDescribedMembers(t *testing.T, where string, schema *openapi3.Schema, answer any) {
	t.Helper()
	if len(schema.AnyOf) > 0 {
		schema = schema.AnyOf[0].Value
	}
	switch v := answer.(type) {
	case map[string]any:
		for name, member := range v {
			if schema.Properties[name] == nil {
				t.Errorf("%s.%s is not described", where, name)
				continue
			}
			checkDescribedMembers(t, where+"."+name, schema.Properties[name].Value, member)
		}
	case []any:
		for _, one := range v {
			checkDescribedMembers(t, where+"[]", schema.Items.Value, one)
		}
	}
}

// What the schemas say is not so loose that everything fits.
func TestDescriptionRefusesWhatIsWrong(t *testing.T) {
	b, err := describe(wholeTable(t, true))
	if err != nil {
		t.Fatal(err)
	}
	doc := loadDescription(t, b)
	source := doc.Components.Schemas["Source"].Value
	var good map[string]any
	if err := json.Unmarshal([]byte(`{"name":"a","address":"","kind":"","selection":"","stratum":1,"poll_seconds":64,"reach":255,"last_rx_seconds":null,
		"offset_seconds":-1e-9,"error_seconds":null,"delay_seconds":null,"authentication":""}`), &good); err != nil {
		t.Fatal(err)
	}
	if err := source.VisitJSON(good, openapi3.EnableJSONSchema2020()); err != nil {
		t.Error(err)
	}
	for member, wrong := range map[string]any{"stratum": -1.0, "name": nil, "offset_seconds": "1", "poll_seconds": nil} {
		bad := map[string]any{}
		for k, v := range good {
			bad[k] = v
		}
		bad[member] = wrong
		if source.VisitJSON(bad, openapi3.EnableJSONSchema2020()) == nil {
			t.Errorf("%s = %v is fine", member, wrong)
		}
		delete(bad, member)
		if source.VisitJSON(bad, openapi3.EnableJSONSchema2020()) == nil {
			t.Errorf("without %s is fine", member)
		}
	}
}

// What the port answers is described, and nothing else.
func TestDescriptionHasAllRoutes(t *testing.T) {
	s := servePort(t, func(o *Options) { o.Table, o.Stream = wholeTable(t, true), newFlow() })
	response, body := s.ask(t, s.browser(t, nil), "GET", "/openapi.json", nil, "Authorization", "Bearer monitor")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	doc := loadDescription(t, []byte(body))
	names := doc.Paths.InMatchingOrder()
	for _, want := range []string{"/healthz", "/readyz", "/fit", "/metrics", "/v1/stream", "/v1/session", "/v1/status", "/v1/actions/keys-rotate"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not described", want)
		}
	}
	browser := s.browser(t, nil) // one: there are more commands than places for connections
	for _, name := range names {
		method := "GET"
		if doc.Paths.Value(name).Post != nil {
			method = "POST"
		}
		if name == "/v1/stream" { // which does not end
			continue
		}
		headers := []string{"Authorization", "Bearer admin", "Content-Type", "application/json"}
		if name == "/v1/session" {
			headers[1] = "Bearer once"
		}
		if response, body := s.ask(t, browser, method, name, nil, headers...); response.StatusCode != 200 {
			t.Errorf("%s %s: %d %.200s", method, name, response.StatusCode, strings.TrimSpace(body))
		}
	}
}
