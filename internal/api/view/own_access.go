package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

func showGrants(out io.Writer, g api.Grants, now time.Time) {
	if len(g.Grants) == 0 {
		fmt.Fprintln(out, "nobody may log in at the services port")
		return
	}
	rows(out, "KIND NAME ROLE ONLY ENDS USED FROM STATE", g.Grants, func(g api.Grant) []string {
		moment := func(t time.Time) string { return Moment(t, now) }
		state := "counts"
		switch {
		case g.Revoked != nil:
			state = "revoked " + moment(*g.Revoked) + " by " + Word(g.RevokedBy)
		case g.Until != nil && now.After(*g.Until):
			state = "ended"
		}
		return []string{Word(g.Kind), Word(g.Name), Word(g.Role), Word(strings.Join(g.Only, ",")), or(g.Until, moment),
			or(g.LastUse, moment), Word(g.Source), state}
	})
}

func showIssuedToken(out io.Writer, t api.IssuedToken, now time.Time) {
	fmt.Fprintln(out, Word(t.Token))
	fmt.Fprintf(out, "# token %s, with the role %s, ends %s; it is not shown again: chmod 600 the file with it\n", Word(t.Name), Word(t.Role), Moment(t.Until, now))
}

func showIssuedCertificate(out io.Writer, c api.IssuedCertificate, now time.Time) {
	for _, text := range []string{c.Certificate, c.Key} {
		for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
			if i < maxLines {
				fmt.Fprintln(out, Word(line))
			}
		}
	}
	fmt.Fprintf(out, "# certificate %s, with the role %s, ends %s; its key is not shown again: chmod 600 the file with it\n", Word(c.Name), Word(c.Role), Moment(c.Until, now))
}
