package acme

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mholt/acmez/v3/acme"

	"github.com/ntptsd/ntptsd/internal/certs"
	"github.com/ntptsd/ntptsd/internal/config"
)

// speaking is an authority that does what others do as well, and answers the rest by what it is given.
func speaking(t *testing.T, answer func(w http.ResponseWriter, path, url string)) (i *Issuer, url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	url, ca := authority(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Replay-Nonce", "x")
		w.Header().Set("Content-Type", "application/json")
		url := "https://" + r.Host
		switch r.URL.Path {
		case "/directory":
			fmt.Fprintf(w, `{"newNonce":"%s/nonce","newAccount":"%[1]s/account","newOrder":"%[1]s/order"}`, url)
		case "/nonce":
		case "/account":
			w.Header().Set("Location", url+"/account/1")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"status":"valid"}`)
		default:
			asked.Add(1)
			answer(w, r.URL.Path, url)
		}
	})
	i, err := New(&config.ACMECerts{Directory: url + "/directory", CA: ca}, t.TempDir(), "1", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return i, url, asked
}

// An order may name any number of authorizations, and each of them any number of challenges; all are kept until the last one is
// there.
func TestAllAnswersOfAnAttemptAreBounded(t *testing.T) {
	order := func(w http.ResponseWriter, url string) {
		w.Header().Set("Location", url+"/order/1")
		fmt.Fprintf(w, `{"status":"pending","authorizations":["%s/authorization"%s]}`, url, strings.Repeat(`,"`+url+`/authorization"`, 9999))
	}
	for name, c := range map[string]struct {
		authorization string
		most          int64
	}{
		"many":          {`{"status":"valid"}`, maxAnswers / answerCost},
		"many and long": {`{"status":"valid","detail":"` + strings.Repeat("x", maxAnswer/2) + `"}`, maxAnswers / (maxAnswer / 2)},
		"wide":          {`{"status":"valid","challenges":[{}` + strings.Repeat(",{}", 9999) + `]}`, maxAnswers / (9999 * objectCost)},
	} {
		t.Run(name, func(t *testing.T) {
			i, _, asked := speaking(t, func(w http.ResponseWriter, path, url string) {
				if path == "/order" {
					order(w, url)
					return
				}
				io.WriteString(w, c.authorization)
			})
			_, err := i.Issue(t.Context(), certs.Order{Names: []string{"time.example.org"}})
			if err == nil || !strings.Contains(err.Error(), errAnswers.Error()) {
				t.Errorf("%.200v", err)
			}
			if n := asked.Load(); n < 2 || n > 1+c.most {
				t.Errorf("asked %d times, want at most %d", n, 1+c.most)
			}
		})
	}
}

// A chain that goes on elsewhere can go on for ever, deeper and deeper.
func TestAChainIsOneAnswer(t *testing.T) {
	i, url, asked := speaking(t, func(w http.ResponseWriter, path, url string) {
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Header().Add("Link", fmt.Sprintf(`<%s%sx>;rel="up"`, url, path))
		w.Header().Add("Link", fmt.Sprintf(`<%s%sx>;rel="alternate"`, url, path))
		if len(path) > 1000 {
			w.WriteHeader(http.StatusNotFound) // or the test would not end where this is broken
		}
	})
	key, err := newKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	chains, err := i.client().GetCertificateChain(t.Context(), acme.Account{PrivateKey: key, Location: url}, url+"/chain")
	if err != nil || len(chains) != 1 || asked.Load() != 1 {
		t.Errorf("%d chains, %d answers, %.200v", len(chains), asked.Load(), err)
	}
}
