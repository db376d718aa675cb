package ntpq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// maxAssociations bounds a table, and the questions that it takes: no ntpd follows as many, but it may mobilise passive peers.
const maxAssociations = 512

// talk is what is asked for one word.
type talk struct {
	ctx    context.Context
	ask    Ask
	now    func() time.Time
	tongue tongue
}

// A tongue is how one of the two ntpqs prints what an ntpd says. Every text it gives ends its lines.
type tongue interface {
	associations(all []mode6.Association) string
	header(l layout) string
	shows(s mode6.PeerStatus) bool // in a billboard that is not of all
	peer(l layout, p peer, now time.Time) string
	variables(v mode6.Variables, now time.Time) string
	tables(word string) []table
	fields(t table, values map[string]string, now time.Time) string
	clients(rows []mode6.Client, w *mode6.Walk, took time.Duration) string
	interfaces(all []mode6.Interface) string
	restrictions(all []mode6.Restriction) string
}

// talk finds out whom it talks to first.
func (w *Words) talk(ctx context.Context, ask Ask, say func(*talk) (string, error)) (string, error) {
	t := &talk{ctx: ctx, ask: ask, now: w.now, tongue: classic{}}
	_, v, err := t.read(mode6.Request{Op: mode6.OpReadVariables, Data: []byte("version")})
	if err != nil {
		return "", err
	}
	if version, _ := v.Text("version"); strings.Contains(version, "ntpsec-") {
		t.tongue = sec{}
	}
	return say(t)
}

// read asks for variables.
func (t *talk) read(q mode6.Request) (status uint16, v mode6.Variables, err error) {
	status, data, err := t.ask(q)
	if err == nil {
		v, err = mode6.ParseVariables(data)
	}
	return status, v, err
}

// associations are those that ntpd has, by their ids.
func (t *talk) associations() ([]mode6.Association, error) {
	_, data, err := t.ask(mode6.Request{Op: mode6.OpReadStatus})
	if err != nil {
		return nil, err
	}
	all, err := mode6.ParseAssociations(data)
	slices.SortStableFunc(all, func(a, b mode6.Association) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// find is the id of an association.
func (t *talk) find(p place) (uint16, error) {
	if p.index == 0 {
		return p.id, nil
	}
	all, err := t.associations()
	if err == nil && p.index > len(all) {
		err = api.Failf(api.NotFound, "***Association index `%v' invalid: ntpd has %d associations", p, len(all))
	}
	if err != nil {
		return 0, err
	}
	return all[p.index-1].ID, nil
}

func (t *talk) associationTable() (string, error) {
	all, err := t.associations()
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return noAssociations, nil
	}
	return t.tongue.associations(all[:min(len(all), maxAssociations)]) + moreAssociations(len(all)), nil
}

const noAssociations = "No association IDs returned\n"

// variables prints those of a place. With names, there is no line of the status before them.
func (t *talk) variables(op mode6.Opcode, where place, names []byte) (string, error) {
	id, err := t.find(where)
	if err != nil {
		return "", err
	}
	status, v, err := t.read(mode6.Request{Op: op, Association: id, Data: names})
	if err != nil {
		return "", about(op, id, err)
	}
	if len(v) == 0 {
		return none(op, id), nil
	}
	text := t.tongue.variables(v, t.now())
	if len(names) > 0 {
		return text, nil
	}
	return statusLine(op, id, status) + text, nil
}

func none(op mode6.Opcode, id uint16) string {
	clock := ""
	if op == mode6.OpReadClock {
		clock = " clock"
	}
	if id == 0 {
		return "No system" + clock + " variables returned\n"
	}
	return fmt.Sprintf("No information returned for%s association %d\n", clock, id)
}

// summary prints the tables that are ntpq's word.
func (t *talk) summary(name string, where place) (string, error) {
	all := t.tongue.tables(name)
	if all == nil {
		return "", api.Failf(api.Conflict, "***Command `%s' unknown: it is of NTPsec, and the daemon next door is classic ntpd", name)
	}
	id, err := t.find(where)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, one := range all {
		status, values, err := t.collect(id, one.names())
		if err != nil {
			return "", about(mode6.OpReadVariables, id, err)
		}
		if one.status {
			text.WriteString(statusLine(mode6.OpReadVariables, id, status))
		}
		text.WriteString(t.tongue.fields(one, values, t.now()))
	}
	return text.String(), nil
}

// collect reads the names at once, or one by one if ntpd knows not all of them: then those that it knows.
func (t *talk) collect(id uint16, names []string) (status uint16, values map[string]string, err error) {
	values = make(map[string]string, len(names))
	take := func(names string) error {
		s, v, err := t.read(mode6.Request{Op: mode6.OpReadVariables, Association: id, Data: []byte(names)})
		if err != nil {
			return err
		}
		status = s
		for _, one := range v {
			values[one.Name] = one.Value
		}
		return nil
	}
	if err = take(strings.Join(names, ",")); !errors.Is(err, mode6.CodeVariable) {
		return status, values, err
	}
	for _, name := range names {
		if err = take(name); err != nil && !errors.Is(err, mode6.CodeVariable) {
			return status, nil, err
		}
	}
	return status, values, nil
}
