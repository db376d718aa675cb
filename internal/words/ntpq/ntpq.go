// Package ntpq answers those words of ntpq's that only read, as `ntpq -n` would: it asks the ntpd next door in protocol/mode6,
// and prints the same text, byte for byte: classic ntpd's as the ntpq of 4.2.8p15 does, NTPsec's as that of 1.2.2 does, on a
// terminal of 80 columns and in UTC. What that text is, no document says but their own output. No name is ever looked up. What an
// ntpd says is bounded, and cannot move a cursor: its control characters are left out. Reaching ntpd is left to the door, who
// may ask to those who call.
//
// Where we differ, we do so on purpose: mrulist shows the latest maxRows at most, and has no lines about a terminal and about ntpq's
// own memory; what ntpq writes to its standard error is an error here, or left out; clockvar asks NTPsec without an association, too;
// reslist shows a mask with gaps in full; the only tabs are those of NTPsec's filtdelay and its like.
//
// For another neighbour, and for none, Billboard prints the neutral model in the same form.
package ntpq

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/words"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// Ask sends one request to ntpd, and gives the status word and the data of the answer, which are then the caller's. The error has
// the mode6.ErrorCode in it that ntpd refuses with.
type Ask = func(mode6.Request) (status uint16, data []byte, err error)

// Door leads to the ntpd next door. It fails with an api.Error if that is another daemon.
type Door interface {
	ConverseMode6(ctx context.Context, talk func(Ask) error) error
}

// Words answers them. Safe for concurrent use: the same word is asked of ntpd at most once a second.
type Words struct {
	door Door
	memo *words.Memo
	now  func() time.Time
}

// New makes one; nothing is asked before somebody does.
func New(door Door) *Words { return &Words{door: door, memo: words.NewMemo(), now: time.Now} }

// Word is what help says of one.
type Word struct {
	Name    string
	Alias   string // another name for it, or empty
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

// Say answers a word, or its alias, with the lines that ntpq would print, or with an api.Error that begins with what ntpq says of
// such a refusal.
func (w *Words) Say(ctx context.Context, name string, args []string) (text string, err error) {
	i := slices.IndexFunc(vocabulary, func(w word) bool { return w.Name == name || w.Alias != "" && w.Alias == name })
	if i < 0 {
		return "", api.Failf(api.NotFound, "no such word of ntpq: %+.40q", name)
	}
	q, err := vocabulary[i].parse(args)
	if err != nil {
		return "", api.Failf(api.BadArgument, "%s: %w: it takes %s", name, err, cmp.Or(vocabulary[i].Args, "no arguments"))
	}
	text, err = w.memo.Get(ctx, words.Now(w.door)+vocabulary[i].Name+" "+q.key, func(ctx context.Context) (text string, err error) {
		err = w.door.ConverseMode6(ctx, func(ask Ask) (err error) {
			text, err = w.talk(ctx, ask, q.say)
			return err
		})
		if err != nil {
			return "", explain(err)
		}
		return text, nil
	})
	if err == nil && q.cut != nil {
		text = q.cut(text)
	}
	return text, err
}
