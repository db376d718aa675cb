package neighbour

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoAsksOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, asked := newMemo[int](), 0
		get := func() int {
			n, err := m.get(t.Context(), time.Second, func(context.Context) (int, error) { asked++; return asked, nil })
			if err != nil {
				t.Error(err)
			}
			return n
		}
		for _, step := range []struct {
			after time.Duration
			want  int
		}{
			{0, 1}, {0, 1}, {900 * time.Millisecond, 1}, {100 * time.Millisecond, 2},
			{999 * time.Millisecond, 3}, // nearly a second: rather waited for
			{time.Hour, 4},
		} {
			time.Sleep(step.after)
			if got := get(); got != step.want {
				t.Errorf("after %v: answer %d, want %d", step.after, got, step.want)
			}
		}
	})
}

// Who needs long for an answer is left alone as long.
func TestMemoRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, asked := newMemo[int](), 0
		get := func() int {
			n, _ := m.get(t.Context(), time.Minute, func(context.Context) (int, error) {
				asked++
				time.Sleep(5 * time.Second)
				return asked, nil
			})
			return n
		}
		get()
		time.Sleep(4900 * time.Millisecond)
		if get() != 1 {
			t.Error("asked again without a rest")
		}
		time.Sleep(100 * time.Millisecond)
		if get() != 2 {
			t.Error("not asked again")
		}
	})
}

// Behind a daemon that hangs nobody waits longer than the first.
func TestMemoAnswersAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, asked := newMemo[int](), 0
		hung := errors.New("no answer")
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := m.get(t.Context(), 5*time.Second, func(ctx context.Context) (int, error) {
					asked++
					<-ctx.Done()
					return 0, hung
				})
				if !errors.Is(err, hung) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if asked != 1 || time.Since(began) != 5*time.Second {
			t.Errorf("asked %d times in %v", asked, time.Since(began))
		}
	})
}

func TestMemoLetsWaitersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo[int]()
		go m.get(t.Context(), time.Minute, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := m.get(ctx, time.Second, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}
