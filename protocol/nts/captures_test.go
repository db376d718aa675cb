package nts

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// exchange is a request and what a real daemon answered.
type exchange struct {
	Name, Daemon, Want string
	AEAD               aead.ID `json:"aead_id"`
	C2S, S2C           octets
	Cookie             octets
	Request, Response  octets
	Cookies            []octets // null: not recorded
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
	if len(file.Exchanges) != 62 {
		t.Fatalf("%d exchanges, want 62", len(file.Exchanges))
	}
	return file.Exchanges
}

func newKey(t testing.TB, id aead.ID, key []byte) *aead.AEAD {
	t.Helper()
	a, err := aead.New(id, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCapturesAsServer(t *testing.T) {
	for _, e := range captures(t) {
		t.Run(e.Name, func(t *testing.T) {
			r, err := ParseRequest(e.Request)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(r.Cookie, e.Cookie) {
				t.Errorf("cookie %x, want %x", r.Cookie, e.Cookie)
			}
			c2s := newKey(t, e.AEAD, e.C2S)
			cookies, err := r.Verify(c2s, make([]byte, ntp.MaxPacket))
			if e.Want != "answer" {
				if !errors.Is(err, ErrOpen) {
					t.Errorf("damaged tag: %v, want %v", err, ErrOpen)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := len(e.Cookies)
			if e.Cookies == nil {
				want = 1
			}
			if cookies != want {
				t.Errorf("%d cookies asked for, want %d", cookies, want)
			}
			header := bytes.Clone(e.Request[:ntp.HeaderLen])
			again := AppendRequest(header, r.UniqueID, e.Cookie, r.Placeholders, c2s, r.Nonce)
			if !bytes.Equal(again, e.Request) {
				t.Errorf("written again as\n%x, want\n%x", again, e.Request)
			}
		})
	}
}

func TestCapturesAsClient(t *testing.T) {
	for _, e := range captures(t) {
		if e.Want != "answer" {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			s2c := newKey(t, e.AEAD, e.S2C)
			got, err := ParseResponse(e.Response, s2c)
			if err != nil {
				t.Fatal(err)
			}
			if request, _ := ParseRequest(e.Request); !bytes.Equal(got.UniqueID, request.UniqueID) {
				t.Errorf("unique id %x, want %x", got.UniqueID, request.UniqueID)
			}
			if got.NAK {
				t.Error("taken for a NAK")
			}
			if e.Cookies != nil && len(got.Cookies) != len(e.Cookies) {
				t.Fatalf("%d cookies, want %d", len(got.Cookies), len(e.Cookies))
			}
			for i, c := range e.Cookies {
				if !bytes.Equal(got.Cookies[i], c) {
					t.Errorf("cookie %d is %x, want %x", i, got.Cookies[i], c)
				}
			}
			damaged := bytes.Clone(e.Response)
			damaged[len(damaged)-1] ^= 1
			if _, err := ParseResponse(damaged, s2c); !errors.Is(err, ErrOpen) {
				t.Errorf("last octet damaged: %v, want %v", err, ErrOpen)
			}
			rebuild(t, e, got, s2c)
		})
	}
}

// rebuild writes the daemon's answer from its parts, its nonce among them: the same octets must come out.
func rebuild(t *testing.T, e exchange, got Response, s2c *aead.AEAD) {
	s, err := scan(e.Response, ntp.ModeServer)
	if err != nil {
		t.Fatal(err)
	}
	var plaintext []byte
	for _, c := range got.Cookies {
		plaintext = ntp.AppendField(plaintext, TypeCookie, c)
	}
	h, err := ntp.ParseHeader(e.Response)
	if err != nil {
		t.Fatal(err)
	}
	packet := AppendUniqueID(h.AppendTo(nil), got.UniqueID)
	packet = AppendAuthenticator(packet, s2c, s.nonce, plaintext, len(e.Request))
	if !bytes.Equal(packet, e.Response) {
		t.Errorf("written again as\n%x, want\n%x", packet, e.Response)
	}
	if len(packet) != len(e.Request) {
		t.Errorf("%d octets answer %d", len(packet), len(e.Request))
	}
}

func TestCapturedNAKs(t *testing.T) {
	naks := 0
	for _, e := range captures(t) {
		if e.Want != "nak" {
			continue
		}
		naks++
		got, err := ParseResponse(e.Response, newKey(t, e.AEAD, e.S2C))
		if err != nil || !got.NAK || len(got.Cookies) != 0 {
			t.Errorf("%s: %+v, %v, want a NAK", e.Name, got, err)
		}
		r, err := ParseRequest(e.Request)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := ntp.ParseHeader(e.Response)
		if err != nil {
			t.Fatal(err)
		}
		answer.Leap, answer.Stratum, answer.ReferenceID = ntp.LeapNone, 3, ntp.ReferenceID{127, 127, 1, 1}
		if nak := AppendNAK(nil, answer, r.UniqueID); !bytes.Equal(nak, e.Response) || len(nak) != 84 {
			t.Errorf("%s: written as\n%x, want\n%x", e.Name, nak, e.Response)
		}
	}
	if naks != 6 {
		t.Errorf("%d NAKs among the captures, want 6", naks)
	}
}
