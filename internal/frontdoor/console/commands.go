package console

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// verbs are the commands by what is typed.
type verbs struct {
	all    []api.Declaration
	native map[string]bool
}

func newVerbs(all []api.Declaration) verbs {
	v := verbs{native: map[string]bool{}}
	for _, d := range all {
		if d.Name != api.Login.Name { // which is another thing here: login TOKEN
			v.all = append(v.all, d)
		}
	}
	for _, c := range api.NativeWords() {
		v.native[c.Declaration().Name] = true
	}
	for _, word := range []string{"tracking", "sources", "clients"} { // neutral in JSON, for people as the daemon's client says it
		v.native[word] = true
	}
	return v
}

// alias is the command that is meant by a word of ntpq.
func alias(word string) string {
	switch word {
	case "as":
		return "associations"
	case "pe":
		return "peers"
	case "readvar":
		return "rv"
	case "kerninfo":
		return "kernel"
	case "certificates":
		return "certs"
	}
	return word
}

// find takes the command off the words: two of them where there is such a command.
func (v verbs) find(words []string) (d api.Declaration, args []string, ok bool) {
	lower := make([]string, min(len(words), 2))
	for i := range lower {
		lower[i] = strings.ToLower(words[i])
	}
	for n := len(lower); n > 0; n-- {
		name := alias(strings.Join(lower[:n], " "))
		if i := slices.IndexFunc(v.all, func(d api.Declaration) bool { return d.Name == name }); i >= 0 {
			return v.all[i], words[n:], true
		}
	}
	return api.Declaration{}, nil, false
}

// answer answers one command; an error ends the session.
func (s *session) answer(ctx context.Context, verb string, words []string, f form) error {
	asJSON := f.json
	switch verb {
	case "quit", "exit", "bye":
		s.out.line(codeClosing, "bye")
		return errBye
	case "login":
		return s.login(words[1:])
	case "help", "?":
		s.help(words[1:])
		return nil
	}
	if s.stranger() {
		s.out.line(codeLogIn, "log in first, with a client certificate or: login TOKEN")
		return nil
	}
	d, args, ok := s.verbs.find(words)
	if !ok {
		s.refuse(asJSON, codeUnknown, api.NotFound, fmt.Sprintf("unknown command %.64q; help lists the commands", verb))
		return nil
	}
	if d.Name == api.GetEvents.Name && len(args) > 0 && (args[0] == "--follow" || args[0] == "-f") {
		if len(args) > 1 {
			s.refuse(asJSON, codeBadArgument, api.BadArgument, "events --follow takes nothing more; json events --follow answers in JSON")
			return nil
		}
		return s.followEvents(ctx, asJSON)
	}
	if err := s.command(ctx, d, args, f); err != nil {
		kind := api.KindOf(err)
		detail := err.Error()
		if kind == api.Internal {
			detail = "something went wrong inside ntptsd; its log tells what"
		}
		s.refuse(asJSON, codeOf(kind), kind, detail)
	}
	return nil
}

func (s *session) refuse(asJSON bool, code int, kind api.Kind, detail string) {
	if !asJSON {
		s.out.line(code, detail)
		return
	}
	_ = s.out.object(code, nil, &api.Problem{Type: "about:blank", Title: string(kind), Status: code, Detail: detail, Code: kind}) // strings only
}

// command does one of the table and writes its answer, unless there is an error.
func (s *session) command(ctx context.Context, d api.Declaration, args []string, f form) error {
	asJSON := f.json
	if err := d.Permit(s.who); err != nil && !d.Changes { // of a change it is written down that somebody tried
		return err
	}
	if !d.Changes && f.how != (api.How{}) {
		return api.Failf(api.BadArgument, "%s changes nothing: dry-run, confirm-within and once are for what does", d.Name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it was not done within %v", commandTimeout))
	defer cancel()
	if s.verbs.native[d.Name] && !(asJSON && !s.pure(d)) {
		n, err := s.Words.Say(ctx, d.Name, args)
		switch {
		case err == nil && asJSON:
			return s.object(n)
		case err == nil:
			return s.block(d.Name, n.Text)
		case s.pure(d) || api.KindOf(err) != api.Conflict: // else the table knows it of any daemon
			return err
		}
	}
	object, err := arguments(d, args)
	if err != nil {
		return err
	}
	result, err := s.Commands.Call(ctx, s.who, d.Name, object, f.how)
	if err != nil {
		return err
	}
	if asJSON {
		return s.object(result)
	}
	b, err := json.Marshal(result)
	if err != nil {
		return api.Fail(api.Internal, err)
	}
	text, err := s.View(d.Name, b, time.Now())
	if err != nil {
		return api.Fail(api.Internal, err)
	}
	return s.block(d.Name, text)
}

// pure tells that a command has no other answer than the daemon's own text.
func (s *session) pure(d api.Declaration) bool {
	return d.Name != api.GetTracking.Name && d.Name != api.GetSources.Name && d.Name != api.GetClients.Name
}

// arguments makes the JSON object of what was typed: texts and numbers in their order, or any as name=value.
func arguments(d api.Declaration, typed []string) ([]byte, error) {
	args := make(map[string]any)
	left := slices.Clone(d.Args)
	for _, word := range typed {
		name, value, named := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		i := 0
		if named {
			i = slices.IndexFunc(left, func(a api.Arg) bool { return a.Name == strings.ToLower(name) })
		} else if i = slices.IndexFunc(left, func(a api.Arg) bool { return a.Flag && a.Name == strings.ToLower(word) }); i >= 0 {
			value = "true"
		} else {
			i, value = slices.IndexFunc(left, func(a api.Arg) bool { return !a.Flag }), word
		}
		if i < 0 || i >= len(left) {
			return nil, api.Failf(api.BadArgument, "%s takes %s; %.64q is not among that", d.Name, usage(d), word)
		}
		a := left[i]
		left = slices.Delete(left, i, i+1)
		if a.Flag {
			yes, err := strconv.ParseBool(value)
			if err != nil {
				return nil, api.Failf(api.BadArgument, "%s %.64q: must be true or false", a.Name, value)
			}
			args[a.Name] = yes
			continue
		}
		if !a.Number {
			args[a.Name] = value
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, api.Failf(api.BadArgument, "%s %.64q: must be a whole number", a.Name, value)
		}
		args[a.Name] = n
	}
	return json.Marshal(args)
}

// usage names the arguments.
func usage(d api.Declaration) string {
	if len(d.Args) == 0 {
		return "no argument"
	}
	var names []string
	for _, a := range d.Args {
		if a.Flag {
			names = append(names, "["+a.Name+"]")
			continue
		}
		names = append(names, "["+a.Name+"=]"+strings.ToUpper(a.Name))
	}
	return strings.Join(names, " ")
}

// login makes somebody of a stranger, or somebody else.
func (s *session) login(args []string) error {
	if len(args) != 1 {
		s.out.line(codeBadArgument, "login takes one token, as ntptsd token makes it")
		return nil
	}
	who, err := s.Logins.Token(s.remote, args[0])
	if err != nil {
		s.out.line(codeOf(api.KindOf(err)), err.Error())
		return errBye // the next try costs a handshake
	}
	s.who = who
	s.who.From = s.remote
	if guest, ok := s.conn.(interface{ LoggedIn() }); ok && !s.stranger() {
		guest.LoggedIn()
	}
	s.out.line(codeOK, fmt.Sprintf("you are %s %q; help lists the commands", who.Role, who.Name))
	return nil
}

// help is short for strangers.
func (s *session) help(about []string) {
	if s.stranger() {
		s.out.line(codeOK, "login TOKEN, quit; the rest needs one or the other: a client certificate or a token")
		return
	}
	var b strings.Builder
	d, _, ok := s.verbs.find(about)
	if len(about) > 0 && !ok {
		s.out.line(codeUnknown, fmt.Sprintf("unknown command %.64q; help lists the commands", about[0]))
		return
	}
	if ok {
		fmt.Fprintf(&b, "%s: %s\nrole %s, takes %s\n", d.Name, d.Summary, d.Role, usage(d))
		if d.Inverse != "" {
			fmt.Fprintf(&b, "undone by %s, so that confirm-within may stand before it\n", d.Inverse)
		}
		for _, a := range d.Args {
			fmt.Fprintf(&b, "  %-12s %s\n", a.Name, a.Summary)
		}
	} else {
		for _, d := range s.verbs.all {
			if d.Permit(s.who) == nil {
				fmt.Fprintf(&b, "%-19s %s\n", d.Name, d.Summary)
			}
		}
		for _, about := range [][2]string{{"events --follow", "show what happens, until the next line"}, {"json COMMAND", "answer in one line of JSON"},
			{"dry-run COMMAND", "say what it would change, and change nothing"}, {"confirm-within 5m COMMAND", "undo it unless changes confirm comes in time"},
			{"once TEXT COMMAND", "do it once, however often this line is sent"}, {"help COMMAND", "what it takes"}, {"login TOKEN", "be somebody else"}, {"quit", "end"}} {
			fmt.Fprintf(&b, "%-19s %s\n", about[0], about[1])
		}
	}
	_ = s.block("help", b.String()) // which is short
}
