package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
)

// complete is for shells that ask what may stand behind a flag.
func (f *flags) complete(root *cobra.Command) {
	for flag, fill := range map[string]cobra.CompletionFunc{
		"profile": func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return f.known(), cobra.ShellCompDirectiveNoFileComp
		},
		"host":    cobra.NoFileCompletions,
		"timeout": cobra.NoFileCompletions,
	} {
		_ = root.RegisterFlagCompletionFunc(flag, fill) // fails for flags that do not exist: see the test
	}
}

// known are the names of the profiles. A shell that completes wants no errors.
func (f *flags) known() []string {
	all, err := readProfiles(f.config)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all.names(), func(name string) bool { return strings.ContainsAny(name, "\t\n") })
}

// hosts completes names of profiles where a HOST may stand.
func (f *flags) hosts(_ *cobra.Command, typed []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return slices.DeleteFunc(f.known(), func(name string) bool { return slices.Contains(typed, name) }), cobra.ShellCompDirectiveNoFileComp
}

// completeHost makes the first argument of each command under c a HOST; those behind it are of the tool that is run.
func (f *flags) completeHost(c *cobra.Command) *cobra.Command {
	for _, tool := range c.Commands() {
		tool.ValidArgsFunction = func(c *cobra.Command, typed []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(typed) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return f.hosts(c, typed, begun)
		}
	}
	return c
}

// argumentWords completes the arguments of a command of ntptsd that are fixed words.
func argumentWords(d api.Declaration) cobra.CompletionFunc {
	if d.Name != api.Login.Name {
		return cobra.NoFileCompletions
	}
	var roles []string
	for r := api.Monitor; r <= api.Admin; r++ {
		roles = append(roles, r.String())
	}
	return func(_ *cobra.Command, typed []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(typed) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return roles, cobra.ShellCompDirectiveNoFileComp
	}
}
