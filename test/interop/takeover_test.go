package interop

import (
	"errors"
	"testing"
)

var errStill = errors.New("not yet")

// TestTakeOverKeepsClients replaces ntptsd by itself, twice, beneath a real client: the cookies that it has go on to be opened,
// and nobody exchanges keys again.
func TestTakeOverKeepsClients(t *testing.T) {
	t.Parallel()
	covers(t, cell{chrony43.String(), asClient, interrupted})
	l, hosts := newLab(t, "", "server", "client")
	a := newAuthority(l)
	d := startNtptsd(hosts[0], settings{pair: a.issue("server", "server.test")})
	client := chrony43.client(hosts[1], a, "server.test nts", -2)
	eventually(t, syncTimeout, client.synchronised)
	for range 2 {
		before, _, err := client.received()
		if err != nil {
			t.Fatal(err)
		}
		old := d.process
		d.process = hosts[0].start("ntptsd-next", []string{d.program, "run", "--take-over", "--config", d.file})
		eventually(t, commandTimeout, func() error {
			select {
			case <-old.done:
				return nil
			default:
				return errStill
			}
		})
		if code := old.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the old one has ended with %d", code)
		}
		eventually(t, commandTimeout, func() error {
			now, _, err := client.received()
			if err == nil && now < before+8 { // more than it has cookies
				err = errStill
			}
			return err
		})
	}
	all, valid, err := client.received()
	if err != nil || all != valid {
		t.Errorf("%d answers, %d valid, %v", all, valid, err)
	}
	if auth, err := client.authData(); err != nil || auth.naks != "0" || auth.attempts != "0" {
		t.Errorf("after it: %+v, %v", auth, err)
	}
	if n := d.counted(served, `"served"`); n != 0 {
		t.Errorf("%v key exchanges with the last one, want none", n)
	}
}
