package aead

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// unhex is octets written in hexadecimal.
type unhex []byte

func (u *unhex) UnmarshalText(text []byte) (err error) {
	*u, err = hex.DecodeString(string(text))
	return err
}

type vectors struct {
	SIV []struct {
		Name                   string
		AEAD                   ID `json:"aead_id"`
		Key, Plaintext, Output unhex
		Components             []unhex
	} `json:"aes_siv_cmac"`
	SIVSteps struct {
		Zero    unhex `json:"cmac_zero"`
		Doubled unhex `json:"double_of_cmac_zero"`
		Data    unhex `json:"cmac_ad"`
		IV      unhex `json:"ctr_iv"`
	} `json:"aes_siv_intermediates"`
	GCMSIV []struct {
		Name                              string
		AEAD                              ID `json:"aead_id"`
		Key, Nonce, AD, Plaintext, Output unhex
		MessageAuthKey                    unhex `json:"message_auth_key"`
		MessageEncKey                     unhex `json:"message_enc_key"`
	} `json:"aes_gcm_siv"`
	Polyval struct{ H, X, Result unhex }
}

func readVectors(tb testing.TB) (v vectors) {
	tb.Helper()
	text, err := os.ReadFile("testdata/aead.json")
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		tb.Fatal(err)
	}
	if len(v.SIV) == 0 || len(v.GCMSIV) == 0 {
		tb.Fatal("testdata/aead.json holds no vectors")
	}
	return v
}

func TestSIVVectors(t *testing.T) {
	lookalikes := 0
	for _, v := range readVectors(t).SIV {
		t.Run(v.Name, func(t *testing.T) {
			a := mustNew(t, v.AEAD, v.Key)
			components := make([][]byte, len(v.Components))
			for i, c := range v.Components {
				components[i] = c
			}
			if got := a.SealVector(nil, v.Plaintext, components...); !bytes.Equal(got, v.Output) {
				t.Errorf("SealVector = %x, want %x", got, v.Output)
			}
			opened(t, v.Plaintext)(a.OpenVector(nil, v.Output, components...))
			if len(components) == 2 {
				data, nonce := components[0], components[1]
				if got := a.Seal(nil, nonce, v.Plaintext, data); !bytes.Equal(got, v.Output) {
					t.Errorf("Seal = %x, want %x", got, v.Output)
				}
				opened(t, v.Plaintext)(a.Open(nil, nonce, v.Output, data))
			}
			if strings.HasSuffix(v.Name, "-no-ad-component") {
				lookalikes++
				if bytes.Equal(a.Seal(nil, components[0], v.Plaintext, nil), v.Output) {
					t.Error("Seal left the empty associated data out of S2V")
				}
				refused(t)(a.Open(nil, components[0], v.Output, nil))
			}
		})
	}
	if lookalikes == 0 {
		t.Error("no look-alikes among the vectors")
	}
}

func TestSIVIntermediates(t *testing.T) {
	all := readVectors(t)
	v, want := all.SIV[0], all.SIVSteps
	var a siv
	if err := a.setKey(v.Key); err != nil {
		t.Fatal(err)
	}
	s := new(scratch)
	equal(t, "CMAC(zero)", a.zero[:], want.Zero)
	doubled := double(a.zero)
	equal(t, "double", doubled[:], want.Doubled)
	a.mac.sum(s, v.Components[0])
	equal(t, "CMAC(AD)", s.x[:], want.Data)
	got := make([]byte, len(v.Plaintext))
	copy(got, v.Plaintext)
	cipher.NewCTR(a.ctr(), want.IV).XORKeyStream(got, got)
	equal(t, "CTR from the published IV", got, v.Output[Overhead:])
}

// RFC 4493 section 4.
func TestCMACVectors(t *testing.T) {
	message := fromHex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	s := new(scratch)
	var mac cmac
	if err := mac.setKey(s, fromHex(t, "2b7e151628aed2a6abf7158809cf4f3c")); err != nil {
		t.Fatal(err)
	}
	equal(t, "K1", mac.k1[:], fromHex(t, "fbeed618357133667c85e08f7236a8de"))
	equal(t, "K2", mac.k2[:], fromHex(t, "f7ddac306ae266ccf90bc11ee46d513b"))
	for n, want := range map[int]string{
		0:  "bb1d6929e95937287fa37d129b756746",
		16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827",
		64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		mac.sum(s, message[:n])
		equal(t, "CMAC", s.x[:], fromHex(t, want))
	}
}

// RFC 4493 section 4, and for the longer keys NIST SP 800-38B, example 1 of appendices D.2 and D.3.
func TestCMACOfEveryKeyLength(t *testing.T) {
	for key, want := range map[string]string{
		"2b7e151628aed2a6abf7158809cf4f3c":                                 "bb1d6929e95937287fa37d129b756746",
		"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b":                 "d17ddf46adaacde531cac483de7a9367",
		"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4": "028962f61b7bf89efc6b551f4667d983",
	} {
		sum, err := CMAC(fromHex(t, key), nil)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "CMAC", sum[:], fromHex(t, want))
	}
	if _, err := CMAC(make([]byte, 15), nil); err == nil {
		t.Error("a key of 15 octets was taken")
	}
}

// AES-256-GCM-SIV is not offered, but its vectors are the only ones in which the counter wraps round.
func TestGCMSIVVectors(t *testing.T) {
	for _, v := range readVectors(t).GCMSIV {
		t.Run(v.Name, func(t *testing.T) {
			var g gcmSIV
			if err := g.setKey(v.Key); err != nil {
				t.Fatal(err)
			}
			if v.MessageAuthKey != nil {
				s := new(scratch)
				g.derive(s, v.Nonce)
				equal(t, "message keys", s.keys[:8*g.derived], append(v.MessageAuthKey, v.MessageEncKey...))
			}
			equal(t, "seal", g.seal(nil, v.Nonce, v.Plaintext, v.AD), v.Output)
			opened(t, v.Plaintext)(g.open(nil, v.Nonce, v.Output, v.AD))
			if v.AEAD == AES128GCMSIV {
				a := mustNew(t, v.AEAD, v.Key)
				equal(t, "Seal", a.Seal(nil, v.Nonce, v.Plaintext, v.AD), v.Output)
				opened(t, v.Plaintext)(a.Open(nil, v.Nonce, v.Output, v.AD))
			}
		})
	}
}

func TestPolyvalVector(t *testing.T) {
	v := readVectors(t).Polyval
	var p polyval
	p.reset((*[hashKeyLen]byte)(v.H))
	p.absorb(v.X)
	got := p.sum()
	equal(t, "POLYVAL", got[:], v.Result)
}

// The dense words come first: only they reach the 16 additions to a bit that must not carry.
func TestPolyvalAgainstBitByBit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(i int) uint64 {
		if i < 1000 {
			return ^(random.Uint64() & random.Uint64() & random.Uint64() & random.Uint64() & random.Uint64())
		}
		return random.Uint64()
	}
	check := func(key, block [2]uint64) {
		var p polyval
		p.reset(octets(key))
		p.step(block[0], block[1])
		if got, want := [2]uint64{p.lo, p.hi}, dotBitByBit(block, key); got != want {
			t.Fatalf("%x * %x = %x, want %x", block, key, got, want)
		}
	}
	check([2]uint64{^uint64(0), ^uint64(0)}, [2]uint64{^uint64(0), ^uint64(0)})
	check([2]uint64{^uint64(0), 0}, [2]uint64{0, ^uint64(0)})
	for i := range 2000 {
		check([2]uint64{word(i), word(i)}, [2]uint64{word(i), word(i)})
	}
}

// dotBitByBit is a * b * x^-128 by the definition: Horner's rule with divisions by x.
func dotBitByBit(a, b [2]uint64) (z [2]uint64) {
	for i := range 128 {
		if a[i/64]>>(i%64)&1 == 1 {
			z[0], z[1] = z[0]^b[0], z[1]^b[1]
		}
		// z / x: an odd z first becomes even by adding the polynomial, whose x^128 comes in at the top.
		odd := z[0] & 1
		z[0], z[1] = z[0]>>1|z[1]<<63, z[1]>>1
		z[1] ^= odd<<63 | odd<<62 | odd<<61 | odd<<56
	}
	return z
}

// Whole streams against the standard library's, from tags that make every counter carry.
func TestCTRAgainstStandardLibrary(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	var tag [Overhead]byte
	for i := range tag {
		tag[i] = 0xff
	}
	iv := tag
	iv[8] &= 0x7f
	iv[12] &= 0x7f
	for n := range 3 * streamBlocks * aes.BlockSize {
		got, want := make([]byte, n), make([]byte, n)
		ctrSIV(block, new(scratch), &tag, got)
		cipher.NewCTR(block, iv[:]).XORKeyStream(want, want)
		equal(t, "stream", got, want)
	}
}

func octets(w [2]uint64) (b *[hashKeyLen]byte) {
	b = new([hashKeyLen]byte)
	binary.LittleEndian.PutUint64(b[:8], w[0])
	binary.LittleEndian.PutUint64(b[8:], w[1])
	return b
}

func mustNew(tb testing.TB, id ID, key []byte) *AEAD {
	tb.Helper()
	a, err := New(id, key)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func fromHex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func equal(tb testing.TB, what string, got, want []byte) {
	tb.Helper()
	if !bytes.Equal(got, want) {
		tb.Errorf("%s = %x, want %x", what, got, want)
	}
}

// opened and refused judge what an Open returned.
func opened(tb testing.TB, want []byte) func([]byte, error) {
	return func(got []byte, err error) {
		tb.Helper()
		if err != nil || !bytes.Equal(got, want) {
			tb.Errorf("open = %x, %v; want %x", got, err, want)
		}
	}
}

func refused(tb testing.TB) func([]byte, error) {
	return func(got []byte, err error) {
		tb.Helper()
		if err != ErrOpen || got != nil {
			tb.Errorf("open = %x, %v; want ErrOpen and nothing", got, err)
		}
	}
}
