package chronyc

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
)

func serverStats(ask Ask) (string, error) {
	s, err := read(ask, cmdmon.ServerStats, nil, cmdmon.ParseStats)
	if err != nil {
		return "", err
	}
	p := page{labels: 27}
	for _, line := range []struct {
		label   string
		counter int
	}{
		{"NTP packets received", cmdmon.StatNTP},
		{"NTP packets dropped", cmdmon.StatNTPDropped},
		{"Command packets received", cmdmon.StatCommand},
		{"Command packets dropped", cmdmon.StatCommandDropped},
		{"Client log records dropped", cmdmon.StatLogDropped},
		{"NTS-KE connections accepted", cmdmon.StatKeyExchange},
		{"NTS-KE connections dropped", cmdmon.StatKeyExchangeDropped},
		{"Authenticated NTP packets", cmdmon.StatAuthenticated},
		{"Interleaved NTP packets", cmdmon.StatInterleaved},
		{"NTP timestamps held", cmdmon.StatTimestamps},
		{"NTP timestamp span", cmdmon.StatTimestampSpan},
		{"NTP daemon RX timestamps", cmdmon.StatDaemonRx},
		{"NTP daemon TX timestamps", cmdmon.StatDaemonTx},
		{"NTP kernel RX timestamps", cmdmon.StatKernelRx},
		{"NTP kernel TX timestamps", cmdmon.StatKernelTx},
		{"NTP hardware RX timestamps", cmdmon.StatHardwareRx},
		{"NTP hardware TX timestamps", cmdmon.StatHardwareTx},
	} {
		if line.counter < len(s) { // earlier versions have fewer
			p.field(line.label, "%d", s[line.counter])
		}
	}
	return p.String(), nil
}

// maxClients is how many are listed: chronyd may remember millions.
const maxClients = 1000

var errEndless = errors.New("a list of clients that does not end")

// visitors are the options of clients.
type visitors struct {
	atLeast     uint32 // packets
	keyExchange bool   // is shown in the place of commands
}

func clients(args []string) (say, error) {
	var v visitors
	for len(args) > 0 {
		switch arg := args[0]; {
		case arg == "-k":
			v.keyExchange = true
		case arg == "-p" && len(args) > 1:
			args = args[1:]
			n, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%+.40q is no number of packets", args[0])
			}
			v.atLeast = uint32(n)
		case arg == "-r":
			return nil, errors.New("-r sets counters to zero, and this only reads")
		default:
			return nil, unwanted(arg)
		}
		args = args[1:]
	}
	return v.say, nil
}

func (v visitors) say(ask Ask) (string, error) {
	var p page
	p.header(fmt.Sprintf("Hostname %20s NTP   Drop Int IntL Last  %6s   Drop Int  Last", "", v.column()))
	page := cmdmon.Page{MinHits: v.atLeast}
	for range maxClients / cmdmon.ClientsPerReply {
		c, err := read(ask, cmdmon.ClientsCommand, page, cmdmon.ParseClients)
		if err != nil {
			return "", err
		}
		for _, one := range c.Clients {
			v.line(&p, one)
		}
		if c.Next >= c.Indices || len(c.Clients) < cmdmon.ClientsPerReply {
			return p.String(), nil
		}
		if c.Next <= page.First {
			return "", badReply{errEndless}
		}
		page.First = c.Next
	}
	p.linef("(the first %d; -p shows those with more packets)", maxClients)
	return p.String(), nil
}

func (v visitors) column() string {
	if v.keyExchange {
		return "NTS-KE"
	}
	return "Cmd"
}

func (v visitors) line(p *page, c cmdmon.Client) {
	if c.Address == (cmdmon.Address{}) {
		return // chronyd has forgotten it meanwhile
	}
	hits, drops, interval, last := c.Command, c.CommandDropped, c.CommandInterval, c.LastCommand
	if v.keyExchange {
		hits, drops, interval, last = c.KeyExchange, c.KeyExchangeDropped, c.KeyExchangeInterval, c.LastKeyExchange
	}
	p.linef("%-25s  %6d  %5d  %s  %s  %s  %6d  %5d  %s  %s", address(c.Address), c.NTP, c.NTPDropped, log2(c.NTPInterval),
		log2(c.TimeoutInterval), ago(c.LastNTP), hits, drops, log2(interval), ago(last))
}
