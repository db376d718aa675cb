package neighbour

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// The bounds of what is read of other daemons' configurations.
const (
	maxConfiguration = 1 << 20 // octets of a file
	maxIncluded      = 100     // files
	maxIncludeDepth  = 8
)

const (
	ntpPort         = 123
	keyExchangePort = 4460
)

// reading is the configuration of one daemon while it is read.
type reading struct {
	root   string
	daemon string
	claims []Claim
	unread []error
	files  int
}

func exists(root, path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

// cut tells that not all was read, so that a port may be claimed that we do not know of.
func (r *reading) cut(what string, most int) {
	r.unread = append(r.unread, fmt.Errorf("%s's configuration is not read to its end: more than %d %s", r.daemon, most, what))
}

func (r *reading) text(path string) string {
	if r.files++; r.files > maxIncluded {
		if r.files == maxIncluded+1 {
			r.cut("files", maxIncluded)
		}
		return ""
	}
	f, err := os.Open(filepath.Join(r.root, path))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.unread = append(r.unread, fmt.Errorf("%s's configuration cannot be read, so that its ports are not known: %w", r.daemon, err))
		}
		return ""
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxConfiguration+1))
	if err != nil {
		r.unread = append(r.unread, err)
	}
	if len(b) > maxConfiguration {
		r.cut("octets in /"+path, maxConfiguration)
	}
	return string(b)
}

func (r *reading) claim(file, network string, port uint16, addrs ...netip.Addr) {
	if len(addrs) == 0 {
		addrs = []netip.Addr{netip.IPv6Unspecified()}
	}
	for _, a := range addrs {
		r.claims = append(r.claims, Claim{r.daemon, "/" + file, network, netip.AddrPortFrom(a, port)})
	}
}

// lines gives the words of each line that is no comment; an included file's stand where it is included.
func (r *reading) lines(path string, depth int, included func(words []string) []string, each func(words []string)) {
	if depth > maxIncludeDepth {
		r.cut("files that include each other", maxIncludeDepth)
		return
	}
	for line := range strings.Lines(r.text(path)) {
		words := strings.Fields(line)
		if i := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w[:1], "#") }); i >= 0 {
			words = words[:i]
		}
		if len(words) == 0 || strings.ContainsAny(words[0][:1], "!;%") {
			continue
		}
		words[0] = strings.ToLower(words[0])
		each(words)
		for _, pattern := range included(words) {
			found, _ := filepath.Glob(filepath.Join(r.root, pattern))
			for _, f := range found {
				if rel, err := filepath.Rel(r.root, f); err == nil {
					r.lines(rel, depth+1, included, each)
				}
			}
		}
	}
}

// chrony: chronyd opens its port for good only where an allow, a peer, a broadcast or that acquisitionport stands, and serves
// NTS-KE only with a certificate and a key.
func (r *reading) chrony(path string) {
	port, from, ntsPort, serves, files := ntpPort, 0, keyExchangePort, false, 0
	var addrs []netip.Addr
	r.lines(path, 0, func(w []string) []string {
		switch {
		case w[0] == "include" && len(w) > 1:
			return w[1:2]
		case w[0] == "confdir":
			var all []string
			for _, dir := range w[1:] {
				all = append(all, filepath.Join(dir, "*.conf"))
			}
			return all
		}
		return nil
	}, func(w []string) {
		value := ""
		if len(w) > 1 {
			value = w[1]
		}
		switch w[0] {
		case "allow", "peer", "broadcast":
			serves = true
		case "acquisitionport":
			from, _ = strconv.Atoi(value)
		case "port":
			port, _ = strconv.Atoi(value)
		case "ntsport":
			ntsPort, _ = strconv.Atoi(value)
		case "ntsservercert", "ntsserverkey":
			files++
		case "bindaddress":
			if a, err := netip.ParseAddr(value); err == nil {
				addrs = append(addrs, a)
			}
		}
	})
	if (serves || from == port) && port > 0 && port <= 65535 {
		r.claim(path, "udp", uint16(port), bothFamilies(addrs)...)
	}
	if files > 1 && ntsPort > 0 && ntsPort <= 65535 {
		r.claim(path, "tcp", uint16(ntsPort), bothFamilies(addrs)...)
	}
}

// bothFamilies: chronyd binds the other family's wildcard unless it is given an address of that family, too.
func bothFamilies(addrs []netip.Addr) []netip.Addr {
	if len(addrs) == 0 {
		return nil
	}
	if !slices.ContainsFunc(addrs, netip.Addr.Is4) {
		addrs = append(addrs, netip.IPv4Unspecified())
	}
	if !slices.ContainsFunc(addrs, netip.Addr.Is6) {
		return append(addrs, netip.IPv6Unspecified())
	}
	return addrs
}

// ntpd: classic and NTPsec bind port 123 of every address, unless they are told to ignore the wildcard and to listen on
// addresses; loopback they always take. NTPsec's key exchange knows no other port than 4460.
func (r *reading) ntpd(path string) {
	wildcard, named, nts := true, true, false
	addrs := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	loopbacks := len(addrs)
	included := func(w []string) []string {
		if w[0] == "includefile" && len(w) > 1 {
			return r.ntpdFiles(path, strings.Trim(w[1], `"`))
		}
		return nil
	}
	each := func(w []string) {
		switch {
		case w[0] == "nts" && slices.Contains(w, "enable"):
			nts = true
		case (w[0] == "interface" || w[0] == "nic") && len(w) > 2:
			switch a, err := netip.ParseAddr(w[2]); {
			case w[1] != "listen":
				wildcard = wildcard && w[2] != "wildcard"
			case err != nil: // a network or the name of an interface may be any address
				named = false
			default:
				addrs = append(addrs, a)
			}
		}
	}
	r.lines(path, 0, included, each)
	for _, more := range r.ntpdFiles(path, "ntp.d") { // NTPsec reads that folder, told or not
		r.lines(strings.TrimPrefix(more, "/"), 1, included, each)
	}
	if wildcard || !named || len(addrs) == loopbacks {
		addrs = nil
	}
	r.claim(path, "udp", ntpPort, addrs...)
	if nts {
		r.claim(path, "tcp", keyExchangePort)
	}
}

// ntpdFiles are those that an includefile names: a file, or all that end in .conf in a folder and below. What is relative is
// so to the file that ntpd reads first.
func (r *reading) ntpdFiles(first, name string) (files []string) {
	if !filepath.IsAbs(name) {
		name = filepath.Join("/", filepath.Dir(first), name)
	}
	top := filepath.Join(r.root, name)
	if info, err := os.Stat(top); err != nil || !info.IsDir() {
		return []string{name}
	}
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".conf") && len(files) <= maxIncluded {
			files = append(files, strings.TrimPrefix(path, filepath.Clean(r.root)))
		}
		return nil
	})
	return files
}

// ntpdrs: ntpd-rs listens where its [[server]] and [[nts-ke-server]] tables say.
func (r *reading) ntpdrs(path string) {
	type table struct {
		Listen string `toml:"listen"`
	}
	var c struct {
		Server      []table `toml:"server"`
		KeyExchange []table `toml:"nts-ke-server"`
	}
	if err := toml.Unmarshal([]byte(r.text(path)), &c); err != nil {
		r.unread = append(r.unread, fmt.Errorf("/%s: %w", path, err))
		return
	}
	claim := func(network string, port uint16, all []table) {
		for _, t := range all {
			if a, err := netip.ParseAddrPort(t.Listen); err == nil {
				r.claim(path, network, a.Port(), a.Addr())
			} else if a, err := netip.ParseAddr(t.Listen); err == nil {
				r.claim(path, network, port, a)
			}
		}
	}
	claim("udp", ntpPort, c.Server)
	claim("tcp", keyExchangePort, c.KeyExchange)
}
