package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/sockets"
	"github.com/ntptsd/ntptsd/protocol/ntske"
)

// The bare ceilings run as processes of their own: bench echo ADDR LENGTH, bench tls ADDR CERT KEY.

// bareTLS does the same TLS 1.3 handshake with the same certificate, answers with as many octets as a key exchange does,
// and nothing else.
func bareTLS(addr, certFile, keyFile, length string) error {
	n, err := strconv.Atoi(length)
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", addr, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{ntske.ALPN}, SessionTicketsDisabled: true,
	})
	if err != nil {
		return err
	}
	fmt.Println("ready", l.Addr())
	// One record that a key exchange client reads to its end: unknown, not critical, of the wanted length.
	answer := ntske.Record{Type: 0x7000, Body: make([]byte, n-8)}.AppendTo(nil)
	answer = ntske.Record{Critical: true}.AppendTo(answer)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if _, err := bufio.NewReader(c).ReadByte(); err == nil {
				c.Write(answer)
			}
		}()
	}
}

// bareEcho sends every datagram back, with the sockets and batches of the time server.
func bareEcho(addr string) error {
	cfg, err := echoConfig(addr)
	if err != nil {
		return err
	}
	set, err := sockets.Open(cfg)
	if err != nil {
		return err
	}
	fmt.Println("ready", addr)
	for _, u := range set.Time[1:] {
		go echo(u)
	}
	return echo(set.Time[0])
}

func echo(u *sockets.UDP) error {
	b := sockets.NewBatch()
	for {
		n, err := u.ReadBatch(b)
		if err != nil {
			return err
		}
		for i := range n {
			m := &b.Messages[i]
			m.Reply = append(m.Reply, m.Data...)
		}
		u.WriteBatch(b, 0, n)
	}
}

func echoConfig(addr string) (*config.Config, error) {
	return config.Parse("echo", fmt.Appendf(nil, "[timeserver]\nlisten = [%q]\n", addr))
}

func freeTCP() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func freeUDP() (string, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return c.LocalAddr().String(), c.Close()
}
