package words

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
)

// counted is a question that takes some time, and counts how often it is asked.
type counted struct {
	mu    sync.Mutex
	asked int
	takes time.Duration
	err   error
}

func (c *counted) ask(ctx context.Context) (string, error) {
	c.mu.Lock()
	c.asked++
	text := fmt.Sprint("answer ", c.asked)
	c.mu.Unlock()
	select {
	case <-time.After(c.takes):
		return text, c.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Many who ask the same within a second have the same answer, and the daemon one question.
func TestOneQuestionASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := NewMemo(), &counted{takes: 100 * time.Millisecond}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 9 * time.Millisecond)
				if text, err := m.Get(t.Context(), "sysinfo", q.ask); text != "answer 1" || err != nil {
					t.Errorf("%q, %v", text, err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
		if text, _ := m.Get(t.Context(), "sysinfo", q.ask); text != "answer 2" {
			t.Errorf("a second later: %q", text)
		}
		if text, _ := m.Get(t.Context(), "peers", q.ask); text != "answer 3" {
			t.Errorf("another word: %q", text)
		}
	})
}

// A refusal is an answer too; a daemon that needs long has a long rest.
func TestRefusalsAndSlowAnswersAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := NewMemo(), &counted{takes: 3 * time.Second, err: errors.New("refused")}
		for range 30 { // until 6 s
			if _, err := m.Get(t.Context(), "kerninfo", q.ask); err != q.err {
				t.Error(err)
			}
			time.Sleep(99 * time.Millisecond)
		}
		if q.asked != 1 {
			t.Errorf("asked %d times", q.asked)
		}
		time.Sleep(time.Second)
		if m.Get(t.Context(), "kerninfo", q.ask); q.asked != 2 {
			t.Errorf("asked %d times after its rest", q.asked)
		}
	})
}

// A daemon that does not answer is asked nothing else within the second, and found again when it is back.
func TestSilenceIsOfAllWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, away, back := NewMemo(), &counted{err: api.Failf(api.Unavailable, "%w: gone", ErrSilent)}, &counted{}
		m.Get(t.Context(), "sysinfo", away.ask)
		for i := range 50 {
			if _, err := m.Get(t.Context(), fmt.Sprint("rv ", i), away.ask); !errors.Is(err, ErrSilent) {
				t.Error(err)
			}
		}
		if away.asked != 1 {
			t.Errorf("asked %d times", away.asked)
		}
		time.Sleep(askEvery)
		for _, key := range []string{"sysinfo", "rv 7"} {
			if _, err := m.Get(t.Context(), key, back.ask); err != nil {
				t.Errorf("%s after it came back: %v", key, err)
			}
		}
	})
}

// Who gives up does so at once, and the others have their answer all the same.
func TestWhoGivesUpEndsNobodysQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := NewMemo(), &counted{takes: 2 * time.Second}
		first, giveUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { m.Get(first, "peers", q.ask) })
		synctest.Wait()
		all.Go(func() {
			if text, err := m.Get(t.Context(), "peers", q.ask); text != "answer 1" {
				t.Errorf("%q, %v", text, err)
			}
		})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := m.Get(impatient, "peers", q.ask); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		giveUp()
		all.Wait()
	})
}

// However many different things are asked, what is remembered and what is under way are bounded.
func TestMemoIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, q := NewMemo(), &counted{}
		for i := range 10 * maxAnswers {
			if _, err := m.Get(t.Context(), fmt.Sprint("rv ", i), q.ask); err != nil {
				t.Fatal(err)
			}
		}
		if len(m.answers) != maxAnswers || q.asked != 10*maxAnswers {
			t.Errorf("%d remembered of %d", len(m.answers), q.asked)
		}
		hangs := &counted{takes: time.Hour}
		var all sync.WaitGroup
		for i := range maxAnswers {
			all.Go(func() { m.Get(t.Context(), fmt.Sprint("rv ", i), hangs.ask) })
		}
		synctest.Wait()
		if hangs.asked != maxTalks {
			t.Errorf("%d talks at once", hangs.asked)
		}
		if _, err := m.Get(t.Context(), "sysinfo", q.ask); api.KindOf(err) != api.TooMany || !strings.Contains(err.Error(), "try again") {
			t.Errorf("one more: %v", err)
		}
		all.Wait()
		time.Sleep(talkTimeout)
		if _, err := m.Get(t.Context(), "sysinfo", q.ask); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
