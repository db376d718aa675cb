package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api/view"
	"github.com/ntptsd/ntptsd/protocol/audit"
)

const (
	defaultAudit = "/var/lib/ntptsd/audit"
	// A daemon that writes at the same time makes a log look torn for a moment: it is read again after a pause, until the same is
	// wrong as before, at most so often.
	auditTries = 4
	auditPause = 100 * time.Millisecond
)

func auditVerifyCommand(f *flags, code *int) *cobra.Command {
	var heads []string
	var key string
	c := &cobra.Command{
		Use:   "verify [FILE|FOLDER]...",
		Short: "read the audit log of this host, and say what is wrong with it first",
		Long: "Read the files of an audit log, the oldest first, and say what is wrong first: a record that was altered, taken out or\n" +
			"put in, or a tail that was cut off. A FOLDER has the files that ntptsd keeps, and the head and the public key beside\n" +
			"them; " + defaultAudit + " unless given. ntptsd is not asked.",
		RunE: func(c *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{defaultAudit}
			}
			report, err := verifyAudit(paths, heads, key)
			if err != nil {
				return err
			}
			if report.Fault != "" {
				*code = exitFailed
			}
			return report.write(c.OutOrStdout(), f.json)
		},
	}
	c.Flags().StringArrayVar(&heads, "head", nil, "compare with this `SEQUENCE:HASH[:SIGNATURE]`, which an answer or the system log had")
	c.Flags().StringVar(&key, "public-key", "", "check signatures of heads by the key in this PEM `FILE` (default public.pem of the FOLDER)")
	return c
}

// auditReport is what verify says.
type auditReport struct {
	Right bool       `json:"right"`
	Fault string     `json:"fault"` // the first one; empty: none
	Files int        `json:"files"`
	First uint64     `json:"first"` // sequence of the first record; 0: there is none
	Last  uint64     `json:"last"`
	Hash  string     `json:"hash"`  // of the last right record
	Heads []headTold `json:"heads"` // that it was compared with
	KeyID string     `json:"key_id"`
}

type headTold struct {
	Sequence uint64 `json:"seq"`
	From     string `json:"from"`
	Signed   bool   `json:"signed"` // by the key
}

func (r auditReport) write(out io.Writer, asJSON bool) error {
	if asJSON {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, view.Escape(string(b))+"\n")
		return err
	}
	var b strings.Builder
	switch {
	case r.Fault != "":
		fmt.Fprintf(&b, "WRONG: %s\n", view.Sentence(r.Fault))
		if r.Last > 0 {
			fmt.Fprintf(&b, "right before that: records %d to %d\n", r.First, r.Last)
		}
	case r.First == 0:
		fmt.Fprintln(&b, "right, and empty: there is no record yet")
	default:
		fmt.Fprintf(&b, "right: records %d to %d, files: %d\n", r.First, r.Last, r.Files)
		if r.First > 1 {
			fmt.Fprintf(&b, "records 1 to %d are not in these files: older files are removed when newer ones are full\n", r.First-1)
		}
	}
	for _, h := range r.Heads {
		signed := "its signature was not checked: --public-key names the key"
		switch {
		case h.Signed:
			signed = "signed by key " + r.KeyID
		case r.KeyID != "":
			signed = "it has no signature"
		}
		fmt.Fprintf(&b, "compared with the head of record %d from %s, %s\n", h.Sequence, view.Sentence(h.From), signed)
	}
	if len(r.Heads) == 0 {
		fmt.Fprintln(&b, "no head was given: whether a tail was cut off is not known; --head has one from an answer or the system log")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// verifyAudit is a report, or an error if nothing can be said.
func verifyAudit(paths, heads []string, keyFile string) (r auditReport, err error) {
	var before string
	for n := range auditTries {
		if n > 0 {
			time.Sleep(auditPause)
		}
		var kind audit.FaultKind
		if r, kind, err = verifyOnce(paths, heads, keyFile); kind != audit.Torn && kind != audit.Missing && kind != audit.Cut || r.Fault == before {
			break
		}
		before = r.Fault
	}
	return r, err
}

func verifyOnce(paths, heads []string, keyFile string) (r auditReport, kind audit.FaultKind, err error) {
	l := auditLog{}
	defer l.close()
	for _, h := range heads {
		head, err := audit.ParseHead(h)
		if err != nil {
			return r, 0, fmt.Errorf("--head %.80q: %w", h, err)
		}
		l.heads = append(l.heads, expected{head, "--head"})
	}
	if keyFile != "" {
		if l.key, err = readPublic(keyFile, os.Open); err != nil {
			return r, 0, err
		}
	}
	for _, p := range paths {
		if err := l.add(p); err != nil {
			return r, 0, fmt.Errorf("%w; root may read the audit log", err)
		}
	}
	r, err = l.verify()
	if f, ok := errors.AsType[*audit.Fault](err); ok {
		r.Fault, r.Right = f.Error(), false
		return r, f.Kind, nil
	}
	return r, 0, err
}
