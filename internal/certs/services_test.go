package certs

import (
	"bytes"
	"crypto/elliptic"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ntptsd/ntptsd/internal/config"
)

// shown is what the services port shows to who asks for a name.
func shown(t *testing.T, f *Files, name string) []byte {
	t.Helper()
	c, err := f.ForServices(&tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}

// both is a configuration with the pairs a and b for the key exchange, and one for the services port.
func both(a, b, services config.Pair) *config.Config {
	return &config.Config{KeyExchange: &config.KeyExchange{Certificate: a.Certificate, Key: a.Key, Certificates: []config.Pair{b}},
		Monitoring: &config.Monitoring{Certificate: services.Certificate, Key: services.Key}}
}

func TestServicesPortHasItsOwnPair(t *testing.T) {
	dir := folder(t.TempDir())
	a, b, own := valid(t, "a.example"), valid(t, "b.example"), valid(t, "Admin.example", "*.internal")
	pa, pb, pown := dir.put(t, "a", a), dir.put(t, "b", b), dir.put(t, "own", own)
	for name, c := range map[string]struct {
		cfg          *config.Config
		nobody, forB issued
		names        []string
	}{
		"own":                       {both(pa, pb, pown), own, own, []string{"admin.example", "*.internal"}},
		"the key exchange's":        {both(pa, pb, pa), a, b, []string{"a.example", "b.example"}},
		"the key exchange's second": {both(pa, pb, pb), b, b, []string{"b.example"}},
		"no key exchange":           {&config.Config{Monitoring: &config.Monitoring{Certificate: pown.Certificate, Key: pown.Key}}, own, own, []string{"admin.example", "*.internal"}},
	} {
		files, err := OpenFiles(Pairs(c.cfg), slog.New(slog.DiscardHandler), ServicesPairs(c.cfg)...)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // after a reload, too
			if !bytes.Equal(shown(t, files, ""), c.nobody.certificate) || !bytes.Equal(shown(t, files, "b.example"), c.forB.certificate) {
				t.Errorf("%s: the wrong pair is shown", name)
			}
			if got := files.ServicesNames(); !slices.Equal(got, c.names) {
				t.Errorf("%s: names %v, want %v", name, got, c.names)
			}
			if c.cfg.KeyExchange != nil && !bytes.Equal(served(t, files, "admin.example"), a.certificate) {
				t.Errorf("%s: the key exchange serves the pair of the services port", name)
			}
			if list := files.View(); len(list) != len(slices.Compact(slices.Sorted(slices.Values(paths(c.cfg))))) {
				t.Errorf("%s: %d certificates are told: %+v", name, len(list), list)
			}
			commit, err := files.Prepare(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			commit()
		}
	}
}

func paths(cfg *config.Config) (all []string) {
	for _, p := range slices.Concat(Pairs(cfg), ServicesPairs(cfg)) {
		all = append(all, p.Certificate)
	}
	return all
}

// The pair of the services port is followed as the others are.
func TestServicesPairIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folder(t.TempDir())
		a, own, next := valid(t, "a.example"), valid(t, "own.example"), valid(t, "own.example")
		cfg := both(dir.put(t, "a", a), dir.put(t, "a", a), dir.put(t, "own", own))
		files, err := OpenFiles(Pairs(cfg), slog.New(slog.DiscardHandler), ServicesPairs(cfg)...)
		if err != nil {
			t.Fatal(err)
		}
		looks := running(t, files)
		looks(2)
		dir.put(t, "own", next)
		looks(3)
		if !bytes.Equal(shown(t, files, ""), next.certificate) || !bytes.Equal(served(t, files, ""), a.certificate) {
			t.Error("a renewed pair of the services port is not shown, or by the key exchange")
		}
		if value(t, files, `ntptsd_certs_valid{certificate="`+cfg.Monitoring.Certificate+`"}`) != 1 {
			t.Error("it has no metric")
		}
	})
}

func TestViewTellsWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := folder(t.TempDir())
		now := time.Now()
		old := issue(t, ecdsaKey(t, elliptic.P256()), now.Add(-48*time.Hour), now.Add(-24*time.Hour), "old.example")
		good := issue(t, ecdsaKey(t, elliptic.P256()), now.Add(-time.Hour), now.Add(36*time.Hour), "good.example", "*.good.example")
		p := dir.put(t, "good", good)
		files := open(t, new(logged), p, dir.put(t, "old", old))
		looks := running(t, files)
		list := files.View()
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		if g := list[0]; g.File != p.Certificate || !slices.Equal(g.Names, []string{"good.example", "*.good.example"}) || g.DaysLeft != 1.5 || g.Problem != "" ||
			len(g.Fingerprint) != 64 || g.NotAfter.Location() != time.UTC {
			t.Errorf("%+v", g)
		}
		if o := list[1]; o.DaysLeft != -1 || !strings.Contains(o.Problem, "expired") {
			t.Errorf("%+v", o)
		}
		if err := os.Remove(p.Key); err != nil {
			t.Fatal(err)
		}
		looks(3)
		if g := files.View()[0]; !strings.Contains(g.Problem, "cannot be used") || !strings.Contains(g.Problem, p.Key) {
			t.Errorf("its key is gone: %+v", g)
		}
	})
}
