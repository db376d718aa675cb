package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/spf13/cobra"
)

// controlFlags are what the commands over the control socket share.
type controlFlags struct {
	client
	json bool
}

// addControl makes a sub-command of every command that ntptsd declares.
func addControl(root *cobra.Command, code *int) {
	f := &controlFlags{}
	flags := root.PersistentFlags()
	flags.StringVar(&f.socket, "socket", defaultSocket, "the `PATH` of the control socket of ntptsd")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "wait so long for the whole answer of ntptsd")
	flags.BoolVar(&f.json, "json", false, "JSON instead of text")
	all := views()
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

func controlCommand(d api.Declaration, v view, f *controlFlags, code *int) *cobra.Command {
	words := strings.Fields(d.Name)
	c := &cobra.Command{Short: d.Summary, ValidArgsFunction: cobra.NoFileCompletions}
	about := []string{strings.ToUpper(d.Summary[:1]) + d.Summary[1:] + "."}
	var texts []string // as they are typed
	for _, a := range d.Args {
		if a.Number {
			c.Flags().Int(a.Name, 0, a.Summary)
			continue
		}
		name := strings.ToUpper(a.Name)
		about = append(about, name+": "+a.Summary+".")
		if len(texts) >= v.needs {
			name = "[" + name + "]"
		}
		texts = append(texts, name)
	}
	c.Use = strings.Join(append(words[len(words)-1:], texts...), " ")
	c.Long = strings.Join(append(about, fmt.Sprintf("It needs the role %s.", d.Role)), "\n")
	c.Args = func(c *cobra.Command, typed []string) error {
		if len(typed) < v.needs || len(typed) > len(texts) {
			takes := cmp.Or(strings.Join(texts, " "), "no argument")
			return fmt.Errorf("%s takes %s, and %d were given; see %s --help", d.Name, takes, len(typed), c.CommandPath())
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, typed []string) error {
		args, err := f.arguments(c, d, typed)
		if err != nil {
			return err
		}
		answer, err := f.call(c.Context(), d, args)
		if err != nil {
			return err
		}
		*code, err = f.show(c.OutOrStdout(), d, v, answer)
		return err
	}
	return c
}

// arguments are those that were given: texts in their order, numbers by their flags.
func (f *controlFlags) arguments(c *cobra.Command, d api.Declaration, typed []string) (map[string]any, error) {
	if f.timeout <= 0 {
		return nil, fmt.Errorf("--timeout %v: more than 0", f.timeout)
	}
	args := make(map[string]any)
	for _, a := range d.Args {
		switch {
		case a.Number && c.Flags().Changed(a.Name):
			n, err := c.Flags().GetInt(a.Name)
			if err != nil {
				return nil, err
			}
			args[a.Name] = n
		case !a.Number && len(typed) > 0:
			if typed[0] == "" { // a variable of a script that was never set
				return nil, fmt.Errorf("%s: %s is empty; leave it out, or see %s --help", d.Name, strings.ToUpper(a.Name), c.CommandPath())
			}
			args[a.Name], typed = typed[0], typed[1:]
		}
	}
	return args, nil
}

// show writes the answer only when it is whole and of the declared shape.
func (f *controlFlags) show(out io.Writer, d api.Declaration, v view, answer []byte) (int, error) {
	var text bytes.Buffer
	code, err := v.show(&text, answer, time.Now())
	if err == nil && f.json {
		text.Reset()
		err = indent(&text, answer)
	}
	if err != nil {
		return exitUsage, fmt.Errorf("cannot read what %s answers to %q: %s", f.socket, d.Name, sentence(err.Error()))
	}
	_, err = out.Write(text.Bytes())
	return code, err
}
