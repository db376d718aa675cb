package api

import "time"

// Event kinds of what operators do.
const (
	EventBan      = "ban"      // a network is banned, or not any more
	EventListener = "listener" // drained, or not any more
	EventAccess   = "access"   // somebody may log in, or not any more
)

// LevelArg is a level of the log.
type LevelArg struct {
	Level string `json:"level" help:"debug, info, warn or error"`
}

// LogState is what is written to the log.
type LogState struct {
	Level      string `json:"level"`      // now
	Configured string `json:"configured"` // what a reload goes back to
}

// Ban is a network that is refused everywhere.
type Ban struct {
	Network     string     `json:"network"`
	Reason      string     `json:"reason"`
	Until       *time.Time `json:"until"`        // null: until it is removed
	LeftSeconds *float64   `json:"left_seconds"` // by the clock that nobody sets
	From        string     `json:"from"`         // configuration, or runtime: gone after a restart
}

// Where a Ban comes from.
const (
	FromConfiguration = "configuration"
	FromRuntime       = "runtime"
)

// Bans are all networks that are refused, and what came from them.
type Bans struct {
	Bans    []Ban   `json:"bans"`
	Refused []Count `json:"refused"` // since the start, by service
}

// BanArg says which network is to be refused, and how long.
type BanArg struct {
	Network string `json:"network" help:"network or address, as in 192.0.2.0/24"`
	Reason  string `json:"reason" help:"why, for those who read the list"`
	Seconds int    `json:"seconds" help:"so long; until it is removed unless given"`
	Wide    bool   `json:"wide" help:"ban a network wider than /8, or /16 of IPv6, too"`
}

// UnbanArg says which network is to be refused no longer.
type UnbanArg struct {
	Network string `json:"network" help:"the network, as bans shows it"`
}

// Listener is a socket that clients come to.
type Listener struct {
	Name      string `json:"name"`    // ADDRESS:PORT/tcp or /udp, or the path of the control socket
	Service   string `json:"service"` // keyexchange, timeserver, monitoring, management
	Transport string `json:"transport"`
	Address   string `json:"address"`
	Drains    bool   `json:"drains"` // whether it can
	Draining  bool   `json:"draining"`
}

// Serving is whether this host takes clients, and where.
type Serving struct {
	Draining  bool       `json:"draining"` // the whole of it
	Listeners []Listener `json:"listeners"`
}

// ListenerArg names a listener.
type ListenerArg struct {
	Listener string `json:"listener" help:"name of the listener, as listeners shows it"`
}

// RevokeArg names a key of a ring.
type RevokeArg struct {
	Ring string `json:"ring" help:"name of the ring"`
	Key  string `json:"key" help:"id or fingerprint of the key, as keys shows it"`
	NAKs int    `json:"naks" help:"so many clients a second are told to exchange keys anew, the others ask again; 100 unless given"`
}

// Revocation is what the end of a key before its time means, or has meant.
type Revocation struct {
	Ring          string    `json:"ring"`
	Key           string    `json:"key"`
	Fingerprint   string    `json:"fingerprint"`
	State         string    `json:"state"`          // that it had: old, current, next
	Rotations     int       `json:"rotations"`      // since it was current; negative: it was not yet
	PromisedUntil time.Time `json:"promised_until"` // the announced end, which is broken
	Also          []string  `json:"also"`           // further keys that end with it, since chronyd has room for four
	Unknown       string    `json:"unknown"`        // who may not know the key that mints now, and what that means; empty: all do
	NAKs          int       `json:"naks"`
	Current       string    `json:"current"` // the key that mints now; empty in a plan
	Next          string    `json:"next"`
	Problem       string    `json:"problem"` // of the ring afterwards
}

// FromCommand is where a Grant comes from that a command has issued.
const FromCommand = "command"

// Grant is somebody who may log in at the services port, or may no more.
type Grant struct {
	Kind      string     `json:"kind"` // certificate, token, loopback
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	Only      []string   `json:"only"`       // commands and doors; none: all that the role may
	From      []string   `json:"from"`       // networks that a token counts from; none: all
	Shows     string     `json:"shows"`      // the name or the SHA-256 that a certificate is known by
	Source    string     `json:"source"`     // configuration, command
	IssuedBy  string     `json:"issued_by"`  // of a command
	Until     *time.Time `json:"until"`      // null: what is shown says when it ends
	LastUse   *time.Time `json:"last_use"`   // null: not since the start
	Revoked   *time.Time `json:"revoked"`    // null: it counts
	RevokedBy string     `json:"revoked_by"` //
	Of        string     `json:"-"`          // what it is known by inside
}

// Grants are all of them.
type Grants struct {
	Grants []Grant `json:"grants"`
}

// TokenArg says whom a new token is for.
type TokenArg struct {
	Name string `json:"name" help:"name of who gets it, by which the log and the audit know it"`
	Role string `json:"role" help:"monitor, operator or admin"`
	Only string `json:"only" help:"the commands and doors that it is for, with commas between; all that the role may unless given"`
	From string `json:"from" help:"the networks that it counts from, with commas between; all unless given"`
	Days int    `json:"days" help:"the days that it lasts; 365 unless given"`
}

// CertificateArg says whom a new certificate is for.
type CertificateArg struct {
	Name string `json:"name" help:"name of who gets it, by which the log and the audit know it"`
	Role string `json:"role" help:"monitor, operator or admin"`
	Only string `json:"only" help:"the commands and doors that it is for, with commas between; all that the role may unless given"`
	Days int    `json:"days" help:"the days that it lasts; 90 unless given"`
}

// LoginNameArg names who may log in.
type LoginNameArg struct {
	Name string `json:"name" help:"name as access shows it; token/NAME or certificate/NAME where both have it"`
}

// IssuedToken is a new token, which is told once.
type IssuedToken struct {
	Name  string    `json:"name"`
	Role  string    `json:"role"`
	Until time.Time `json:"until"`
	Token string    `json:"token"`
}

// IssuedCertificate is a new certificate and its key, PEM, which is told once.
type IssuedCertificate struct {
	Name        string    `json:"name"`
	Role        string    `json:"role"`
	Until       time.Time `json:"until"`
	Fingerprint string    `json:"fingerprint"` // SHA-256
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
}

// Setting is one key of the configuration.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"` // as TOML writes it; of secrets nothing but a name
	From  string `json:"from"`  // FILE:LINE, default, or what has changed it
}

// Configuration is what counts now.
type Configuration struct {
	Text     string    `json:"text"` // TOML
	Settings []Setting `json:"settings"`
	Runtime  []string  `json:"runtime"` // what was changed by commands beside these, kept or not
}

// CertificateNameArg names a certificate that ntptsd renews itself.
type CertificateNameArg struct {
	Name string `json:"name" help:"acme or authority, or one of the names that the certificate is for"`
}
