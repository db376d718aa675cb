package monitoring

import (
	"context"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/words/chronyc"
	"github.com/ntptsd/ntptsd/internal/words/ntpq"
)

// nameOfChrony is what the neighbour is called when chronyc's words are its own.
const nameOfChrony = "chrony"

// words binds those of ntpq and chronyc.
func (s *Service) words() []api.Binding {
	none := func(api.None) []string { return nil }
	var all []api.Binding
	for _, c := range api.PlainWords() {
		all = append(all, bindWord(s, c, none))
	}
	return append(all,
		bindWord(s, api.GetVariables, func(a api.AssociationArg) (args []string) {
			if a.Association != "" || a.Variables != "" {
				args = append(args, a.Association)
			}
			return append(args, strings.Fields(a.Variables)...)
		}),
		bindWord(s, api.GetNTPData, func(a api.AddressArg) []string { return strings.Fields(a.Address) }))
}

func bindWord[A any](s *Service, c api.Command[A, api.Native], argsOf func(A) []string) api.Binding {
	return api.Bind(c, func(ctx context.Context, _ api.Caller, a A) (api.Native, error) {
		return s.Say(ctx, c.Name, argsOf(a))
	})
}

// Say answers a word as ntpq or chronyc would, in the neighbour's own terms. peers, tracking, sources and clients are
// answered for any neighbour, and for none. Safe for concurrent use.
func (s *Service) Say(ctx context.Context, word string, args []string) (api.Native, error) {
	name := s.Neighbour.Name()
	var speaks, needs = s.NTPQ, "ntpd or NTPsec"
	switch of := ofChronyc(word); {
	case of && name == nameOfChrony:
		speaks = s.Chronyc
	case of && word == "tracking":
		return api.Native{Text: chronyc.Tracking(s.Clock.Tracking())}, nil
	case of && word == "sources":
		all, err := s.neutralSources(ctx)
		return api.Native{Text: chronyc.Sources(all)}, err
	case of:
		speaks, needs = nil, "chronyd"
	case word == "peers" && (name == nameOfChrony || name == ""):
		all, err := s.neutralSources(ctx)
		return api.Native{Text: ntpq.Billboard(s.Clock.Tracking(), all)}, err
	case name == nameOfChrony || name == "":
		speaks = nil
	}
	if speaks == nil {
		return api.Native{}, api.Failf(api.Conflict, "%s is a word of %s, and the time daemon next door is %s: help lists what can be asked of any",
			word, needs, orNone(name))
	}
	text, err := speaks.Say(ctx, word, args)
	if err != nil {
		return api.Native{}, err
	}
	return api.Native{Daemon: name, Text: text}, nil
}

func orNone(name string) string {
	if name == "" {
		return "not known (clock.source is neither chrony nor ntpd)"
	}
	return name
}

// ofChronyc tells the words of chronyc from ntpq's.
func ofChronyc(word string) bool {
	switch word {
	case "tracking", "sources", "sourcestats", "selectdata", "ntpdata", "authdata", "serverstats", "activity", "smoothing", "clients":
		return true
	}
	return false
}

// neutralSources are none where there is no neighbour.
func (s *Service) neutralSources(ctx context.Context) ([]api.Source, error) {
	if s.Neighbour.Name() == "" {
		return nil, nil
	}
	all, err := s.Neighbour.Sources(ctx)
	if err != nil {
		return nil, failed(err)
	}
	return all, nil
}
