package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/spf13/cobra"
)

const probeLong = `Ask a server whether NTS really protects: one key exchange, then one time exchange with a cookie
of the key exchange and one with a cookie that the time server returned.

HOST is a name, an address, or either with the port of the key exchange (with --plain: of the
time server), as in ntp.example.net, [2001:db8::1]:4460. Offsets are in seconds; positive means
that the server is ahead. The clock is never touched.

The exit code is that of the monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown.`

// The limits that are not given.
const (
	defaultWarn     = "offset=500ms,days=14"
	defaultCritical = "offset=5s,days=2"
)

// maxCAFile bounds the file of trusted certificates.
const maxCAFile = 4 << 20

// probeFlags are the options of probe as they were typed.
type probeFlags struct {
	plain, json    bool
	ca             string
	count          int
	timeout        time.Duration
	aeads          []uint
	warn, critical string
}

func probeCommand(code *int) *cobra.Command {
	var f probeFlags
	c := &cobra.Command{
		Use:   "probe HOST[:PORT]",
		Short: "ask a server whether NTS really protects",
		Long:  probeLong,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("probe takes one HOST, not %d; see %s --help", len(args), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			s, err := runProbe(c.Context(), args[0], f, c.OutOrStdout())
			*code = int(s)
			return err
		},
	}
	c.Flags().BoolVar(&f.plain, "plain", false, "NTP without NTS")
	c.Flags().BoolVar(&f.json, "json", false, "one JSON object instead of text")
	c.Flags().StringVar(&f.ca, "ca", "", "trust the certificates in `FILE` (PEM) instead of the system's")
	c.Flags().IntVar(&f.count, "count", 2, "time exchanges, a second apart after the second one")
	c.Flags().DurationVar(&f.timeout, "timeout", 10*time.Second, "for everything but the pauses of --count")
	c.Flags().UintSliceVar(&f.aeads, "aead", []uint{uint(aead.AESSIVCMAC256)}, "offer these AEADs, by IANA `number`, the preferred one first")
	c.Flags().StringVar(&f.warn, "warn", defaultWarn, "warn beyond these `limits`; 0 switches one off")
	c.Flags().StringVar(&f.critical, "critical", defaultCritical, "these `limits` are critical")
	return c
}

func runProbe(ctx context.Context, target string, f probeFlags, out io.Writer) (probe.Status, error) {
	o, err := f.options(target)
	if err != nil {
		return probe.Unknown, err
	}
	warn, err := parseLimits("--warn", defaultWarn, f.warn)
	if err != nil {
		return probe.Unknown, err
	}
	critical, err := parseLimits("--critical", defaultCritical, f.critical)
	if err != nil {
		return probe.Unknown, err
	}
	if !f.json {
		o.OnExchange = func(e probe.Exchange) { writeExchange(out, e) }
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout+time.Duration(max(0, f.count-2))*time.Second)
	defer cancel()
	if !f.json {
		o.OnKeyExchange = func(ke probe.KE) { writeKeyExchange(out, ke) }
	}
	r := probe.Run(ctx, o)
	status, found := probe.Judge(r, warn, critical, time.Now())
	if f.json {
		return status, writeJSON(out, r, status, found)
	}
	writeVerdict(out, r, status, found, f.ca)
	return status, nil
}

func (f probeFlags) options(target string) (probe.Options, error) {
	o := probe.Options{Plain: f.plain, Count: f.count}
	var err error
	if o.Host, o.Port, err = splitTarget(target); err != nil {
		return o, err
	}
	if f.count < 1 || f.count > probe.MaxCount {
		return o, fmt.Errorf("--count %d: 1 to %d", f.count, probe.MaxCount)
	}
	if f.timeout <= 0 {
		return o, fmt.Errorf("--timeout %v: more than 0", f.timeout)
	}
	for _, n := range f.aeads {
		id := aead.ID(n)
		if uint(id) != n || !id.Known() {
			return o, fmt.Errorf("--aead %d: 15, 16, 17 or 30", n)
		}
		o.AEADs = append(o.AEADs, id)
	}
	if f.ca != "" {
		o.Roots, err = readRoots(f.ca)
	}
	return o, err
}

// splitTarget takes HOST, HOST:PORT, ADDR, [ADDR] or [ADDR]:PORT.
func splitTarget(target string) (host string, port uint16, err error) {
	if strings.Contains(target, "/") {
		return "", 0, fmt.Errorf("%s: a name or an address, without a scheme or a path", target)
	}
	host, text, err := net.SplitHostPort(target)
	if err != nil { // no port
		inside, left := strings.CutPrefix(target, "[")
		inside, right := strings.CutSuffix(inside, "]")
		if _, err := netip.ParseAddr(inside); left != right || err != nil && (left || strings.Contains(inside, ":")) {
			return "", 0, fmt.Errorf("%s: an IPv6 address with a port is written [ADDRESS]:PORT", target)
		}
		host, text = inside, ""
	}
	if host == "" {
		return "", 0, fmt.Errorf("%q: a name or an address of whom to probe", target)
	}
	if err != nil {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%s: the port must be 1 to 65535", target)
	}
	return host, uint16(n), nil
}

func readRoots(name string) (*x509.CertPool, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	defer file.Close()
	pem, err := io.ReadAll(io.LimitReader(file, maxCAFile))
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s: no certificate in PEM form in it", name)
	}
	return pool, nil
}

// parseLimits reads "offset=50ms,days=14". What text does not name is as in defaults: who asks for a smaller offset still
// wants to hear of the certificate.
func parseLimits(flag, defaults, text string) (probe.Limits, error) {
	var l probe.Limits
	var errs []error
	for item := range strings.SplitSeq(defaults+","+text, ",") {
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		var err error
		switch name {
		case "offset":
			l.Offset, err = time.ParseDuration(value)
			if err != nil || l.Offset < 0 {
				err = fmt.Errorf("%s %s: a duration such as offset=50ms", flag, item)
			}
		case "days":
			l.Days, err = strconv.ParseFloat(value, 64)
			if err != nil || !(l.Days >= 0) {
				err = fmt.Errorf("%s %s: a number of days such as days=14", flag, item)
			}
		default:
			err = fmt.Errorf("%s %s: offset=DURATION or days=NUMBER", flag, item)
		}
		errs = append(errs, err)
	}
	return l, errors.Join(errs...)
}

func writeJSON(out io.Writer, r probe.Report, s probe.Status, found []probe.Finding) error {
	if found == nil {
		found = []probe.Finding{}
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Status   string          `json:"status"`
		Findings []probe.Finding `json:"findings"`
		probe.Report
	}{s.String(), found, r})
}
