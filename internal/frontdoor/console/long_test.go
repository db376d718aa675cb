package console

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// Who takes long answers slowly lets us hold few of them, for a short time, and none of those that admins ask for.
func TestLongAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{long: strings.Repeat("a line of a long answer\n", 2*longAnswer/24)}
		ask := func(who api.Caller, command string) string { // the first line of the answer; the rest is taken so slowly that each write is in time
			t.Helper()
			peer, _ := w.open(t, who)
			in := bufio.NewReaderSize(peer, 16)
			if _, err := in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(peer, command+"\n"); err != nil {
				t.Fatal(err)
			}
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for piece := make([]byte, 2<<10); ; {
					if _, err := io.ReadFull(in, piece); err != nil {
						return
					}
					select {
					case <-time.After(time.Second):
					case <-t.Context().Done():
						return
					}
				}
			}()
			synctest.Wait()
			return line
		}
		for i := range maxLong - longForAdmins {
			if got := ask(alice, "activity"); got != "200-activity\r\n" {
				t.Fatalf("%d: %q", i, got)
			}
		}
		for _, command := range []string{"activity", "json activity"} {
			if got := ask(alice, command); !strings.Contains(got, "12 long answers are being read already") {
				t.Errorf("one too many, %s: %.80q", command, got)
			}
		}
		if got := ask(alice, "peers"); got != "200-peers\r\n" {
			t.Errorf("a short one: %q", got)
		}
		if got := ask(api.Caller{Role: api.Admin, Name: "root"}, "activity"); got != "200-activity\r\n" {
			t.Errorf("the admin's: %q", got)
		}
		time.Sleep(longTimeout + time.Second)
		if got := ask(alice, "activity"); got != "200-activity\r\n" {
			t.Errorf("when slow readers are cut: %q", got)
		}
	})
}
