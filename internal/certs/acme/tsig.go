package acme

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// A signed message ends with a record, RFC 8945 section 4.2:
//
//	owner: the key's name | TYPE 250 | CLASS 255 | TTL 0 | RDLENGTH
//	algorithm's name | time 48 | fudge 16 | MAC size 16 | MAC | original id 16 | error 16 | other length 16 | other
//
// The MAC is over the message without it, and what stands in it beside the MAC and the id.
const (
	typeTSIG   = 250
	classAny   = 255
	tsigFudge  = 300 // seconds that the clocks may differ, RFC 8945 section 10
	headLength = 12  // RFC 1035 section 4.1.1
	codeMask   = 0xf
)

type tsigKey struct {
	name, algorithm []byte // as in a message, lower case
	secret          []byte
	hash            func() hash.Hash
}

func newTSIGKey(name, algorithm, secret string) (tsigKey, error) {
	k := tsigKey{name: wireName(name), algorithm: wireName(algorithm)}
	switch algorithm {
	case "hmac-sha384":
		k.hash = sha512.New384
	case "hmac-sha512":
		k.hash = sha512.New
	default:
		k.hash = sha256.New
	}
	var err error
	k.secret, err = base64.StdEncoding.DecodeString(secret)
	if err != nil || len(k.secret) == 0 {
		return tsigKey{}, errors.New("the secret must be base64")
	}
	return k, nil
}

// wireName is a name as in a message. Its labels were checked by package config.
func wireName(name string) (b []byte) {
	for label := range strings.SplitSeq(strings.TrimSuffix(dotted(name), "."), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

// sign appends the record and gives its MAC, which the answer's begins with.
func (k tsigKey) sign(message []byte, now time.Time) (signed, mac []byte) {
	mac = k.mac(nil, message, k.variables(now.Unix(), tsigFudge, 0, nil))
	data := append([]byte{}, k.algorithm...)
	data = appendTime(data, now.Unix())
	data = binary.BigEndian.AppendUint16(data, tsigFudge)
	data = binary.BigEndian.AppendUint16(data, uint16(len(mac)))
	data = append(data, mac...)
	data = append(data, message[:2]...)
	data = append(data, 0, 0, 0, 0)
	signed = append(append([]byte{}, message...), k.name...)
	signed = binary.BigEndian.AppendUint16(signed, typeTSIG)
	signed = binary.BigEndian.AppendUint16(signed, classAny)
	signed = binary.BigEndian.AppendUint32(signed, 0)
	signed = binary.BigEndian.AppendUint16(signed, uint16(len(data)))
	signed = append(signed, data...)
	binary.BigEndian.PutUint16(signed[10:], binary.BigEndian.Uint16(message[10:])+1)
	return signed, mac
}

func appendTime(b []byte, seconds int64) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(seconds>>32))
	return binary.BigEndian.AppendUint32(b, uint32(seconds))
}

// variables is RFC 8945 section 4.3.3.
func (k tsigKey) variables(at int64, fudge, code uint16, other []byte) []byte {
	b := append([]byte{}, k.name...)
	b = binary.BigEndian.AppendUint16(b, classAny)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = append(b, k.algorithm...)
	b = appendTime(b, at)
	b = binary.BigEndian.AppendUint16(b, fudge)
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(other)))
	return append(b, other...)
}

func (k tsigKey) mac(request, message, variables []byte) []byte {
	m := hmac.New(k.hash, k.secret)
	if request != nil {
		m.Write(binary.BigEndian.AppendUint16(nil, uint16(len(request))))
		m.Write(request)
	}
	m.Write(message)
	m.Write(variables)
	return m.Sum(nil)
}

// check tells whether the answer is the name server's, and a yes.
func (k tsigKey) check(answer []byte, id uint16, request []byte, now time.Time) error {
	if len(answer) < headLength || binary.BigEndian.Uint16(answer) != id || answer[2]&0x80 == 0 {
		return errors.New("what came is no answer to it")
	}
	code := answer[3] & codeMask
	t, err := parseTSIG(answer)
	switch {
	case err != nil && code != 0: // who does not know the key cannot sign
		return fmt.Errorf("%s, unsigned", codeName(uint16(code)))
	case err != nil:
		return err
	case t.code != 0:
		return fmt.Errorf("%s", codeName(t.code))
	}
	message := append([]byte{}, answer[:t.begins]...)
	binary.BigEndian.PutUint16(message[10:], binary.BigEndian.Uint16(message[10:])-1)
	binary.BigEndian.PutUint16(message, t.id)
	if !hmac.Equal(t.mac, k.mac(request, message, k.variables(t.at, t.fudge, t.code, t.other))) {
		return errors.New("its signature is not by the key of certs.acme.dns")
	}
	if off := now.Unix() - t.at; off > int64(t.fudge) || -off > int64(t.fudge) {
		return errors.New("its answer is of another time: compare the clocks")
	}
	if code != 0 {
		return errors.New(codeName(uint16(code)))
	}
	return nil
}

type tsigRecord struct {
	begins    int // in the message
	mac       []byte
	at        int64
	fudge, id uint16
	code      uint16
	other     []byte
}

// parseTSIG finds the last record, which must be a signature.
func parseTSIG(message []byte) (t tsigRecord, err error) {
	none := errors.New("its answer is not signed")
	s := cryptobyte.String(message)
	var counts [4]uint16
	if !s.Skip(4) || !s.ReadUint16(&counts[0]) || !s.ReadUint16(&counts[1]) || !s.ReadUint16(&counts[2]) || !s.ReadUint16(&counts[3]) || counts[3] == 0 {
		return t, none
	}
	for range counts[0] {
		if !skipName(&s) || !s.Skip(4) {
			return t, none
		}
	}
	records := int(counts[1]) + int(counts[2]) + int(counts[3])
	var data cryptobyte.String
	var kind uint16
	for range records {
		t.begins = len(message) - len(s)
		if !skipName(&s) || !s.ReadUint16(&kind) || !s.Skip(6) || !s.ReadUint16LengthPrefixed(&data) {
			return t, none
		}
	}
	var high uint16
	var low uint32
	var mac, other cryptobyte.String
	if kind != typeTSIG || !s.Empty() || !skipName(&data) || !data.ReadUint16(&high) || !data.ReadUint32(&low) || !data.ReadUint16(&t.fudge) ||
		!data.ReadUint16LengthPrefixed(&mac) || !data.ReadUint16(&t.id) || !data.ReadUint16(&t.code) || !data.ReadUint16LengthPrefixed(&other) || !data.Empty() {
		return t, none
	}
	t.at, t.mac, t.other = int64(high)<<32|int64(low), mac, other
	return t, nil
}

// skipName passes over labels up to the root or a pointer, RFC 1035 section 4.1.4.
func skipName(s *cryptobyte.String) bool {
	for {
		var length uint8
		switch {
		case !s.ReadUint8(&length):
			return false
		case length == 0:
			return true
		case length >= 0xc0:
			return s.Skip(1)
		case length > 63 || !s.Skip(int(length)):
			return false
		}
	}
}

// codeName is what an operator can look up; RFC 2136 section 2.2 and RFC 8945 section 3.
func codeName(code uint16) string {
	switch code {
	case 1:
		return "FORMERR"
	case 2:
		return "SERVFAIL"
	case 3:
		return "NXDOMAIN"
	case 4:
		return "NOTIMP: it takes no updates"
	case 5:
		return "REFUSED: the key may not change this"
	case 9:
		return "NOTAUTH: it is not the zone's primary, or does not know the key"
	case 10:
		return "NOTZONE: the name is not in the zone"
	case 16:
		return "BADSIG: the secret is another one there"
	case 17:
		return "BADKEY: it does not know the key's name"
	case 18:
		return "BADTIME: its clock and ours differ too much"
	}
	return fmt.Sprintf("error %d", code)
}
