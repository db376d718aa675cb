package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntptsd/ntptsd/internal/api"
)

// The groups of commands in the help.
const (
	groupShows   = "shows"
	groupChanges = "changes"
	groupNative  = "native"
	groupTools   = "tools"
)

// group sorts the commands for who reads the help: what only shows is apart from what has commands below it that change something.
func group(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupShows, Title: "What ntptsd shows:"},
		&cobra.Group{ID: groupChanges, Title: "What can be changed (see COMMAND --help):"},
		&cobra.Group{ID: groupNative, Title: "The time daemon next door, in the words of ntpq and chronyc:"},
		&cobra.Group{ID: groupTools, Title: "Tools:"},
	)
	root.SetHelpCommandGroupID(groupTools)
	root.SetCompletionCommandGroupID(groupTools)
	declared, native := api.Commands(), api.NativeWords()
	of := func(word string, d api.Declared) bool {
		first, _, _ := strings.Cut(d.Declaration().Name, " ")
		return first == word
	}
	for _, c := range root.Commands() {
		named := func(d api.Declared) bool { return of(c.Name(), d) }
		changes := func(d api.Declared) bool { return of(c.Name(), d) && d.Declaration().Changes }
		switch {
		case slices.ContainsFunc(native, named):
			c.GroupID = groupNative
		case slices.ContainsFunc(declared, changes):
			c.GroupID = groupChanges
		case slices.ContainsFunc(declared, named):
			c.GroupID = groupShows
		default:
			c.GroupID = groupTools
		}
	}
}
