// Command fetch downloads the peers of the interop cases. Without them the cases skip, so it fails only when
// NTPTSD_PEERS=require says that they must be there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/ntptsd/ntptsd/test/interop/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := peers.Dir()
	if err != nil {
		fail(err)
		return
	}
	for _, r := range peers.Releases() {
		if _, err := peers.Fetch(ctx, dir, r); err != nil {
			fail(err)
			continue
		}
		fmt.Printf("peers: %s is in %s\n", r.Name, dir)
	}
	if _, err := peers.Pebble(ctx, dir); err != nil {
		fail(err)
	} else {
		fmt.Printf("peers: pebble is in %s\n", dir)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peers:", err)
	if peers.Required() {
		os.Exit(1)
	}
}
