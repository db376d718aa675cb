package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

func TestAnUnsynchronisedClockRenewsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &clockOf{ok: true}
		issuer := &advising{issuerOf: &issuerOf{t: t, life: day}, skew: 2 * time.Hour}
		f, _ := start(t, acmeConfig(t, "time.example.org"), issuer, clock)
		settle()
		before := only(t, f)
		clock.set(false)
		time.Sleep(time.Until(*before.RenewAt) + 9*time.Hour) // by this clock it has expired
		settle()
		got := only(t, f)
		if issuer.count() != 1 || got.State != api.CertificateWaiting || !strings.Contains(got.Problem, "clock is not synchronised") {
			t.Fatalf("%d made, %+v", issuer.count(), got)
		}
		served(t, f, "time.example.org") // all the same
		clock.set(true)
		time.Sleep(clockRetry)
		settle()
		if got := only(t, f); issuer.count() != 2 || got.State != api.CertificateValid {
			t.Errorf("%d made, %+v", issuer.count(), got)
		}
	})
}

func TestAuthorityVouchesForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &advising{issuerOf: &issuerOf{t: t, life: day}, skew: 30 * time.Minute}
		f, _ := start(t, acmeConfig(t, "time.example.org"), issuer, &clockOf{}) // nobody disciplines this one
		settle()
		before := only(t, f)
		if issuer.count() != 1 || !issuer.asked().Doubtful {
			t.Fatalf("%d made: a host without any certificate has nothing to lose", issuer.count())
		}
		time.Sleep(time.Until(*before.RenewAt))
		settle()
		if issuer.count() != 2 {
			t.Errorf("%d made, though the authority has our time", issuer.count())
		}
	})
}

func TestAuthoritySaysWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &advising{issuerOf: &issuerOf{t: t, life: 20 * day}}
		f, _ := start(t, acmeConfig(t, "time.example.org"), issuer, nil)
		issuer.set(func() { issuer.from, issuer.to = time.Now().Add(4*day), time.Now().Add(5*day) })
		settle()
		got := only(t, f)
		if got.RenewAt.Before(issuer.from) || got.RenewAt.After(issuer.to) {
			t.Fatalf("renewed at %v, want within %v and %v", got.RenewAt, issuer.from, issuer.to)
		}
		time.Sleep(2 * time.Hour) // asked again, the moment within the window stays
		settle()
		if again := only(t, f); !again.RenewAt.Equal(*got.RenewAt) {
			t.Errorf("renewed at %v, then at %v, in one window", got.RenewAt, again.RenewAt)
		}
		issuer.set(func() { issuer.from, issuer.to = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour) }) // revoked, say
		time.Sleep(time.Hour)
		settle()
		if issuer.count() < 2 {
			t.Error("not renewed although the authority says now")
		}
		issuer.set(func() { issuer.from, issuer.to = time.Now().Add(100*day), time.Now().Add(101*day) }) // past the end
		time.Sleep(time.Hour)
		settle()
		if got := only(t, f); got.RenewAt.After(got.NotAfter.Add(-day)) {
			t.Errorf("renewed at %v, the end is %v", got.RenewAt, got.NotAfter)
		}
	})
}

func TestAFullDiskCostsNoSecondCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := acmeConfig(t, "time.example.org")
		inTheWay := filepath.Join(cfg.StateDirectory, "certs")
		if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		issuer := &issuerOf{t: t, life: 90 * day}
		f, _ := start(t, cfg, issuer, nil)
		settle()
		if got := only(t, f); got.Fingerprint == "" || !strings.Contains(got.Problem, "cannot be written down") {
			t.Fatalf("%+v", got)
		}
		served(t, f, "time.example.org")
		os.Remove(inTheWay)
		time.Sleep(2 * firstRetry)
		synctest.Wait()
		if _, err := os.Stat(filepath.Join(inTheWay, "acme.pem")); err != nil || issuer.count() != 1 || only(t, f).Problem != "" {
			t.Errorf("%v, %d made, %+v", err, issuer.count(), only(t, f))
		}
	})
}

func TestOperatorRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &issuerOf{t: t, life: 90 * day}
		f, _ := start(t, acmeConfig(t, "time.example.org"), issuer, nil)
		settle()
		if err := f.Renew(t.Context(), "acme"); err == nil || !strings.Contains(err.Error(), "wait a minute") {
			t.Errorf("within a minute: %v", err)
		}
		time.Sleep(forcedEvery)
		if err := f.Renew(t.Context(), "TIME.example.org"); err != nil || issuer.count() != 2 {
			t.Errorf("%v, %d made", err, issuer.count())
		}
		time.Sleep(forcedEvery)
		issuer.set(func() { issuer.fail = errors.New("not today") })
		if err := f.Renew(t.Context(), "acme"); err == nil || err.Error() != "not today" {
			t.Errorf("%v", err)
		}
		if err := f.Renew(t.Context(), "acme"); err == nil || issuer.count() != 4 { // its back-off does not bind an operator
			t.Errorf("%v, %d made", err, issuer.count())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Renew(ctx, "acme"); err == nil || !strings.Contains(err.Error(), "being renewed still") {
			t.Errorf("%v", err)
		}
		if err := f.Renew(t.Context(), "/etc/server.pem"); err == nil {
			t.Error("renews what is not ours")
		}
	})
}

func TestReloadWithOtherNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &issuerOf{t: t, life: 90 * day}
		cfg := acmeConfig(t, "time.example.org")
		f, _ := start(t, cfg, issuer, nil)
		settle()
		reload := func(names ...string) {
			next := *cfg
			next.Certs.ACME = &config.ACMECerts{Names: names}
			commit, err := f.Prepare(&next)
			if err != nil {
				t.Fatal(err)
			}
			commit()
			served(t, f, "time.example.org") // never a gap
			settle()
		}
		reload("time.example.org")
		if issuer.count() != 1 {
			t.Errorf("%d made, though nothing changed", issuer.count())
		}
		reload("time.example.org", "ntp.example.org")
		if got := only(t, f); issuer.count() != 2 || len(got.Names) != 2 {
			t.Errorf("%d made, %+v", issuer.count(), got)
		}
		reload("ntp.example.org") // fewer names are no reason
		if issuer.count() != 2 {
			t.Errorf("%d made, though the certificate has all names", issuer.count())
		}
	})
}

func TestBrokenFileFromBeforeCountsAsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := acmeConfig(t, "time.example.org")
		os.Mkdir(filepath.Join(cfg.StateDirectory, "certs"), 0o700)
		os.WriteFile(filepath.Join(cfg.StateDirectory, "certs", "acme.pem"), []byte("-----BEGIN PRIVATE KEY-----\ncut"), 0o600)
		issuer := &issuerOf{t: t, life: 90 * day, fail: errors.New("not yet")}
		f, log := start(t, cfg, issuer, nil)
		settle()
		if got := only(t, f); got.State != api.CertificateFailing || got.DaysLeft != 0 || len(got.Names) != 1 || !strings.Contains(got.Problem, "not yet") {
			t.Errorf("%+v", got)
		}
		if !strings.Contains(log.String(), "acme.pem") {
			t.Error("the log does not name the file")
		}
		issuer.set(func() { issuer.fail = nil })
		time.Sleep(2 * firstRetry)
		settle()
		if got := only(t, f); got.State != api.CertificateValid {
			t.Errorf("%+v", got)
		}
	})
}

// An authority that says of each new certificate that it should have been renewed already is not asked for another one every few
// seconds: it would be for ever, each a key and an order.
func TestAdviceThatIsAlwaysOverIsNoLoop(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Hour, 20 * day} {
		synctest.Test(t, func(t *testing.T) {
			issuer := &advising{issuerOf: &issuerOf{t: t, life: life}, from: time.Now().Add(-2 * day), to: time.Now().Add(-day)}
			f, _ := start(t, acmeConfig(t, "time.example.org"), issuer, &clockOf{ok: true})
			time.Sleep(day)
			if n, most := issuer.count(), 1+int(day/min(life*2/3-backdate, adviceSoonest)); n < 2 || n > most || time.Now().After(only(t, f).NotAfter) {
				t.Errorf("%v: %d certificates in a day, want at most %d, and a valid one", life, n, most)
			}
		})
	}
}

// A certificate of which nobody says when it ends (RFC 5280 section 4.1.2.5) is longer than a duration can be.
func TestACertificateWithoutAnEndIsNotRenewedAtOnce(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, end := range []time.Time{begin.AddDate(200, 0, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		k := &keeper{current: &pair{certificate: &tls.Certificate{Leaf: &x509.Certificate{NotBefore: begin, NotAfter: end}}}}
		if at := k.renewAt(); at.Before(begin.AddDate(100, 0, 0)) || at.After(end) {
			t.Errorf("until %v it is renewed at %v", end, at)
		}
	}
}
