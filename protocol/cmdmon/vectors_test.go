package cmdmon

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

type vector struct {
	Name    string
	Request struct {
		Hex      string
		Version  int
		BodyLen  int `json:"body_len"`
		Padding  int
		Command  Command
		Sequence uint32
		Args     map[string]any
	}
	Reply *struct {
		Hex      string
		Command  Command
		Reply    ReplyType
		Status   Status
		Sequence uint32
		Decoded  map[string]any
	}
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func daemons(t testing.TB) map[string][]vector {
	all := make(map[string][]vector)
	for _, version := range []string{"4.3", "4.8"} {
		var file struct{ Vectors []vector }
		load(t, "cmdmon-chrony-"+version+".json", &file)
		if len(file.Vectors) < 100 {
			t.Fatalf("%d vectors of chrony %s", len(file.Vectors), version)
		}
		all[version] = file.Vectors
	}
	return all
}

// Every reply of real daemons means what the vectors say.
func TestRepliesOfRealDaemons(t *testing.T) {
	seen := make(map[ReplyType]int)
	for version, vectors := range daemons(t) {
		for _, v := range vectors {
			if v.Reply == nil {
				continue
			}
			name := fmt.Sprintf("chrony %s %s", version, v.Name)
			datagram := unhex(t, v.Reply.Hex)
			p, err := ParseReply(datagram)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if p.Command != v.Reply.Command || p.Type != v.Reply.Reply || p.Status != v.Reply.Status || p.Sequence != v.Reply.Sequence {
				t.Errorf("%s: %+v", name, p)
			}
			if again := p.AppendTo(nil); !bytes.Equal(again, datagram) {
				t.Errorf("%s: written again it is\n%x, want\n%x", name, again, datagram)
			}
			seen[p.Type]++
			if p.Type == typeNull || v.Reply.Decoded == nil {
				continue
			}
			got := decode(t, p)
			if got == nil {
				t.Errorf("%s: nothing reads type %d", name, p.Type)
			}
			for key, want := range v.Reply.Decoded {
				if strings.HasPrefix(key, "_") || strings.HasPrefix(key, "reserved") || key == "pad" || key == "flags" && p.Type == typeSourceData {
					continue
				}
				if have, ok := got[key]; !ok || !same(have, want) {
					t.Errorf("%s: %s is %v (%T), want %v", name, key, have, have, want)
				}
			}
		}
	}
	for _, want := range []ReplyType{typeNSources, typeSourceData, typeTracking, typeSourceStats, typeActivity, typeNTPData,
		typeNTPData2, typeSourceName, typeAuthData, typeClients, typeStats3, typeStats4, typeSelectData, typeManualList} {
		if seen[want] == 0 {
			t.Errorf("no vector has type %d", want)
		}
	}
}

func same(have, want any) bool {
	switch w := want.(type) {
	case float64:
		switch h := have.(type) {
		case float64:
			return h == w
		default:
			return fmt.Sprint(h) == fmt.Sprintf("%.0f", w)
		}
	case []any, map[string]any:
		a, _ := json.Marshal(have)
		b, _ := json.Marshal(want)
		return bytes.Equal(a, b)
	}
	return fmt.Sprint(have) == fmt.Sprint(want)
}

func address(a Address) string {
	if s := a.String(); s != "" {
		return s
	}
	return "unspec"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "0.000000000"
	}
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

func age(d time.Duration, ok bool) uint32 {
	if !ok {
		return math.MaxUint32
	}
	return uint32(d / time.Second)
}

func reference(id [4]byte) uint32 { return binary.BigEndian.Uint32(id[:]) }

func count(n *uint32) uint32 {
	if n == nil {
		return math.MaxUint32
	}
	return *n
}

func letter(c byte) string {
	return string(rune(c))
}

// decode gives the body under the names of the vectors.
func decode(t *testing.T, p Reply) map[string]any {
	t.Helper()
	m, err := decoded(p)
	if err != nil {
		t.Errorf("%v: %v", p.Command, err)
	}
	return m
}

func decoded(p Reply) (map[string]any, error) {
	switch p.Type {
	case typeNSources:
		n, err := ParseNSources(p)
		return map[string]any{"n_sources": n}, err
	case typeTracking:
		d, err := ParseTracking(p)
		return map[string]any{"ref_id": reference(d.ReferenceID), "ip_addr": address(d.Address), "stratum": d.Stratum, "leap_status": d.Leap,
			"ref_time": stamp(d.ReferenceTime), "current_correction": d.CurrentCorrection, "last_offset": d.LastOffset, "rms_offset": d.RMSOffset,
			"freq_ppm": d.Frequency, "resid_freq_ppm": d.ResidualFrequency, "skew_ppm": d.Skew, "root_delay": d.RootDelay,
			"root_dispersion": d.RootDispersion, "last_update_interval": d.UpdateInterval}, err
	case typeSourceData:
		d, err := ParseSource(p)
		return map[string]any{"ip_addr": address(d.Address), "poll": d.Poll, "stratum": d.Stratum, "state": uint16(d.State), "mode": d.Mode,
			"reachability": d.Reach, "since_sample": age(d.Since, d.Sampled), "orig_latest_meas": d.OrigOffset,
			"latest_meas": d.Offset, "latest_meas_err": d.Error}, err
	case typeSourceStats:
		d, err := ParseStatistics(p)
		return map[string]any{"ref_id": reference(d.ReferenceID), "ip_addr": address(d.Address), "n_samples": d.Samples, "n_runs": d.Runs,
			"span_seconds": d.Span, "sd": d.Deviation, "resid_freq_ppm": d.ResidualFrequency, "skew_ppm": d.Skew,
			"est_offset": d.Offset, "est_offset_err": d.OffsetError}, err
	case typeActivity:
		d, err := ParseActivity(p)
		return map[string]any{"online": d.Online, "offline": d.Offline, "burst_online": d.BurstOnline, "burst_offline": d.BurstOffline,
			"unresolved": d.Unresolved}, err
	case typeSmoothing:
		d, err := ParseSmoothing(p)
		return map[string]any{"flags": truth(d.Active) | truth(d.LeapOnly)<<1, "offset": d.Offset, "freq_ppm": d.Frequency,
			"wander_ppm": d.Wander, "last_update_ago": d.LastAgo, "remaining_time": d.Remaining}, err
	case typeManualList:
		d, err := ParseManualList(p)
		samples := []any{}
		for _, s := range d {
			samples = append(samples, map[string]any{"when": stamp(s.When), "slewed_offset": s.Slewed, "orig_offset": s.Original, "residual": s.Residual})
		}
		return map[string]any{"n_samples": len(d), "samples": samples}, err
	case typeSourceName:
		d, err := ParseSourceName(p)
		return map[string]any{"name": d}, err
	}
	return decodedNTP(p)
}

func decodedNTP(p Reply) (map[string]any, error) {
	switch p.Type {
	case typeNTPData, typeNTPData2:
		d, err := ParseNTPData(p)
		return map[string]any{"remote_addr": address(d.Remote), "local_addr": address(d.Local), "remote_port": d.Port, "leap": d.Leap,
			"version": d.Version, "mode": d.Mode, "stratum": d.Stratum, "poll": d.Poll, "precision": d.Precision,
			"root_delay": d.RootDelay, "root_dispersion": d.RootDispersion, "ref_id": reference(d.ReferenceID), "ref_time": stamp(d.ReferenceTime),
			"offset": d.Offset, "peer_delay": d.PeerDelay, "peer_dispersion": d.PeerDispersion, "response_time": d.ResponseTime,
			"jitter_asymmetry": d.Asymmetry, "flags": d.Flags, "tx_tss_char": letter(d.TxSource), "rx_tss_char": letter(d.RxSource),
			"total_tx_count": d.Tx, "total_rx_count": d.Rx, "total_valid_count": d.Valid, "total_good_count": count(d.Good),
			"total_kernel_tx_ts": count(d.KernelTx), "total_kernel_rx_ts": count(d.KernelRx),
			"total_hw_tx_ts": count(d.HardwareTx), "total_hw_rx_ts": count(d.HardwareRx)}, err
	case typeAuthData:
		d, err := ParseAuthData(p)
		return map[string]any{"mode": d.Mode, "key_type": d.KeyType, "key_id": d.KeyID, "key_length": d.KeyLength, "ke_attempts": d.Attempts,
			"last_ke_ago": age(d.LastExchange, d.Exchanged), "cookies": d.Cookies, "cookie_length": d.CookieLength, "nak": truth(d.NAK)}, err
	case typeClients:
		d, err := ParseClients(p)
		clients := []any{}
		for _, c := range d.Clients {
			clients = append(clients, map[string]any{"ip": address(c.Address), "ntp_hits": c.NTP, "nke_hits": c.KeyExchange, "cmd_hits": c.Command,
				"ntp_drops": c.NTPDropped, "nke_drops": c.KeyExchangeDropped, "cmd_drops": c.CommandDropped, "ntp_interval": c.NTPInterval,
				"nke_interval": c.KeyExchangeInterval, "cmd_interval": c.CommandInterval, "ntp_timeout_interval": c.TimeoutInterval,
				"last_ntp_hit_ago": c.LastNTP, "last_nke_hit_ago": c.LastKeyExchange, "last_cmd_hit_ago": c.LastCommand})
		}
		return map[string]any{"n_indices": d.Indices, "next_index": d.Next, "n_clients": len(d.Clients), "clients": clients}, err
	case typeStats2, typeStats3, typeStats4:
		d, err := ParseStats(p)
		m := make(map[string]any)
		for i, name := range strings.Fields(`ntp_hits nke_hits cmd_hits ntp_drops nke_drops cmd_drops log_drops ntp_auth_hits ntp_interleaved_hits
			ntp_timestamps ntp_span_seconds ntp_daemon_rx_timestamps ntp_daemon_tx_timestamps ntp_kernel_rx_timestamps ntp_kernel_tx_timestamps
			ntp_hw_rx_timestamps ntp_hw_tx_timestamps`) {
			if i < len(d) {
				m[name] = d[i]
			}
		}
		return m, err
	case typeSelectData:
		d, err := ParseSelection(p)
		return map[string]any{"ref_id": reference(d.ReferenceID), "ip_addr": address(d.Address), "state_char": letter(d.State),
			"authentication": truth(d.Authenticated), "leap": d.Leap, "conf_options": d.Configured, "eff_options": d.Effective,
			"last_sample_ago": d.LastSample, "score": d.Score, "lo_limit": d.Low, "hi_limit": d.High}, err
	case typeManual:
		c, err := ParseCorrection(p)
		return map[string]any{"offset": c.Offset, "dfreq_ppm": c.FrequencyChange, "new_afreq_ppm": c.Frequency}, err
	}
	return nil, nil
}

// Every request that we can make is what real daemons took, octet for octet up to the padding.
func TestRequestsThatRealDaemonsTook(t *testing.T) {
	made := make(map[Command]int)
	for version, vectors := range daemons(t) {
		for _, v := range vectors {
			body, ours := bodyOf(v)
			if !ours || v.Request.Version != version6 || v.Reply == nil || v.Reply.Status == Invalid { // those were wrong on purpose
				continue
			}
			want := unhex(t, v.Request.Hex)
			got := Request{v.Request.Command, v.Request.Sequence, body}.AppendTo(nil)
			if len(got) != RequestLen || !samePadded(got, want) {
				t.Errorf("chrony %s %s:\n%x, want\n%x", version, v.Name, got, want)
			}
			made[v.Request.Command]++
		}
	}
	for c := Command(0); c < 100; c++ {
		if _, known := rows(c); known && made[c] == 0 && c != AddSource { // which is compared with chronyc's
			t.Errorf("no vector has the command %v (%d)", c, c)
		}
	}
}

const version6 = 6

func samePadded(a, b []byte) bool {
	n := min(len(a), len(b))
	return bytes.Equal(a[:n], b[:n]) && len(bytes.Trim(a[n:], "\x00")) == 0 && len(bytes.Trim(b[n:], "\x00")) == 0
}

// bodyOf makes the body from the arguments of a vector.
func bodyOf(v vector) (b Body, ours bool) {
	if _, known := rows(v.Request.Command); !known {
		return nil, false
	}
	a := v.Request.Args
	ip := func(key string) Address {
		text, _ := a[key].(string)
		addr, _ := netip.ParseAddr(text)
		return Address{IP: addr}
	}
	number := func(key string) float64 { n, _ := a[key].(float64); return n }
	prefix := func() netip.Prefix {
		if addr := ip("ip"); addr.IP.IsValid() {
			return netip.PrefixFrom(addr.IP, int(number("subnet_bits")))
		}
		return netip.Prefix{}
	}
	subnet := func() Subnet {
		to, by := ip("address"), ip("mask")
		if !to.IP.IsValid() {
			return Subnet{}
		}
		bits := 0
		for _, o := range by.IP.AsSlice() {
			for ; o != 0; o <<= 1 {
				bits++
			}
		}
		return Subnet(netip.PrefixFrom(to.IP, bits))
	}
	if v.Request.BodyLen == 0 {
		return nil, true
	}
	body := mustHex(v.Request.Hex)[requestHeader:]
	switch v.Request.Command {
	case SourceData, SourceStats, SelectDataCommand:
		return Index(binary.BigEndian.Uint32(body)), true
	case NTPDataCommand, AuthDataCommand, NTPSourceName, AccessCheck, CommandCheck, DelSource:
		r := reader{b: body}
		return Of(r.address()), true
	case ClientsCommand:
		r := reader{b: body}
		p := Page{First: r.u32()}
		if n := r.u32(); n != ClientsPerReply {
			return nil, false
		}
		p.MinHits, p.Reset = r.u32(), r.u32() != 0
		return p, true
	case Dump:
		return Zero{}, true
	case Online, Offline:
		return subnet(), true
	case Burst:
		return Measurements{subnet(), int32(number("n_good_samples")), int32(number("n_total_samples"))}, true
	case ModifyMinPoll:
		return Poll{ip("address"), int32(number("new_minpoll"))}, true
	case ModifyMaxPoll:
		return Poll{ip("address"), int32(number("new_maxpoll"))}, true
	case SetTime:
		r := reader{b: body}
		return Moment(r.time()), true
	case Allow, AllowAll, Deny, DenyAll:
		return Clientele(prefix()), !strings.Contains(v.Name, "bad")
	case Local2:
		return OldLocal{On: number("on_off") != 0, Stratum: int32(number("stratum")), Distance: number("distance"), Orphan: number("orphan") != 0}, true
	case Local3:
		return Local{On: number("on_off") != 0, Stratum: int32(number("stratum")), Distance: number("distance"), Orphan: number("orphan") != 0,
			Activate: number("activate")}, true
	}
	return nil, false
}

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
