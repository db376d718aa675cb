package certs

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ntptsd/ntptsd/internal/config"
)

// logged is what was logged. The task and the test both touch it.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func open(t *testing.T, log *logged, pairs ...config.Pair) *Files {
	t.Helper()
	files, err := OpenFiles(pairs, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// served is what a client gets that asks for a name and takes these signatures.
func served(t *testing.T, f *Files, name string, schemes ...tls.SignatureScheme) []byte {
	t.Helper()
	if schemes == nil {
		schemes = []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.Ed25519}
	}
	c, err := f.GetCertificate(&tls.ClientHelloInfo{
		ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: schemes,
	})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}

// running starts Run in a bubble of fake time and returns a function that lets the next looks happen.
func running(t *testing.T, f *Files) (looks func(n int)) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return func(n int) {
		time.Sleep(time.Duration(n) * pollInterval)
		synctest.Wait()
	}
}

func TestAChangedPairIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := folder(t.TempDir()), new(logged)
		first, second := valid(t, "ntp.example"), valid(t, "ntp.example")
		files := open(t, log, dir.put(t, "a", first))
		looks := running(t, files)
		looks(3)
		log.Reset()
		dir.put(t, "a", second)
		looks(2)
		if !bytes.Equal(served(t, files, ""), second.certificate) {
			t.Error("the new certificate is not served")
		}
		third := valid(t, "new.example") // renewed by rename, as certbot and durable writers do
		dir.put(t, "b", third)
		os.Rename(dir.pair("b").Certificate, dir.pair("a").Certificate)
		os.Rename(dir.pair("b").Key, dir.pair("a").Key)
		looks(2)
		if !bytes.Equal(served(t, files, "new.example"), third.certificate) {
			t.Error("the renamed certificate is not served")
		}
		if strings.Contains(log.String(), "level=ERROR") || strings.Count(log.String(), "certificate loaded") != 2 {
			t.Errorf("want two certificates loaded and no error, got\n%s", log)
		}
	})
}

func TestABrokenPairKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := folder(t.TempDir()), new(logged)
		first, second, good := valid(t, "ntp.example"), valid(t, "ntp.example"), valid(t, "good.example")
		name := dir.put(t, "a", first)
		files := open(t, log, name, dir.put(t, "good", good))
		looks := running(t, files)

		steps := []struct {
			what   string
			change func()
			errors int // logged by then
			want   issued
		}{
			{"half written", func() { write(t, name.Certificate, second.certificate[:100], 0o644) }, 1, first},
			{"another pair renewed", func() { good = valid(t, "good.example"); dir.put(t, "good", good) }, 1, first},
			{"certificate before its key", func() { write(t, name.Certificate, second.certificate, 0o644) }, 2, first},
			{"key removed", func() { os.Remove(name.Key) }, 3, first},
			{"settled", func() { write(t, name.Key, second.key, 0o600) }, 3, second},
		}
		for _, step := range steps {
			step.change()
			looks(10)
			if !bytes.Equal(served(t, files, ""), step.want.certificate) {
				t.Errorf("%s: the wrong certificate is served", step.what)
			}
			if !bytes.Equal(served(t, files, "good.example"), good.certificate) {
				t.Errorf("%s: the other pair is disturbed", step.what)
			}
			if n := strings.Count(log.String(), "level=ERROR"); n != step.errors {
				t.Errorf("%s: %d errors logged, want %d:\n%s", step.what, n, step.errors, log)
			}
			if got, want := value(t, files, "ntptsd_certs_last_reload_successful"), number(step.what == "settled"); got != want {
				t.Errorf("%s: last_reload_successful is %v", step.what, got)
			}
		}
		if !strings.Contains(log.String(), name.Certificate) || !strings.Contains(log.String(), "no pair") {
			t.Errorf("the log does not tell the file and why:\n%s", log)
		}
	})
}

func TestARenewalInTwoStepsIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := folder(t.TempDir()), new(logged)
		first, second := valid(t, "ntp.example"), valid(t, "ntp.example")
		name := dir.put(t, "a", first)
		files := open(t, log, name)
		looks := running(t, files)
		write(t, name.Certificate, second.certificate, 0o644)
		looks(1)
		write(t, name.Key, second.key, 0o600)
		looks(2)
		if !bytes.Equal(served(t, files, ""), second.certificate) || strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("the pair has not settled silently:\n%s", log)
		}
	})
}

// TestABrokenPairIsTriedAgain: what makes files readable need not show in them, as a parent folder's mode does not.
func TestABrokenPairIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folder(t.TempDir())
		first, second := valid(t, "ntp.example"), valid(t, "ntp.example")
		name := dir.put(t, "a", first)
		files := open(t, new(logged), name)
		looks := running(t, files)
		write(t, name.Certificate, second.certificate, 0o644)
		looks(3)
		before, err := os.Stat(name.Key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, name.Key, second.key, 0o600)
		if err := os.Chtimes(name.Key, before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
		if after, _ := os.Stat(name.Key); !unchanged(before, after) {
			t.Fatal("the key file shows its change")
		}
		looks(1)
		if !bytes.Equal(served(t, files, ""), second.certificate) {
			t.Error("the mended pair is not served")
		}
	})
}

func TestPrepareLoadsAllOrNothing(t *testing.T) {
	dir := folder(t.TempDir())
	a, b := valid(t, "a.example"), valid(t, "b.example")
	files := open(t, new(logged), dir.put(t, "a", a))
	pair, other := dir.put(t, "b", b), dir.pair("a")
	cfg := &config.Config{KeyExchange: &config.KeyExchange{
		Certificate: pair.Certificate, Key: pair.Key, Certificates: []config.Pair{other, dir.pair("missing")},
	}}
	if _, err := files.Prepare(cfg); err == nil {
		t.Error("a missing pair is no error")
	}
	cfg.KeyExchange.Certificates = []config.Pair{other}
	commit, err := files.Prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(served(t, files, ""), a.certificate) {
		t.Error("Prepare changed what is served")
	}
	commit()
	if !bytes.Equal(served(t, files, ""), b.certificate) || !bytes.Equal(served(t, files, "a.example"), a.certificate) {
		t.Error("after commit the new pairs are not served in their order")
	}
	if value(t, files, `ntptsd_certs_reloads_total{result="failed"}`) != 1 || value(t, files, `ntptsd_certs_reloads_total{result="success"}`) != 1 {
		t.Error("one failed and one successful reload are not counted")
	}
	if commit, err = files.Prepare(&config.Config{}); err != nil {
		t.Fatalf("without the section: %v", err)
	}
	commit()
}

func TestValidityIsAWarningOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, log := folder(t.TempDir()), new(logged)
		now := time.Now()
		c := issue(t, ecdsaKey(t, elliptic.P256()), now.Add(time.Minute), now.Add(time.Hour), "ntp.example")
		pair := dir.put(t, "a", c)
		files := open(t, log, pair)
		looks := running(t, files)
		for _, step := range []struct {
			after time.Duration
			log   string
			valid float64
		}{{0, "not yet valid", 0}, {2 * time.Minute, "is valid now", 1}, {time.Hour, "expired", 0}} {
			time.Sleep(step.after)
			looks(2)
			if !bytes.Equal(served(t, files, ""), c.certificate) {
				t.Errorf("%s: not served", step.log)
			}
			if n := strings.Count(log.String(), step.log); n != 1 {
				t.Errorf("%q is logged %d times:\n%s", step.log, n, log)
			}
			if got := value(t, files, `ntptsd_certs_valid{certificate="`+pair.Certificate+`"}`); got != step.valid {
				t.Errorf("%s: valid is %v", step.log, got)
			}
		}
	})
}

func TestMetricsTellTheExpiry(t *testing.T) {
	dir := folder(t.TempDir())
	c := valid(t, "ntp.example")
	pair := dir.put(t, "a", c)
	files := open(t, new(logged), pair, pair)
	block, _ := pem.Decode(c.certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, files, `ntptsd_certs_not_after_timestamp_seconds{certificate="`+pair.Certificate+`"}`); got != float64(leaf.NotAfter.Unix()) {
		t.Errorf("not after %v, want %v", got, leaf.NotAfter.Unix())
	}
	if problems, err := testutil.CollectAndLint(files); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// value reads one metric, written as in the text format.
func value(t *testing.T, c prometheus.Collector, name string) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			key := family.GetName()
			for _, l := range m.GetLabel() {
				key += "{" + l.GetName() + `="` + l.GetValue() + `"}`
			}
			if key == name {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
