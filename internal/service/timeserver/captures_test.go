package timeserver

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
	"github.com/ntptsd/ntptsd/protocol/nts"
)

// exchange is a request that a real daemon was sent, and what it did.
type exchange struct {
	Name, Daemon, Want string
	AEAD               aead.ID `json:"aead_id"`
	C2S, S2C, Request  octets
}

type octets []byte

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

func captures(t testing.TB) []exchange {
	t.Helper()
	b, err := os.ReadFile("testdata/exchanges.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Exchanges []exchange }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Exchanges
}

func (e *exchange) dialect() cookie.Dialect {
	if strings.HasPrefix(e.Daemon, "chronyd") {
		return cookie.Chrony
	}
	return cookie.NTPsec
}

// TestCapturedRequests answers what real daemons answered: the same fields, with a cookie of ours in place of theirs.
func TestCapturedRequests(t *testing.T) {
	for _, e := range captures(t) {
		t.Run(e.Name, func(t *testing.T) {
			keys := newKeySet(t, e.dialect())
			r := server(t, config.TimeServer{}, keys)
			c := clientOf(t, keys, e.AEAD, e.C2S, e.S2C)
			request, cookies := c.rebuild(t, e.Request)
			want := AnsweredNTS
			if e.Want != "answer" { // a damaged tag; NTPsec is silent then, we are not
				request[len(request)-1] ^= 1
				want = AnsweredNAK
			}
			answer, v := ask(r, request, stranger)
			if v != want {
				t.Fatalf("%v, want %v", v, want)
			}
			if v == AnsweredNTS {
				c.wantCookies(t, r, request, answer, cookies)
			} else {
				wantNAK(t, answer, nil)
			}
		})
	}
}

// rebuild copies a request field by field.
func (c *client) rebuild(t *testing.T, captured []byte) (request []byte, cookies int) {
	t.Helper()
	n, err := nts.ParseRequest(captured)
	if err != nil {
		t.Fatal(err)
	}
	request = append(request, captured[:ntp.HeaderLen]...)
	for rest := captured[ntp.HeaderLen:]; len(rest) > 0; {
		var f ntp.Field
		if f, rest, err = ntp.NextField(rest); err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case nts.TypeCookie:
			f.Body = c.cookie
		case nts.TypePlaceholder:
			f.Body = make([]byte, len(c.cookie))
		case nts.TypeAuthenticator:
			return nts.AppendAuthenticator(request, c.c2s, n.Nonce, nil, 0), 1 + n.Placeholders
		}
		request = ntp.AppendField(request, f.Type, f.Body)
	}
	t.Fatal("no authenticator")
	return nil, 0
}

// TestCookiesOfStrangers answers the captures as they are: their keys are not ours.
func TestCookiesOfStrangers(t *testing.T) {
	for _, e := range captures(t) {
		r := server(t, config.TimeServer{}, newKeySet(t, e.dialect()))
		answer, v := ask(r, e.Request, stranger)
		if v != AnsweredNAK || len(answer) != 84 {
			t.Errorf("%s: %v, %d octets", e.Name, v, len(answer))
			continue
		}
		wantNAK(t, answer, nil)
	}
}
