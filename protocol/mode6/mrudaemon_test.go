package mode6

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/protocol/ntp"
)

var errSilence = errors.New("no answer")

// mruDaemon answers as ntpd does, from a list that changes between the requests.
type mruDaemon struct {
	clients []Client // oldest first
	ntpsec  bool
	random  *rand.Rand
	clock   ntp.Timestamp
	nonces  int
	before  func(d *mruDaemon, q Request) // what happens before a request arrives

	requests int
	frags    []int // as asked for
}

func newMRUDaemon(ntpsec bool, n int) *mruDaemon {
	d := &mruDaemon{ntpsec: ntpsec, random: rand.New(rand.NewPCG(1, uint64(n))), clock: 0xeeade66f_00000001}
	for range n {
		d.arrive()
	}
	return d
}

// arrive brings a packet of a new client.
func (d *mruDaemon) arrive() {
	i := len(d.clients)
	d.clock += 1 << 20
	a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	if i%3 == 0 {
		a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)})
	}
	c := Client{
		Address: netip.AddrPortFrom(a, uint16(1024+i)), First: d.clock, Last: d.clock, Count: 1, Mode: ntp.ModeClient, Version: 4,
		Restrictions: 0x80, Scored: d.ntpsec,
	}
	if d.ntpsec {
		c.Score = 0.05
	}
	d.clients = append(d.clients, c)
}

// touch brings another packet of a client, from another port.
func (d *mruDaemon) touch(i int) {
	d.clock += 1 << 20
	c := d.clients[i]
	c.Address = netip.AddrPortFrom(c.Address.Addr(), c.Address.Port()+1)
	c.Last, c.Count = d.clock, c.Count+1
	d.clients = append(slices.Delete(d.clients, i, i+1), c)
}

func (d *mruDaemon) answer(t testing.TB, q Request) ([]byte, error) {
	t.Helper()
	if d.requests++; d.before != nil {
		d.before(d, q)
	}
	fresh := func() []byte { d.nonces++; return fmt.Appendf(nil, "nonce=%024x", d.nonces) }
	if q.Op == OpRequestNonce {
		return append(fresh(), "\r\n"...), nil
	}
	asked := parse(t, string(q.Data))
	var n, frags int
	nonce, _ := asked.Raw("nonce")
	if _, err := fmt.Sscanf(nonce, "%x", &n); err != nil || n != d.nonces || len(q.Data) > MaxData {
		return nil, errSilence
	}
	f, _ := asked.Int("frags")
	frags = int(f)
	d.frags = append(d.frags, frags)
	if frags < minFrags || frags > 128 || asked[1].Name != "frags" {
		return nil, CodeValue
	}
	at, text, err := d.resume(asked)
	if err != nil {
		return nil, err
	}
	text = append(text, fresh()...)
	i := 0
	for ; at < len(d.clients) && len(text) < (frags-1)*MaxData; at++ {
		text = d.entry(text, i, d.clients[at])
		if i == 0 || at == len(d.clients)-1 {
			text = fmt.Appendf(text, ", %c%c%c.%d=%d", 'H'+d.random.IntN(40), 'Z', '^', i, d.random.Uint64())
		}
		i++
	}
	if at == len(d.clients) {
		text = fmt.Appendf(text, ",\r\nnow=%s", stampOf(d.clock))
	}
	return append(text, "\r\n"...), nil
}

// resume finds where a list goes on: classic refuses if it is nowhere, NTPsec goes on at a client that it does know.
func (d *mruDaemon) resume(asked Variables) (at int, text []byte, err error) {
	found := -1
	points := 0
	for ; ; points++ {
		a, ok := asked.Address(fmt.Sprintf("addr.%d", points))
		last, ok2 := asked.Time(fmt.Sprintf("last.%d", points))
		if !ok || !ok2 {
			break
		}
		i := slices.IndexFunc(d.clients, func(c Client) bool { return c.Address.Addr() == a.Addr() })
		if i >= 0 && d.clients[i].Last == last {
			found = i
			break
		}
		if found = -1; d.ntpsec {
			found = i
		}
	}
	switch {
	case points == 0 && found < 0:
		return 0, nil, nil
	case found < 0:
		return 0, nil, CodeVariable
	}
	c := d.clients[found]
	return found + 1, fmt.Appendf(nil, "last.older=%s, addr.older=%v,\r\n", stampOf(c.Last), c.Address), nil
}

func (d *mruDaemon) entry(text []byte, i int, c Client) []byte {
	fields := fieldsOf(c)
	tags := []string{"addr", "ct", "mv", "rs", "first", "last"}
	if c.Scored {
		tags = append(tags, "sc", "dr")
	}
	d.random.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
	for _, tag := range tags {
		text = fmt.Appendf(text, ",\r\n%s.%d=%s", tag, i, fields[tag])
	}
	return text
}

// walk drives a walk to its end.
func walk(t testing.TB, w *Walk, answer func(q Request) ([]byte, error)) {
	t.Helper()
	rounds := 0
	for q, more := w.Next(time.Time{}); more; q, more = w.Next(time.Time{}) {
		if _, err := q.AppendTo(nil); err != nil {
			t.Fatal(err)
		}
		if rounds++; rounds > spareRounds+w.limit/clientsARound {
			t.Fatal("the walk does not end")
		}
		w.Answer(answer(q))
	}
}
