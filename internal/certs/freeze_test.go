package certs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// While a newer process takes over nothing is renewed, and what is being renewed is waited for.
func TestFrozenNothingIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuerOf{t: t, life: 24 * time.Hour}
		f, _ := start(t, acmeConfig(t, "time.example.org"), i, nil)
		time.Sleep(time.Minute)
		before := i.count()
		if before == 0 {
			t.Fatal("no certificate was made")
		}
		if err := f.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Hour)
		if n := i.count(); n != before {
			t.Errorf("%d were made meanwhile", n-before)
		}
		f.Thaw()
		time.Sleep(time.Hour)
		if i.count() == before {
			t.Error("none is made afterwards")
		}
		f.keepers[0].mu.Lock()
		f.keepers[0].renews = true
		f.keepers[0].mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if f.Freeze(ctx) == nil || f.house.storage.isFrozen() {
			t.Error("a renewal under way is not waited for")
		}
	})
}

// An attempt goes on after a reload has put another keeper in the place of its own, and writes down what the authority knows us by:
// it is waited for as well, or two processes would write.
func TestFrozenMeansReplacedKeepersToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		i := &stalling{&issuerOf{t: t, life: 24 * time.Hour}, answer}
		cfg := acmeConfig(t, "time.example.org")
		f, _ := start(t, cfg, i, nil)
		time.Sleep(time.Minute)
		next := *cfg
		next.Certs.ACME = &config.ACMECerts{Names: []string{"other.example.org"}}
		for range 2 { // the second must not forget whom the first replaced
			commit, err := f.Prepare(&next)
			if err != nil {
				t.Fatal(err)
			}
			commit()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if f.Freeze(ctx) == nil || f.house.storage.isFrozen() {
			t.Error("it is frozen, and who was replaced is still at it")
		}
		close(answer)
		settle()
		if err := f.Freeze(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// stalling answers no first order until it may.
type stalling struct {
	*issuerOf
	answer <-chan struct{}
}

func (s *stalling) Issue(ctx context.Context, order Order) ([]byte, error) {
	if order.Names[0] == "time.example.org" {
		<-s.answer
	}
	return s.issuerOf.Issue(ctx, order)
}
