package config

import (
	"strings"
)

// CredentialPrefix begins a seal that systemd hands over, systemd.exec(5).
const CredentialPrefix = "credential:"

// maxCredential bounds the name of one, as systemd does.
const maxCredential = 255

// WritesSealed tells whether the record is written sealed.
func (k *KeyRing) WritesSealed() bool { return k.Seal != "" && (k.Sealed == nil || *k.Sealed) }

func (k *KeyRing) validateSeal(r *report, section string) {
	name, credential := strings.CutPrefix(k.Seal, CredentialPrefix)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch {
	case k.Seal == "":
		if k.Sealed != nil {
			r.add(section+".sealed", show(*k.Sealed), "is about seal, and that is not set")
		}
	case !credential:
		r.path(section+".seal", k.Seal)
	case name == "" || len(name) > maxCredential || strings.Trim(name, letters) != "" || strings.Trim(name, ".") == "":
		r.add(section+".seal", show(k.Seal), "must be the path of a file, or %q and the name of a credential in the unit", CredentialPrefix)
	}
}
