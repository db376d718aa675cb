// Package chronyc answers those words of chronyc's that only read, as `chronyc -n` would: it asks the chronyd next door in
// protocol/cmdmon, and prints the same text, byte for byte. What that text is, no document says but chronyc's own output; it
// is that of chrony 4.3 to 4.8, with the lines that the reply has fields for. No name is ever looked up. What a chronyd says
// is bounded, and cannot move a cursor. Reaching chronyd is left to the door, who may ask to those who call.
//
// For another neighbour, Tracking and Sources print the neutral model in the same form.
package chronyc

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/words"
	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

// Ask sends one command to chronyd. The error has the cmdmon.Status in it that chronyd refuses with.
type Ask = func(cmdmon.Command, cmdmon.Body) (cmdmon.Reply, error)

// Door leads to the chronyd next door. It fails with an api.Error if that is another daemon.
type Door interface {
	Converse(ctx context.Context, talk func(Ask) error) error
}

// Words answers them. Safe for concurrent use: the same word is asked of chronyd at most once a second.
type Words struct {
	door Door
	memo *words.Memo
}

// New makes one; nothing is asked before somebody does.
func New(door Door) *Words { return &Words{door: door, memo: words.NewMemo()} }

// Word is what help says of one.
type Word struct {
	Name    string
	Alias   string // another name for it; chronyc has none for these
	Args    string
	Summary string // a line, lower case, no full stop
}

// List is all of them, in the order of help.
func List() []Word {
	all := make([]Word, 0, len(vocabulary))
	for _, w := range vocabulary {
		all = append(all, w.Word)
	}
	return all
}

// Say answers a word with the lines that chronyc would print, or with an api.Error that begins with chronyc's own words
// for it.
func (w *Words) Say(ctx context.Context, name string, args []string) (text string, err error) {
	i := slices.IndexFunc(vocabulary, func(w word) bool { return w.Name == name })
	if i < 0 {
		return "", api.Failf(api.NotFound, "no such word of chronyc: %+.40q", name)
	}
	say, err := vocabulary[i].parse(args)
	if err != nil {
		return "", api.Failf(api.BadArgument, "%s: %w: it takes %s", name, err, cmp.Or(vocabulary[i].Args, "no arguments"))
	}
	return w.memo.Get(ctx, words.Now(w.door)+strings.Join(append([]string{name}, args...), " "), func(ctx context.Context) (text string, err error) {
		err = w.door.Converse(ctx, func(ask Ask) (err error) {
			text, err = say(ask)
			return err
		})
		if err != nil {
			return "", explain(err)
		}
		return text, nil
	})
}

// read asks, and parses the reply.
func read[T any](ask Ask, c cmdmon.Command, body cmdmon.Body, parse func(cmdmon.Reply) (T, error)) (T, error) {
	reply, err := ask(c, body)
	if err != nil {
		var none T
		return none, err
	}
	v, err := parse(reply)
	if err != nil {
		return v, badReply{err}
	}
	return v, nil
}
