package frontdoor

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
)

// description answers with the OpenAPI document, which is as constant as the table.
func (c *contents) description(w http.ResponseWriter, r *http.Request) {
	c.commands.answer(w, r, c.openapi)
}

const (
	jsonMedia  = "application/json"
	eventMedia = "text/event-stream"
)

// describe is the OpenAPI 3.1 document of a table.
func describe(table *api.Table) ([]byte, error) {
	s := &schemas{named: object{}}
	paths := object{}
	for _, d := range table.Declarations() {
		paths[d.Path()] = operation(s, d, table.Result(d.Name))
	}
	s.beside(paths)
	return encode(object{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": object{
			"title": "ntptsd", "version": "1",
			"description": "Units are in the names; what is unknown is null. Offsets are positive when the source is ahead of the local clock. New members may appear in any answer.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"bearer": []string{}}, {"mutualTLS": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas":   s.named,
			"responses": object{"Problem": s.problem()},
			"securitySchemes": object{
				"bearer":    object{"type": "http", "scheme": "bearer"},
				"mutualTLS": object{"type": "mutualTLS"},
			},
		},
	})
}

func (s *schemas) problem() object {
	return object{"description": "what went wrong, RFC 9457", "content": object{problemMedia: object{"schema": s.of(reflect.TypeFor[api.Problem]())}}}
}

// operation is what can be done at the path of a command.
func operation(s *schemas, d api.Declaration, result reflect.Type) object {
	o := object{
		"operationId": strings.ReplaceAll(d.Name, " ", "-"),
		"summary":     d.Summary,
		"x-role":      d.Role.String(),
		"responses":   withProblems(object{jsonMedia: object{"schema": s.of(result)}}, !d.Changes),
	}
	if !d.Changes {
		parameters := []object{}
		for _, a := range d.Args {
			parameters = append(parameters, object{"name": a.Name, "in": "query", "description": a.Summary, "schema": argument(a)})
		}
		o["parameters"] = parameters
		return object{"get": o}
	}
	properties := object{}
	for _, a := range d.Args {
		schema := argument(a)
		schema["description"] = a.Summary
		properties[a.Name] = schema
	}
	properties["dry_run"] = object{"type": "boolean", "description": "answer with what would be done, and do nothing"}
	if d.Urgent {
		o["x-urgent"] = true
	}
	if d.Inverse != "" {
		o["x-inverse"] = d.Inverse
		properties["confirm_within_seconds"] = object{"type": "number", "minimum": api.MinConfirm.Seconds(), "maximum": api.MaxConfirm.Seconds(),
			"description": "undo it unless changes-confirm comes within so many seconds"}
	}
	o["parameters"] = []object{{"name": idempotencyKey, "in": "header", "schema": object{"type": "string", "maxLength": api.MaxKey},
		"description": "a text of the caller's own for this change: it is made once, however often the request is sent"}}
	o["requestBody"] = object{"content": object{jsonMedia: object{"schema": object{
		"type": "object", "properties": properties, "additionalProperties": false}}}}
	return object{"post": o}
}

func argument(a api.Arg) object {
	switch {
	case a.Number:
		return object{"type": "integer"}
	case a.Flag:
		return object{"type": "boolean"}
	}
	return object{"type": "string"}
}

// beside describes what is no command.
func (s *schemas) beside(paths object) {
	text := object{"text/plain": object{"schema": object{"type": "string"}}}
	nobody := []object{{}}
	get := func(summary string, role api.Role, responses object) object {
		o := object{"summary": summary, "x-role": role.String(), "responses": responses}
		if role == api.Anonymous {
			o["security"] = nobody
		}
		return object{"get": o}
	}
	health := func(content object) object {
		return object{"200": object{"description": "yes", "content": content}, "503": object{"description": "no", "content": content}}
	}
	paths["/healthz"] = get("tell that ntptsd lives", api.Anonymous, object{"200": object{"description": "it does", "content": text}})
	paths["/readyz"] = get("tell whether ntptsd is ready; why not, to the role monitor", api.Anonymous, health(text))
	paths["/fit"] = get("tell whether this host is fit to serve time; why not, to the role monitor", api.Anonymous,
		health(object{"text/plain": text["text/plain"], jsonMedia: object{"schema": s.of(reflect.TypeFor[api.Fit]())}}))
	paths["/metrics"] = get("show the metrics, in the format of Prometheus or OpenMetrics", api.Monitor, withProblems(text, false))
	stream := get("follow events and samples; resume behind the header Last-Event-ID", api.Monitor,
		withProblems(object{eventMedia: object{"schema": object{"type": "string"}}}, false))
	described := stream["get"].(object)
	described["parameters"] = []object{{"name": "after", "in": "query", "description": "the id of the last item", "schema": argument(api.Arg{Number: true})}}
	described["x-events"] = object{api.ItemEvent: s.of(reflect.TypeFor[api.Event]()), api.ItemSample: s.of(reflect.TypeFor[api.Sample]())}
	paths["/v1/stream"] = stream
	bearer := []object{{"bearer": []string{}}}
	paths["/v1/session"] = object{"post": object{
		"summary": "exchange a one-time token, shown as the bearer token, for one that lasts", "x-role": api.Anonymous.String(),
		"security": bearer, "responses": withProblems(object{jsonMedia: object{"schema": s.of(reflect.TypeFor[api.Session]())}}, false),
	}, "delete": object{
		"summary": "end the session whose token is shown as the bearer token", "x-role": api.Monitor.String(), "security": bearer,
		"responses": object{"204": object{"description": "done"}, "default": object{"$ref": "#/components/responses/Problem"}},
	}}
}

// withProblems are the responses with this content, and whatever may go wrong.
func withProblems(content object, cached bool) object {
	r := object{"200": object{"description": "done", "content": content}, "default": object{"$ref": "#/components/responses/Problem"}}
	if cached {
		r["304"] = object{"description": "the same as the client has, by If-None-Match"}
	}
	return r
}
