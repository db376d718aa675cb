package certs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
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
