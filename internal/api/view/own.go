package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// addOwn has the views of ownCommands.
func addOwn(all map[string]View) {
	add(all, api.GetLog, 0, showLog)
	addChange(all, api.SetLogLevel, 1, showLog)
	add(all, api.GetBans, 0, showBans)
	addChange(all, api.AddBan, 1, showBans)
	addChange(all, api.RemoveBan, 1, showBans)
	addChange(all, api.RevokeKey, 2, showRevocation)
	add(all, api.GetConfig, 0, showConfiguration)
	addChange(all, api.ReloadCerts, 0, showCertificates)
	addChange(all, api.RenewCert, 1, showCertificates)
	add(all, api.GetAccess, 0, showGrants)
	addChange(all, api.IssueCertificate, 2, showIssuedCertificate)
	addChange(all, api.IssueToken, 2, showIssuedToken)
	addChange(all, api.RevokeLogin, 1, showGrants)
	addChange(all, api.RestoreLogin, 1, showGrants)
	add(all, api.GetListeners, 0, showServing)
	addChange(all, api.DrainListener, 1, showServing)
	addChange(all, api.UndrainListener, 1, showServing)
	addChange(all, api.Drain, 0, showServing)
	addChange(all, api.Undrain, 0, showServing)
}

func showLog(out io.Writer, l api.LogState, _ time.Time) {
	fmt.Fprintf(out, "level %s", Word(l.Level))
	if l.Level != l.Configured {
		fmt.Fprintf(out, ", until a reload or a restart: the configuration says %s", Word(l.Configured))
	}
	fmt.Fprintln(out)
}

func showBans(out io.Writer, b api.Bans, _ time.Time) {
	if len(b.Bans) == 0 {
		fmt.Fprintln(out, "no network is banned")
	} else {
		rows(out, "NETWORK ENDS FROM REASON", b.Bans, func(b api.Ban) []string {
			ends := or(b.LeftSeconds, func(s float64) string { return "in " + Span(s) })
			return []string{Word(b.Network), ends, Word(b.From), Word(b.Reason)}
		})
	}
	for _, c := range b.Refused[:min(len(b.Refused), maxRows)] {
		if c.Count > 0 {
			fmt.Fprintf(out, "%s refused %d\n", Word(c.Name), c.Count)
		}
	}
}

func showRevocation(out io.Writer, r api.Revocation, now time.Time) {
	fmt.Fprintf(out, "key %s of ring %s is revoked; it was promised to end %s\n", Word(r.Key), Word(r.Ring), Moment(r.PromisedUntil, now))
	for _, also := range r.Also[:min(len(r.Also), maxRows)] {
		fmt.Fprintf(out, "key %s has ended with it\n", Word(also))
	}
	fmt.Fprintf(out, "key %s mints, key %s is next; %d clients a second are told to exchange keys anew\n", Word(r.Current), Word(r.Next), r.NAKs)
	for _, problem := range []string{r.Unknown, r.Problem} {
		if problem != "" {
			fmt.Fprintln(out, Sentence(problem))
		}
	}
}

func showServing(out io.Writer, s api.Serving, _ time.Time) {
	if s.Draining {
		fmt.Fprintln(out, "this host drains: it is neither ready nor fit, and sends clients to other targets")
	}
	if len(s.Listeners) == 0 {
		fmt.Fprintln(out, "there are no listeners")
		return
	}
	rows(out, "LISTENER SERVICE STATE", s.Listeners, func(l api.Listener) []string {
		state := "open"
		if l.Draining {
			state = "draining"
		}
		return []string{Word(l.Name), Word(l.Service), state}
	})
}

func showConfiguration(out io.Writer, c api.Configuration, _ time.Time) {
	for i, line := range strings.Split(strings.TrimRight(c.Text, "\n"), "\n") {
		if i == maxRows {
			fmt.Fprintln(out, "and more; --json shows all")
			break
		}
		fmt.Fprintln(out, Sentence(line))
	}
	for i, line := range c.Runtime[:min(len(c.Runtime), maxRows)] {
		if i == 0 {
			fmt.Fprintln(out, "\n# changed by commands, beside the configuration:")
		}
		fmt.Fprintf(out, "# %s\n", Sentence(line))
	}
}
