package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/api/view"
)

// addControl makes a sub-command of every command that ntptsd declares.
func addControl(root *cobra.Command, f *flags, code *int) {
	all := view.All()
	for _, declared := range api.Commands() {
		d := declared.Declaration()
		words := strings.Fields(d.Name)
		parent := root
		for _, w := range words[:len(words)-1] {
			parent = child(parent, w)
		}
		parent.AddCommand(controlCommand(d, all[d.Name], f, code))
	}
}

// child is the command that parent has under this name; the table lists it before what belongs to it.
func child(parent *cobra.Command, name string) *cobra.Command {
	for _, c := range parent.Commands() {
		if c.Name() == name {
			return c
		}
	}
	c := &cobra.Command{Use: name}
	parent.AddCommand(c)
	return c
}

func controlCommand(d api.Declaration, v view.View, f *flags, code *int) *cobra.Command {
	words := strings.Fields(d.Name)
	c := &cobra.Command{Short: d.Summary, ValidArgsFunction: argumentWords(d)}
	about := []string{strings.ToUpper(d.Summary[:1]) + d.Summary[1:] + "."}
	var texts []string // as they are typed
	for i, a := range d.Args {
		if a.Number && i >= v.Needs {
			c.Flags().Int(a.Name, 0, a.Summary)
			continue
		}
		if a.Flag {
			c.Flags().Bool(a.Name, false, a.Summary)
			continue
		}
		name := strings.ToUpper(a.Name)
		about = append(about, name+": "+a.Summary+".")
		if len(texts) >= v.Needs {
			name = "[" + name + "]"
			c.Flags().String(a.Name, "", a.Summary) // whoever wants the third of them need not give two others
		}
		texts = append(texts, name)
	}
	c.Use = strings.Join(append(words[len(words)-1:], texts...), " ")
	c.Long = strings.Join(append(about, fmt.Sprintf("It needs the role %s.", d.Role)), "\n")
	how := addHow(c, d)
	c.Args = func(c *cobra.Command, typed []string) error {
		if len(typed) < v.Needs || len(typed) > len(texts) {
			takes := cmp.Or(strings.Join(texts, " "), "no argument")
			return fmt.Errorf("%s takes %s, and %d were given; see %s --help", d.Name, takes, len(typed), c.CommandPath())
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, typed []string) error {
		args, err := arguments(c, d, typed)
		if err != nil {
			return err
		}
		asks, err := f.client(c)
		if err != nil {
			return err
		}
		h, err := how.read(args)
		if err != nil {
			return err
		}
		answer, err := asks.call(c.Context(), d, args, h)
		if err != nil {
			return err
		}
		bad, err := f.show(c.OutOrStdout(), asks.door, d, v, answer)
		if bad {
			*code = exitFailed
		}
		return err
	}
	return c
}

// arguments are those that were given: texts in their order, numbers by their flags.
func arguments(c *cobra.Command, d api.Declaration, typed []string) (map[string]any, error) {
	args := make(map[string]any)
	for _, a := range d.Args {
		switch {
		case a.Number && c.Flags().Lookup(a.Name) != nil && c.Flags().Changed(a.Name):
			n, err := c.Flags().GetInt(a.Name)
			if err != nil {
				return nil, err
			}
			args[a.Name] = n
		case a.Flag:
			if yes, err := c.Flags().GetBool(a.Name); err != nil || yes {
				args[a.Name] = yes
			}
		case !a.Number && c.Flags().Lookup(a.Name) != nil && c.Flags().Changed(a.Name):
			v, err := c.Flags().GetString(a.Name)
			if err != nil {
				return nil, err
			}
			if v == "" {
				return nil, fmt.Errorf("%s: --%s is empty; leave it out, or see %s --help", d.Name, a.Name, c.CommandPath())
			}
			args[a.Name] = v
		case c.Flags().Lookup(a.Name) == nil && len(typed) > 0 || !a.Number && len(typed) > 0:
			if typed[0] == "" { // a variable of a script that was never set
				return nil, fmt.Errorf("%s: %s is empty; leave it out, or see %s --help", d.Name, strings.ToUpper(a.Name), c.CommandPath())
			}
			args[a.Name] = typed[0]
			if a.Number {
				n, err := strconv.Atoi(typed[0])
				if err != nil {
					return nil, fmt.Errorf("%s: %s %.80q: must be a whole number; see %s --help", d.Name, strings.ToUpper(a.Name), typed[0], c.CommandPath())
				}
				args[a.Name] = n
			}
			typed = typed[1:]
		}
	}
	if len(typed) > 0 {
		return nil, fmt.Errorf("%s: %.80q is one too many beside the flags; see %s --help", d.Name, typed[0], c.CommandPath())
	}
	return args, nil
}

// show writes the answer only when it is whole and of the declared shape.
func (f *flags) show(out io.Writer, from door, d api.Declaration, v view.View, answer []byte) (bad bool, err error) {
	var text bytes.Buffer
	bad, err = v.Show(&text, answer, time.Now())
	if err == nil && f.json {
		text.Reset()
		err = view.Indent(&text, answer)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read what %s answers to %q: %s", from, d.Name, view.Sentence(err.Error()))
	}
	_, err = out.Write(text.Bytes())
	return bad, err
}
