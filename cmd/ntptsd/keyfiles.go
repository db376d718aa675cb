package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/ntptsd/ntptsd/internal/config"
)

// keyFile is a private key that the configuration names.
type keyFile struct {
	section string
	pair    config.Pair
}

// clientCA is a key that says where certificates are, and none where their key is.
const clientCA = "access.client-ca"

// keyFiles are all of them, but for those that ntptsd makes itself.
func keyFiles(cfg *config.Config) (all []keyFile) {
	add := func(section string, p config.Pair) {
		if !p.Managed() && p.Key != "" {
			all = append(all, keyFile{section, p})
		}
	}
	if k := cfg.KeyExchange; k != nil {
		add("keyexchange", config.Pair{Certificate: k.Certificate, Key: k.Key})
		for i, p := range k.Certificates {
			add(fmt.Sprintf("keyexchange.certificates[%d]", i), p)
		}
	}
	if m := cfg.Monitoring; m != nil {
		add("monitoring", config.Pair{Certificate: m.Certificate, Key: m.Key})
	}
	if a := cfg.Certs.Authority; a != nil {
		add("certs.authority", config.Pair{Certificate: a.Certificate, Key: a.Key})
	}
	return all
}

// looseKeys refuses private keys that everybody may read or that others than their owner may change, and warns of a foreign
// group that may read one. A key that is not there, or not to be seen, is told by who reads it.
func looseKeys(cfg *config.Config) (warnings []string, wrong error) {
	to, _ := namedAccount(cfg.User) // nil, and told elsewhere, if there is none: who asks
	var refusals []error
	told := make(map[string]bool)
	all := keyFiles(cfg)
	for _, p := range clientSigners(cfg) { // who has one of these is every operator
		all = append(all, keyFile{clientCA, p})
	}
	for _, f := range all {
		if told[f.pair.Key] {
			continue
		}
		told[f.pair.Key] = true
		info, err := os.Stat(f.pair.Key)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		mode := info.Mode().Perm()
		key := f.section + ".key"
		if f.section == clientCA {
			key = clientCA
		}
		switch owner := info.Sys().(*syscall.Stat_t); {
		case mode&0o007 != 0:
			refusals = append(refusals, fmt.Errorf("%s: %s has mode %04o, so every user of this machine may know the key: "+
				"replace key and certificate if that matters, then chmod %04o %s", key, f.pair.Key, mode, mode&0o640, f.pair.Key))
		case mode&0o020 != 0:
			refusals = append(refusals, fmt.Errorf("%s: %s has mode %04o, so its group may change the key: chmod %04o %s",
				key, f.pair.Key, mode, mode&0o640, f.pair.Key))
		case mode&0o040 != 0 && !to.hasGroup(int(owner.Gid)):
			warnings = append(warnings, fmt.Sprintf("%s: %s has mode %04o, so the group %d may read the key, and ntptsd is not in it: "+
				"chgrp it to a group of ntptsd's, or chmod 0600", key, f.pair.Key, mode, owner.Gid))
		}
	}
	return warnings, errors.Join(refusals...)
}

// looseFolder tells whether others than its owner may write to it. No more than a warning comes of that: volumes of containers are so,
// and there is nobody else in them.
func looseFolder(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o022 != 0
}

// hasGroup tells whether the account, or who we are, has that group. Root's is everybody's: who is in it may do all, and where
// an access list lets ntptsd read, the mode shows that list's mask as if it were this group's. As root we do not know whose
// groups count.
func (a *account) hasGroup(gid int) bool {
	switch {
	case a != nil:
		return gid == 0 || a.gid == gid || slices.Contains(a.groups, gid)
	case gid == 0 || os.Geteuid() == 0:
		return true
	}
	groups, _ := os.Getgroups()
	return os.Getegid() == gid || slices.Contains(groups, gid)
}
