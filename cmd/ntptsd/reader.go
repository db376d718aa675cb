package main

import (
	"context"
	"errors"

	"github.com/ntptsd/ntptsd/internal/config"
	"github.com/ntptsd/ntptsd/internal/keyring"
	"github.com/ntptsd/ntptsd/internal/neighbour"
	"github.com/ntptsd/ntptsd/internal/probe"
	"github.com/ntptsd/ntptsd/protocol/aead"
	"github.com/ntptsd/ntptsd/protocol/cookie"
)

// reader is the daemon that reads the key file of a ring of ours.
type reader struct {
	chrony *neighbour.Chrony // nil: it cannot be told to read
	server string            // where it serves time; config.None: nobody is asked
}

// readersBehind makes them. nil for a ring whose keys nobody else reads, or that somebody else rotates.
func readersBehind(door *neighbour.Door) func(c *config.KeyRing) keyring.Neighbour {
	return func(c *config.KeyRing) keyring.Neighbour {
		if c.NeighbourFile == "" || c.NeighbourServer == "" {
			return nil
		}
		r := &reader{server: c.NeighbourServer}
		if c.NeighbourSocket != "" && c.NeighbourSocket != config.None {
			r.chrony = door.Chrony(c.NeighbourSocket)
		}
		return r
	}
}

// Rekey implements keyring.Neighbour.
func (r *reader) Rekey(ctx context.Context) error {
	if r.chrony == nil {
		return errors.ErrUnsupported
	}
	return r.chrony.Rekey(ctx)
}

// Prove implements keyring.Neighbour. The session is of the AEAD that every NTS server knows.
func (r *reader) Prove(ctx context.Context, k *cookie.Key) error {
	_, err := probe.Prove(ctx, r.server, k, aead.AESSIVCMAC256)
	return err
}
