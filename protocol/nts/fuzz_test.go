package nts

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

// lies tells whether part is a piece of whole, not a copy.
func lies(part, whole []byte) bool {
	for i := range whole {
		if len(part) > 0 && &whole[i] == &part[0] {
			return i+len(part) <= len(whole)
		}
	}
	return len(part) == 0
}

func FuzzParseRequest(f *testing.F) {
	for _, e := range captures(f) {
		f.Add([]byte(e.Request))
	}
	for _, tt := range requestTests(f) {
		f.Add(tt.packet)
	}
	key := testKey(f, aead.AESSIVCMAC256)
	f.Fuzz(func(t *testing.T, packet []byte) {
		before := bytes.Clone(packet)
		r, err := ParseRequest(packet)
		if err != nil {
			return
		}
		for _, part := range [][]byte{r.UniqueID, r.Cookie, r.Nonce, r.Ciphertext, r.auth.signed} {
			if !lies(part, packet) {
				t.Fatalf("%x does not lie in the packet", part)
			}
		}
		if n := len(r.UniqueID); n < MinUniqueIDLen || n > MaxUniqueIDLen {
			t.Fatalf("unique id of %d octets", n)
		}
		if r.Cookie != nil {
			checkRequest(t, packet, &r, key)
		}
		if !bytes.Equal(packet, before) {
			t.Fatal("the packet was changed")
		}
	})
}

// checkRequest holds a request with a cookie to its bytes, and to the promise that its answer fits.
func checkRequest(t *testing.T, packet []byte, r *Request, key *aead.AEAD) {
	if again := writeAgain(r, len(packet)); !bytes.Equal(again, withoutPadding(packet, r)) {
		t.Fatalf("%x\nwritten again as\n%x", packet, again)
	}
	cookies, err := r.Verify(key, make([]byte, ntp.MaxPacket))
	if err != nil {
		return
	}
	if cookies < 1 || cookies > MaxCookies {
		t.Fatalf("%d cookies", cookies)
	}
	plaintext := bytes.Repeat(ntp.AppendField(nil, TypeCookie, r.Cookie), cookies)
	answer := AppendUniqueID(header(4, ntp.ModeServer), r.UniqueID)
	answer = AppendAuthenticator(answer, key, make([]byte, key.NonceSize()), plaintext, len(packet))
	if len(answer) != len(packet) {
		t.Fatalf("%d octets answer %d", len(answer), len(packet))
	}
	got, err := ParseResponse(answer, key)
	if err != nil || len(got.Cookies) != cookies || !bytes.Equal(got.UniqueID, r.UniqueID) {
		t.Fatalf("answer read as %+v, %v", got, err)
	}
}

// writeAgain writes the packet that r was read from, with zeros for padding.
func writeAgain(r *Request, packetLen int) []byte {
	n, c := len(r.Nonce), len(r.Ciphertext)
	body := []byte{byte(n >> 8), byte(n), byte(c >> 8), byte(c)}
	body = appendZeros(append(body, r.Nonce...), padded(n)-n)
	body = appendZeros(append(body, r.Ciphertext...), packetLen-len(r.auth.signed)-ntp.FieldHeaderLen-len(body)-c)
	return ntp.AppendField(bytes.Clone(r.auth.signed), TypeAuthenticator, body)
}

func withoutPadding(packet []byte, r *Request) []byte {
	b := bytes.Clone(packet)
	nonce := len(r.auth.signed) + authenticatorHeaderLen
	ciphertext := nonce + padded(len(r.Nonce))
	clear(b[nonce+len(r.Nonce) : ciphertext])
	clear(b[ciphertext+len(r.Ciphertext):])
	return b
}

// Nobody without the key can make an authentic response: what opens is what was sealed here.
func FuzzParseResponse(f *testing.F) {
	key := testKey(f, aead.AESSIVCMAC256)
	var authentic [][]byte
	for _, tt := range responseTests(f) {
		f.Add(tt.packet)
		if tt.err == nil && !tt.nak {
			s, err := scan(tt.packet, ntp.ModeServer)
			if err != nil {
				f.Fatal(err)
			}
			authentic = append(authentic, s.signed)
		}
	}
	for _, e := range captures(f) {
		f.Add([]byte(e.Response))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		r, err := ParseResponse(packet, key)
		if err != nil {
			if r.UniqueID != nil || r.Cookies != nil || r.NAK {
				t.Fatalf("%v, and yet %+v", err, r)
			}
			return
		}
		if r.NAK {
			if len(r.Cookies) != 0 {
				t.Fatal("a NAK with cookies")
			}
			return
		}
		if len(r.Cookies) > MaxCookies {
			t.Fatalf("%d cookies", len(r.Cookies))
		}
		sealedHere := func(signed []byte) bool { return bytes.HasPrefix(packet, signed) }
		if !slices.ContainsFunc(authentic, sealedHere) {
			t.Fatalf("forged: %x", packet)
		}
	})
}
