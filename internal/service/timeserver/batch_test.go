package timeserver

import (
	"net"
	"testing"
	"time"

	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
	"github.com/ntptsd/ntptsd/protocol/ntp"
)

func TestEachOfABatchIsAnsweredOnce(t *testing.T) {
	const many = 50
	cfg := listening("127.0.0.1:0")
	cfg.TimeServer.Workers = 1
	set, err := sockets.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	keys := fixedKeys{newKeySet(t, cookie.Native)}
	s, err := New(cfg, set.Time, []Keys{keys}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	w, b := s.workers[0], sockets.NewBatch()
	conn := dial(t, "127.0.0.1", w.conn.LocalAddr().Port())
	request := newClient(t, keys.set, aead.AESSIVCMAC256).request(0)
	for range many {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(head(0x0b)); err != nil { // version 1 marks the end
		t.Fatal(err)
	}
	for read := 0; read < many+1; {
		n, err := w.conn.ReadBatch(b)
		if err != nil {
			t.Fatal(err)
		}
		w.answer(b, n)
		read += n
	}
	answer := make([]byte, ntp.MaxPacket)
	for i := range many + 1 {
		if _, err := conn.Read(answer); err != nil {
			t.Fatal(err)
		}
		if last := answer[0]>>3&7 == 1; last != (i == many) {
			t.Fatalf("answer %d of %d: version %d", i, many+1, answer[0]>>3&7)
		}
	}
}

// keysThatWatch calls watch with the number of the NTS request that is being judged, counted from 1.
type keysThatWatch struct {
	set    *keyring.KeySet
	judged int
	watch  func(judged int)
}

func (k *keysThatWatch) KeySet() *keyring.KeySet {
	k.judged++
	k.watch(k.judged)
	return k.set
}

// TestAnswersDoNotWaitForStrangersCryptography: bad cookies behind a request must not make its transmit timestamp a lie.
func TestAnswersDoNotWaitForStrangersCryptography(t *testing.T) {
	cfg := listening("127.0.0.1:0")
	cfg.TimeServer.Workers = 1
	set, err := sockets.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	conn := dial(t, "127.0.0.1", set.Time[0].LocalAddr().Port())
	keys := &keysThatWatch{set: newKeySet(t, cookie.Native)}
	bad := newClient(t, keys.set, aead.AESSIVCMAC256)
	bad.cookie[len(bad.cookie)-1] ^= 1
	request := bad.request(0)
	atOnce := (fieldsAtOnce-1)/(len(request)-ntp.HeaderLen) + 1
	keys.watch = func(judged int) {
		if judged != atOnce+1 {
			return
		}
		if n, err := conn.Read(make([]byte, ntp.MaxPacket)); n != ntp.HeaderLen || err != nil {
			t.Errorf("the answer to the plain request: %d octets, %v", n, err)
		}
	}
	s, err := New(cfg, set.Time, []Keys{keys}, goodClock(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, version4())
	for range atOnce + 1 {
		send(t, conn, request)
	}
	b := sockets.NewBatch()
	n, err := s.workers[0].conn.ReadBatch(b)
	if err != nil || n != atOnce+2 {
		t.Fatal(n, err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	s.workers[0].answer(b, n)
}

func send(t *testing.T, conn net.Conn, packet []byte) {
	t.Helper()
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
}
