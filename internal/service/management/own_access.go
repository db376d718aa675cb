package management

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/access"
	"github.com/ntptsd/ntptsd/internal/api"
)

// Doors are who may log in at the services port. Safe for concurrent use. Its errors have an api.Kind.
type Doors interface {
	Grants() []api.Grant
	Named(name string) ([]api.Grant, error)
	Grantable(g access.Grant) error
	Grant(g access.Grant) error
	Revoke(name, by string) error
	Restore(name string) error
}

// Authority signs client certificates. Safe for concurrent use.
type Authority interface {
	// IssueClient gives PEM. The authority's own end may come before until.
	IssueClient(name string, until time.Time) (certificate, key []byte, err error)
}

const (
	tokenDays       = 365
	maxTokenDays    = 3650
	certificateDays = 90
	// maxCertificateDays is the longest that clients take of any certificate.
	maxCertificateDays = 397
	// maxWords bounds each list of an argument.
	maxWords = 64
	day      = 24 * time.Hour
)

// grants tells of those who are revoked whether that lasts, too.
func (s *Service) grants() api.Grants {
	all, back := s.Doors.Grants(), s.comeBack()
	for i := range all {
		if id, ok := back[all[i].Of]; ok && all[i].Revoked != nil {
			all[i].RevokedBy += fmt.Sprintf(", undone unless change %d is confirmed", id)
		}
	}
	return api.Grants{Grants: all}
}

func (s *Service) issueToken(_ context.Context, who api.Caller, a api.TokenArg) (c api.Change[api.IssuedToken], err error) {
	g, err := newGrant(who, access.KindToken, a.Name, a.Role, a.Only, a.Days, tokenDays, maxTokenDays)
	if err != nil {
		return c, err
	}
	for _, word := range words(a.From) {
		p, err := netip.ParsePrefix(word)
		if err != nil || p.Masked() != p {
			return c, api.Failf(api.BadArgument, "from %.64q: must be networks as in 192.0.2.0/24, with commas between", word)
		}
		g.From = append(g.From, p)
	}
	if a.From != "" && len(g.From) == 0 { // which would let everybody have it
		return c, api.Failf(api.BadArgument, "from %.64q names no network: leave it out, or name one", a.From)
	}
	if len(g.From) > maxWords {
		return c, api.Failf(api.BadArgument, "from has more than %d networks", maxWords)
	}
	if err := s.Doors.Grantable(g); err != nil {
		return c, err
	}
	c.Summary, c.After = fmt.Sprintf("make a token for %s, with the role %s", g.Name, g.Role), describe(g)
	c.Undo = api.StepOf(api.RevokeLogin, api.LoginNameArg{Name: g.Kind + "/" + g.Name})
	c.Do = func(context.Context) (api.IssuedToken, error) {
		token, hash := access.NewToken()
		g.Hash = hash
		if err := s.Doors.Grant(g); err != nil {
			return api.IssuedToken{}, err
		}
		s.tell(api.EventAccess, api.Warning, "a token for %s, with the role %s, was made by %s", g.Name, g.Role, who.Name)
		return api.IssuedToken{Name: g.Name, Role: g.Role, Until: g.Until, Token: token}, nil
	}
	return c, nil
}

func (s *Service) issueCertificate(_ context.Context, who api.Caller, a api.CertificateArg) (c api.Change[api.IssuedCertificate], err error) {
	g, err := newGrant(who, access.KindCertificate, a.Name, a.Role, a.Only, a.Days, certificateDays, maxCertificateDays)
	if err != nil {
		return c, err
	}
	if err := s.Doors.Grantable(g); err != nil {
		return c, err
	}
	if _, _, err := s.Authority.IssueClient(g.Name, g.Until); err != nil { // on trial: it is thrown away
		return c, api.Fail(api.Conflict, err)
	}
	c.Summary, c.After = fmt.Sprintf("make a client certificate for %s, with the role %s", g.Name, g.Role), describe(g)
	c.Undo = api.StepOf(api.RevokeLogin, api.LoginNameArg{Name: g.Kind + "/" + g.Name})
	c.Do = func(context.Context) (api.IssuedCertificate, error) { return s.sign(who, g) }
	return c, nil
}

func (s *Service) sign(who api.Caller, g access.Grant) (api.IssuedCertificate, error) {
	certificate, key, err := s.Authority.IssueClient(g.Name, g.Until)
	if err != nil {
		return api.IssuedCertificate{}, api.Fail(api.Conflict, err)
	}
	leaf, err := leafOf(certificate)
	if err != nil {
		return api.IssuedCertificate{}, err
	}
	sum := sha256.Sum256(leaf.Raw)
	g.Hash, g.Until = hex.EncodeToString(sum[:]), leaf.NotAfter.UTC()
	if err := s.Doors.Grant(g); err != nil {
		return api.IssuedCertificate{}, err
	}
	s.tell(api.EventAccess, api.Warning, "a certificate for %s, with the role %s, was made by %s", g.Name, g.Role, who.Name)
	return api.IssuedCertificate{Name: g.Name, Role: g.Role, Until: g.Until, Fingerprint: g.Hash, Certificate: string(certificate), Key: string(key)}, nil
}

func leafOf(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("management: the authority has signed no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// newGrant checks what both have.
func newGrant(who api.Caller, kind, name, role, only string, days, usual, most int) (g access.Grant, err error) {
	switch {
	case name == "" || role == "":
		return g, api.Failf(api.BadArgument, "say a name and a role: monitor, operator or admin")
	case days == 0:
		days = usual
	case days < 1 || days > most:
		return g, api.Failf(api.BadArgument, "days %d: must be from 1 to %d", days, most)
	}
	now := time.Now().UTC().Truncate(time.Second)
	g = access.Grant{Kind: kind, Name: name, Role: role, Only: words(only), Issued: now, Until: now.Add(time.Duration(days) * day), By: who.Name}
	if len(g.Only) > maxWords {
		return g, api.Failf(api.BadArgument, "only has more than %d words", maxWords)
	}
	if err := confined(who, g.Only); err != nil {
		return g, err
	}
	if only != "" && len(g.Only) == 0 { // which would confine to nothing, and so not at all
		return g, api.Failf(api.BadArgument, "only %.64q names nothing: leave it out, or name what is allowed", only)
	}
	return g, nil
}

// confined refuses that who is confined lets somebody in to more than that, perhaps himself.
func confined(who api.Caller, only []string) error {
	if who.Only != nil && (len(only) == 0 || slices.ContainsFunc(only, func(word string) bool { return !slices.Contains(who.Only, word) })) {
		return api.Failf(api.Denied, "you are confined to %s, and can let nobody in to more: say only with words of that", strings.Join(who.Only, ", "))
	}
	return nil
}

// words splits a list with commas.
func words(list string) (all []string) {
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

func describe(g access.Grant) string {
	text := fmt.Sprintf("%s %s, role %s, until %s", g.Kind, g.Name, g.Role, g.Until.Format(time.RFC3339))
	if len(g.Only) > 0 {
		text += ", only " + strings.Join(g.Only, ",")
	}
	for i, p := range g.From {
		if i == 0 {
			text += ", from"
		}
		text += " " + p.String()
	}
	return text
}

// turnLogin plans to shut somebody out, or to let him in again.
func (s *Service) turnLogin(who api.Caller, a api.LoginNameArg, revoke bool) (c api.Change[api.Grants], err error) {
	if a.Name == "" {
		return c, api.Failf(api.BadArgument, "name a certificate or token, as access shows it")
	}
	found, err := s.Doors.Named(a.Name)
	if err != nil {
		return c, err
	}
	out := slices.DeleteFunc(slices.Clone(found), func(g api.Grant) bool { return g.Revoked == nil })
	if len(out) > 0 && len(out) < len(found) {
		return c, api.Failf(api.Conflict, "one of those that are called %s is revoked already, and another is not: say %s/%s or %s/%s",
			a.Name, access.KindCertificate, a.Name, access.KindToken, a.Name)
	}
	c.Result = s.grants()
	c.Before, c.After = counts(len(out) == 0), counts(!revoke)
	c.Undo, c.Summary = api.StepOf(api.RestoreLogin, a), "shut out "+listed(found)+" at once: sessions and streams end, too"
	if who.Name == found[0].Kind+" "+found[0].Name {
		c.Summary += "; that is yourself"
	}
	if !revoke {
		c.Undo, c.Summary = api.StepOf(api.RevokeLogin, a), "let "+listed(found)+" in again"
	}
	switch {
	case revoke && len(out) > 0:
		return c, s.forGood(found)
	case !revoke && len(out) == 0:
		return c, nil
	case !revoke:
		for _, g := range found {
			if err := confined(who, g.Only); err != nil {
				return c, err
			}
		}
	}
	c.Do = func(context.Context) (api.Grants, error) {
		err, word := error(nil), "revoked"
		if revoke {
			err = s.Doors.Revoke(a.Name, who.Name)
		} else {
			err, word = s.Doors.Restore(a.Name), "restored"
		}
		s.tell(api.EventAccess, api.Warning, "%s: %s by %s", listed(found), word, who.Name)
		return s.grants(), err
	}
	return c, nil
}

// comeBack are the changes that let revoked logins in again if nobody confirms them, by what these are known by.
func (s *Service) comeBack() map[string]uint64 {
	all := make(map[string]uint64)
	for _, u := range s.Ledger.Pending() {
		var a api.LoginNameArg
		if u.Command != api.RevokeLogin.Name || json.Unmarshal([]byte(u.Args), &a) != nil {
			continue
		}
		found, _ := s.Doors.Named(a.Name) // nobody, if that fails
		for _, g := range found {
			all[g.Of] = u.ID
		}
	}
	return all
}

// forGood is nil if those who are revoked already stay so.
func (s *Service) forGood(found []api.Grant) error {
	back := s.comeBack()
	for _, g := range found {
		if id, ok := back[g.Of]; ok {
			return api.Failf(api.Conflict, "%s %s is revoked already, but is let in again unless change %d is confirmed: changes confirm %d", g.Kind, g.Name, id, id)
		}
	}
	return nil
}

func counts(yes bool) string {
	if yes {
		return "counts"
	}
	return "revoked"
}

func listed(all []api.Grant) string {
	var names []string
	for _, g := range all {
		names = append(names, fmt.Sprintf("%s %s (%s)", g.Kind, g.Name, g.Role))
	}
	return strings.Join(names, ", ")
}
