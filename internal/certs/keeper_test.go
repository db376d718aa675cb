package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/internal/config"
)

// issuerOf is an authority in memory, that can be told to misbehave.
type issuerOf struct {
	t    *testing.T
	mu   sync.Mutex
	life time.Duration
	fail error
	bad  func([]byte) []byte // what becomes of a good bundle
	last Order
	made int
}

func (i *issuerOf) Issue(_ context.Context, order Order) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last = order
	i.made++
	if i.fail != nil {
		return nil, i.fail
	}
	now := time.Now()
	ca, _, err := NewAuthority("test", now)
	if err != nil {
		return nil, err
	}
	issued, err := ca.IssueFor(ForServer, order.Names, now.Add(-backdate), now.Add(i.life-backdate))
	bundle := append(issued.Key, issued.Certificate...)
	if i.bad != nil {
		bundle = i.bad(bundle)
	}
	return bundle, err
}

func (i *issuerOf) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// asked is the last order.
func (i *issuerOf) asked() Order {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}

func (i *issuerOf) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.made
}

// advising also knows when to renew, and what time it is.
type advising struct {
	*issuerOf
	from, to time.Time
	skew     time.Duration
}

func (a *advising) Advise(context.Context, *x509.Certificate) (from, to time.Time, holds time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.from, a.to, time.Hour, nil
}

func (a *advising) Time(context.Context) (time.Time, error) { return time.Now().Add(a.skew), nil }

type clockOf struct {
	mu sync.Mutex
	ok bool
}

func (c *clockOf) Synchronised() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ok
}

func (c *clockOf) set(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ok = ok
}

func acmeConfig(t *testing.T, names ...string) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.StateDirectory = t.TempDir()
	cfg.KeyExchange = &config.KeyExchange{Certificate: config.ACME}
	cfg.Certs.ACME = &config.ACMECerts{Names: names}
	return cfg
}

// start opens and runs what the configuration wants.
func start(t *testing.T, cfg *config.Config, issuer Issuer, clock Clock) (f *Files, log *logged) {
	t.Helper()
	log = &logged{}
	f, err := Open(cfg, Resources{Clock: clock, ACME: func(*config.ACMECerts) (Issuer, error) { return issuer, nil }}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f, log
}

// settle lets the daemon look a few times.
func settle() { time.Sleep(3 * pollInterval); synctest.Wait() }

func only(t *testing.T, f *Files) api.Certificate {
	t.Helper()
	all := f.View()
	if len(all) != 1 {
		t.Fatalf("%d certificates", len(all))
	}
	return all[0]
}

func TestManagedCertificateIsMadeKeptAndRenewed(t *testing.T) {
	for _, days := range []int{6, 1} {
		synctest.Test(t, func(t *testing.T) {
			issuer := &issuerOf{t: t, life: time.Duration(days) * day}
			cfg := acmeConfig(t, "time.example.org", "192.0.2.1")
			f, _ := start(t, cfg, issuer, nil)
			settle()
			first := only(t, f)
			if first.State != api.CertificateValid || first.Problem != "" || first.Source != api.CertificateACME || issuer.count() != 1 {
				t.Fatalf("%d days: %d made, %+v", days, issuer.count(), first)
			}
			if got := served(t, f, "time.example.org"); !bytes.Equal(got, f.leaf()) {
				t.Error("another certificate is served than shown")
			}
			renew := time.Duration(days) * day * 2 / 3
			if want := first.NotBefore.Add(renew); !first.RenewAt.Equal(want) {
				t.Errorf("renewed at %v, want %v", first.RenewAt, want)
			}
			time.Sleep(time.Until(*first.RenewAt) - time.Minute)
			if issuer.count() != 1 {
				t.Errorf("%d days: renewed before two thirds", days)
			}
			time.Sleep(time.Minute)
			settle()
			second := only(t, f)
			metrics := "# HELP ntptsd_certs_renewals_total Attempts to renew a certificate that renews itself, by result.\n# TYPE ntptsd_certs_renewals_total counter\n" +
				"ntptsd_certs_renewals_total{certificate=\"acme\",result=\"failed\"} 0\nntptsd_certs_renewals_total{certificate=\"acme\",result=\"success\"} 2\n"
			if err := testutil.CollectAndCompare(f, strings.NewReader(metrics), "ntptsd_certs_renewals_total"); err != nil {
				t.Error(err)
			}
			if issuer.count() != 2 || second.Fingerprint == first.Fingerprint || !issuer.asked().Previous.NotAfter.Equal(first.NotAfter) {
				t.Errorf("%d days: %d made, %+v", days, issuer.count(), second)
			}
			again, _ := start(t, cfg, issuer, nil) // a restart
			settle()
			if got := only(t, again); issuer.count() != 2 || got.Fingerprint != second.Fingerprint {
				t.Errorf("%d days: after a restart %d made, %+v", days, issuer.count(), got)
			}
		})
	}
}

// leaf is the certificate that is shown first.
func (f *Files) leaf() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.current.Load().pairs[0].certificate.Certificate[0]})
}

func TestFailureKeepsTheOldOneAndWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &issuerOf{t: t, life: 12 * day}
		f, log := start(t, acmeConfig(t, "time.example.org"), issuer, nil)
		settle()
		before := only(t, f)
		issuer.set(func() { issuer.fail = errors.New("no\x1b[2J more\nfor you" + strings.Repeat("!", 1000)) })
		time.Sleep(time.Until(*before.RenewAt))
		settle()
		one := only(t, f)
		if one.State != api.CertificateFailing || one.Problem != "" || one.Fingerprint != before.Fingerprint || one.NextAttempt == nil {
			t.Errorf("after the first failure: %+v", one)
		}
		if len(one.LastError) > maxErrorText+3 || strings.ContainsAny(one.LastError, "\x1b\n") || !strings.HasPrefix(one.LastError, "no?[2J more?for you") {
			t.Errorf("the authority's words are shown as %q", one.LastError)
		}
		time.Sleep(3 * day)
		synctest.Wait()
		if got := only(t, f); got.Fingerprint != before.Fingerprint || !strings.Contains(got.Problem, "cannot be renewed") {
			t.Errorf("after three days: %+v", got)
		}
		// Two minutes, doubled up to four hours: some 7 and then 6 a day, a quarter more or less.
		if n := issuer.count() - 1; n < 17 || n > 35 {
			t.Errorf("%d attempts in three days", n)
		}
		if n := strings.Count(log.String(), "no new certificate"); n != 1 {
			t.Errorf("the log tells %d times of one trouble", n)
		}
		issuer.set(func() { issuer.fail = nil })
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if got := only(t, f); got.State != api.CertificateValid || got.LastError != "" || got.Fingerprint == before.Fingerprint {
			t.Errorf("after the trouble: %+v", got)
		}
	})
}

func TestBackoffIsBoundedAndSpread(t *testing.T) {
	for n := 1; n < 70; n++ {
		want := min(float64(firstRetry)*math.Pow(2, float64(n-1)), float64(maxRetry))
		for range 50 {
			if got := float64(backoff(n)); got < want*0.74 || got > want*1.26 {
				t.Fatalf("after %d failures %v, want about %v", n, time.Duration(got), time.Duration(want))
			}
		}
	}
}

func TestNewCertificateMustProveItself(t *testing.T) {
	for name, bad := range map[string]func([]byte) []byte{
		"no PEM":     func([]byte) []byte { return []byte("<html>") },
		"cut":        func(b []byte) []byte { return b[:len(b)-60] },
		"other key":  func(b []byte) []byte { return append(otherKey(t), b[bytes.Index(b, []byte("-----BEGIN CERT")):]...) },
		"other name": func([]byte) []byte { return bundleFor(t, time.Hour*48, "other.example.org") },
		"expired":    func([]byte) []byte { return bundleFor(t, -time.Minute, "time.example.org") },
	} {
		synctest.Test(t, func(t *testing.T) {
			issuer := &issuerOf{t: t, life: day}
			cfg := acmeConfig(t, "time.example.org")
			f, _ := start(t, cfg, issuer, nil)
			settle()
			before := only(t, f)
			file, _ := os.ReadFile(filepath.Join(cfg.StateDirectory, "certs", "acme.pem"))
			issuer.set(func() { issuer.bad = bad })
			time.Sleep(time.Until(*before.RenewAt))
			settle()
			now, _ := os.ReadFile(filepath.Join(cfg.StateDirectory, "certs", "acme.pem"))
			if got := only(t, f); got.Fingerprint != before.Fingerprint || got.State != api.CertificateFailing || !bytes.Equal(file, now) || len(file) == 0 {
				t.Errorf("%s: %+v; file of %d octets, changed %v", name, got, len(file), !bytes.Equal(file, now))
			}
		})
	}
}

func bundleFor(t *testing.T, left time.Duration, names ...string) []byte {
	now := time.Now()
	ca, _, err := NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.IssueFor(ForServer, names, now.Add(-2*time.Hour), now.Add(left))
	if err != nil {
		t.Fatal(err)
	}
	return append(issued.Key, issued.Certificate...)
}

func otherKey(t *testing.T) []byte {
	b := bundleFor(t, time.Hour, "x.example.org")
	return b[:bytes.Index(b, []byte("-----BEGIN CERT"))]
}
