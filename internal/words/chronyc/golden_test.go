package chronyc

import (
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/api"
)

// The same datagrams make the same text as in the real chronyc, byte for byte; where that prints an error, ours begins
// with its words, behind the number.
func TestSessionsOfChronyc(t *testing.T) {
	said, refused := 0, 0
	for _, s := range sessions(t) {
		t.Run(s.String(), func(t *testing.T) {
			word, args := s.args()
			text, err := New(s.replay(t)).Say(t.Context(), word, args)
			if err == nil {
				said++
				if text != s.Stdout {
					t.Errorf("prints\n%schronyc printed\n%s", text, s.Stdout)
				}
				return
			}
			refused++
			_, words, _ := strings.Cut(strings.TrimSpace(s.Stdout), " ")
			if text != "" || !strings.HasPrefix(err.Error(), words+": ") || api.KindOf(err) != api.Conflict {
				t.Errorf("%q, %v, of the kind %s; chronyc printed\n%s", text, err, api.KindOf(err), s.Stdout)
			}
		})
	}
	if said != 26 || refused != 4 {
		t.Errorf("%d sessions with a text and %d with an error, want 26 and 4: is the file still whole?", said, refused)
	}
}
