package nts

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

const testCookieLen = 64

// testKey is the same at each call, so that seeds of fuzz targets stay authentic.
func testKey(t testing.TB, id aead.ID) *aead.AEAD {
	return newKey(t, id, bytes.Repeat([]byte{0x42}, id.KeyLen()))
}

func header(version uint8, mode ntp.Mode) []byte {
	return ntp.Header{Version: version, Mode: mode, Transmit: 0x0102030405060708}.AppendTo(nil)
}

func field(typ uint16, n int) []byte {
	return ntp.AppendField(nil, typ, bytes.Repeat([]byte{byte(typ >> 8)}, n))
}

var (
	uniqueID    = field(TypeUniqueID, 32)
	cookie      = field(TypeCookie, testCookieLen)
	placeholder = field(TypePlaceholder, testCookieLen)
	unknown     = field(0xf323, 24)
)

// seal ends a packet with an authenticator: a nonce of this length, encrypted fields and additional padding.
func seal(key *aead.AEAD, nonceLen int, inner []byte, padding int, parts ...[]byte) []byte {
	packet := slices.Concat(parts...)
	whole := len(packet) + authenticatorHeaderLen + padded(nonceLen) + padded(len(inner)+aead.Overhead) + padding
	return AppendAuthenticator(packet, key, bytes.Repeat([]byte{0x77}, nonceLen), inner, whole)
}

type requestTest struct {
	name    string
	packet  []byte
	cookies int // 0: only a unique id
	err     error
}

func requestTests(t testing.TB) []requestTest {
	key := testKey(t, aead.AESSIVCMAC256)
	client := header(4, ntp.ModeClient)
	ordinary := seal(key, 16, nil, 0, client, uniqueID, cookie)
	with := func(parts ...[]byte) []byte { return seal(key, 16, nil, 0, slices.Concat(parts...)) }
	holding := func(inner ...[]byte) []byte {
		return seal(key, 16, slices.Concat(inner...), 0, client, uniqueID, cookie)
	}
	damaged := func(at int) []byte {
		b := bytes.Clone(ordinary)
		b[at] ^= 1
		return b
	}
	raw := func(body ...byte) []byte { // an authenticator of 16 octets for nonce, 16 for ciphertext
		return slices.Concat(client, uniqueID, cookie, ntp.AppendField(nil, TypeAuthenticator, append(body, make([]byte, 32)...)))
	}
	return append(requestFieldTests(client, ordinary, with, holding), []requestTest{
		{"tag damaged", damaged(len(ordinary) - 1), 0, ErrOpen},
		{"nonce damaged", damaged(len(ordinary) - 17), 0, ErrOpen},
		{"cookie damaged", damaged(ntp.HeaderLen + len(uniqueID) + 20), 0, ErrOpen},
		{"unique id damaged", damaged(ntp.HeaderLen + 20), 0, ErrOpen},
		{"header damaged", damaged(47), 0, ErrOpen},

		{"nonce of 12", seal(key, 12, nil, 0, client, uniqueID, cookie), 0, ErrNonceRoom},
		{"nonce of 12, padding of 4", seal(key, 12, nil, 4, client, uniqueID, cookie), 1, nil},
		{"nonce of 1, padding of 12", seal(key, 1, nil, 12, client, uniqueID, cookie), 1, nil},
		{"nonce of 1, padding of 8", seal(key, 1, nil, 8, client, uniqueID, cookie), 0, ErrNonceRoom},
		{"nonce of 13", seal(key, 13, nil, 0, client, uniqueID, cookie), 1, nil},
		{"nonce of 32", seal(key, 32, nil, 0, client, uniqueID, cookie), 1, nil},
		{"padding of 64", seal(key, 16, nil, 64, client, uniqueID, cookie), 1, nil},
		{"padding not zero", append(seal(key, 16, nil, 4, client, uniqueID, cookie)[:len(ordinary)], 1, 2, 3, 4), 1, nil},

		{"nonce of 0", raw(0, 0, 0, 16), 0, ErrNoNonce},
		{"no ciphertext", raw(0, 16, 0, 0), 0, ErrOpen},
		{"ciphertext shorter than a tag", raw(0, 16, 0, 15), 0, ErrOpen},
		{"nonce past the end", raw(0, 33, 0, 0), 0, ErrAuthenticator},
		{"ciphertext past the end", raw(0, 16, 0, 17), 0, ErrAuthenticator},
		{"both lengths at their largest", raw(0xff, 0xff, 0xff, 0xff), 0, ErrAuthenticator},
	}...)
}

// requestFieldTests are about which fields there are, and where.
func requestFieldTests(client, ordinary []byte, with, holding func(...[]byte) []byte) []requestTest {
	return []requestTest{
		{"ordinary", ordinary, 1, nil},
		{"two placeholders", with(client, uniqueID, cookie, placeholder, placeholder), 3, nil},
		{"seven placeholders", with(client, uniqueID, cookie, bytes.Repeat(placeholder, 7)), 8, nil},
		{"fifteen placeholders", with(client, uniqueID, cookie, bytes.Repeat(placeholder, 15)), 8, nil},
		{"cookie before unique id", with(client, cookie, uniqueID), 1, nil},
		{"placeholder before cookie", with(client, uniqueID, placeholder, cookie), 2, nil},
		{"placeholder longer than cookie", with(client, uniqueID, cookie, field(TypePlaceholder, 68)), 0, ErrPlaceholderLen},
		{"placeholder shorter than cookie", with(client, uniqueID, field(TypePlaceholder, 60), cookie), 0, ErrPlaceholderLen},
		{"placeholders of two lengths", with(client, uniqueID, cookie, field(TypePlaceholder, 60), placeholder), 0, ErrPlaceholderLen},
		{"unknown field", with(client, uniqueID, unknown, cookie), 1, nil},

		{"unique id of 16", with(client, field(TypeUniqueID, 16), cookie), 1, nil},
		{"unique id of 12", with(client, field(TypeUniqueID, 12), cookie), 0, ErrUniqueIDLen},
		{"unique id of 128", with(client, field(TypeUniqueID, 128), cookie), 1, nil},
		{"unique id of 1024", with(client, field(TypeUniqueID, MaxUniqueIDLen), cookie), 1, nil},
		{"unique id of 1028", with(client, field(TypeUniqueID, MaxUniqueIDLen+4), cookie), 0, ErrUniqueIDLen},
		{"no unique id", with(client, cookie), 0, ErrNoUniqueID},
		{"two unique ids", with(client, uniqueID, uniqueID, cookie), 0, ErrRepeated},
		{"two cookies", with(client, uniqueID, cookie, cookie), 0, ErrRepeated},
		{"no cookie", with(client, uniqueID), 0, ErrNoCookie},
		{"no cookie but a placeholder", with(client, uniqueID, placeholder), 0, ErrNoCookie},
		{"no authenticator", slices.Concat(client, uniqueID, cookie), 0, ErrNoAuthenticator},
		{"authenticator and nothing else", with(client), 0, ErrNoUniqueID},
		{"two authenticators", with(ordinary), 0, ErrAfterAuthenticator},
		{"field after the authenticator", slices.Concat(ordinary, unknown), 0, ErrAfterAuthenticator},
		{"MAC after the authenticator", append(slices.Clip(ordinary), make([]byte, 20)...), 0, ErrMAC},

		{"only a unique id", slices.Concat(client, uniqueID), 0, nil},
		{"unique id and unknown field", slices.Concat(client, uniqueID, unknown), 0, nil},
		{"two unique ids, no NTS", slices.Concat(client, uniqueID, uniqueID), 0, ErrRepeated},
		{"unique id and MAC", slices.Concat(client, uniqueID, make([]byte, 24)), 0, ErrMAC},
		{"no fields", client, 0, ErrNoNTS},
		{"unknown field only", slices.Concat(client, unknown), 0, ErrNoNTS},
		{"crypto-NAK", slices.Concat(client, make([]byte, 4)), 0, ErrMAC},

		{"version 3", with(header(3, ntp.ModeClient), uniqueID, cookie), 0, ErrVersion},
		{"version 5", with(header(5, ntp.ModeClient), uniqueID, cookie), 0, ntp.ErrVersion},
		{"symmetric active", with(header(4, ntp.ModeSymmetricActive), uniqueID, cookie), 0, ErrMode},
		{"server", with(header(4, ntp.ModeServer), uniqueID, cookie), 0, ErrMode},
		{"cut off", ordinary[:len(ordinary)-4], 0, ntp.ErrField},
		{"too long", with(client, uniqueID, cookie, bytes.Repeat(placeholder, 30)), 0, ntp.ErrLong},

		{"encrypted placeholder", holding(placeholder), 2, nil},
		{"encrypted placeholder of another length", holding(field(TypePlaceholder, 60)), 0, ErrPlaceholderLen},
		{"nine encrypted placeholders", holding(bytes.Repeat(placeholder, 9)), 8, nil},
		{"encrypted unknown field", holding(unknown), 1, nil},
		{"encrypted field without a body", holding(field(0xf323, 0), placeholder), 2, nil},
		{"encrypted length 0", holding(make([]byte, 8)), 0, ErrPlaintext},
		{"encrypted field cut off", holding(placeholder[:32]), 0, ErrPlaintext},
		{"encrypted odd octets", holding(placeholder, []byte{1, 2, 3}), 0, ErrPlaintext},
	}
}

func TestRequestRules(t *testing.T) {
	key := testKey(t, aead.AESSIVCMAC256)
	scratch := make([]byte, ntp.MaxPacket)
	for _, tt := range requestTests(t) {
		r, err := ParseRequest(tt.packet)
		cookies := 0
		if err == nil && r.Cookie != nil {
			cookies, err = r.Verify(key, scratch)
		}
		if cookies != tt.cookies || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d cookies, %v; want %d, %v", tt.name, cookies, err, tt.cookies, tt.err)
		}
		if tt.err == nil && r.UniqueID == nil {
			t.Errorf("%s: no unique id", tt.name)
		}
	}
}

// AES-GCM-SIV takes nonces of 12 octets only, and asks for no more room than that.
func TestNonceRoomDependsOnAEAD(t *testing.T) {
	client := header(4, ntp.ModeClient)
	for _, tt := range []struct {
		id    aead.ID
		nonce int
		want  error
	}{
		{aead.AES128GCMSIV, 12, nil},
		{aead.AESSIVCMAC384, 12, ErrNonceRoom},
		{aead.AESSIVCMAC384, 16, nil},
		{aead.AESSIVCMAC512, 12, ErrNonceRoom},
		{aead.AESSIVCMAC512, 16, nil},
	} {
		key := testKey(t, tt.id)
		r, err := ParseRequest(seal(key, tt.nonce, nil, 0, client, uniqueID, cookie))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(key, nil); !errors.Is(err, tt.want) {
			t.Errorf("%v, nonce of %d: %v, want %v", tt.id, tt.nonce, err, tt.want)
		}
	}
	siv, gcm := testKey(t, aead.AESSIVCMAC256), testKey(t, aead.AES128GCMSIV)
	r, err := ParseRequest(seal(siv, 16, nil, 0, client, uniqueID, cookie))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(gcm, nil); !errors.Is(err, ErrOpen) {
		t.Errorf("nonce of 16 under AES-GCM-SIV: %v, want %v", err, ErrOpen)
	}
}

// What our client sends leaves room for the answer whatever nonce it was given.
func TestAppendRequestLeavesRoom(t *testing.T) {
	for _, id := range []aead.ID{aead.AESSIVCMAC256, aead.AESSIVCMAC384, aead.AESSIVCMAC512, aead.AES128GCMSIV} {
		key := testKey(t, id)
		nonces := []int{1, 12, 15, 16, 17}
		if id == aead.AES128GCMSIV {
			nonces = []int{12}
		}
		for _, n := range nonces {
			packet := AppendRequest(header(4, ntp.ModeClient), uniqueID[4:], cookie[4:], 2, key, make([]byte, n))
			r, err := ParseRequest(packet)
			if err != nil {
				t.Fatal(err)
			}
			if cookies, err := r.Verify(key, nil); cookies != 3 || err != nil {
				t.Errorf("%v, nonce of %d: %d cookies, %v", id, n, cookies, err)
			}
			want := 48 + 36 + 3*68 + 8 + max(padded(n), id.NonceLen()) + 16
			if len(packet) != want {
				t.Errorf("%v, nonce of %d: %d octets, want %d", id, n, len(packet), want)
			}
		}
	}
}
