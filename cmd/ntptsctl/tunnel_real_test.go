package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ntptsd/ntptsd/protocol/cmdmon"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// realTool puts a real program, unchanged, where it is looked for: the machine's own, or one that the interop cases have
// unpacked (make peers).
func realTool(t *testing.T, name, release string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	root, err := filepath.Abs(filepath.Join(cmp.Or(os.Getenv("NTPTSD_PEERS_DIR"), "../../.cache/peers"), release))
	if err != nil {
		t.Fatal(err)
	}
	libraries := glob(root, "lib/*-linux-gnu*")
	libraries = append(libraries, glob(root, "usr/lib/*-linux-gnu*")...)
	var loaders []string
	for _, dir := range libraries {
		loaders = append(loaders, glob(dir, "ld-linux*.so.*")...)
	}
	if len(loaders) > 0 {
		script := fmt.Sprintf("#!/bin/sh\nexec '%s' --library-path '%s' '%s/usr/bin/%s' \"$@\"\n", loaders[0], strings.Join(libraries, ":"), root, name)
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		return
	}
	t.Skipf("no %s on this machine, nor in %s (make peers); the interop cases need them all", name, root)
}

func glob(dir, pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, pattern))
	return found
}

func TestRealChronyc(t *testing.T) {
	realTool(t, "chronyc", "bookworm")
	var file struct {
		Vectors []struct {
			Request struct{ Command cmdmon.Command }
			Reply   *struct {
				Hex    string
				Status cmdmon.Status
			}
		}
	}
	b, err := os.ReadFile("../../protocol/cmdmon/testdata/cmdmon-chrony-4.3.json")
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, out, err := through(t, &far{answer: "OK", reply: func(question []byte) []byte {
		q, err := cmdmon.ParseRequest(question)
		if err != nil {
			t.Error(err)
		}
		for _, v := range file.Vectors {
			if v.Request.Command == q.Command && v.Reply != nil && v.Reply.Status == cmdmon.Success {
				reply, _ := hex.DecodeString(v.Reply.Hex)
				copy(reply[16:20], question[8:12]) // the sequence
				return reply
			}
		}
		return cmdmon.Reply{Command: q.Command, Type: 1, Status: cmdmon.Unauthorised, Sequence: q.Sequence}.AppendTo(nil)
	}}, "", "chronyc", "host", "-n", "-m", "tracking", "serverstats", "rtcdata")
	if code != 1 || err != nil {
		t.Errorf("code %d, %v", code, err)
	}
	for _, want := range []string{"Stratum         : 3\n", "NTP packets received       : ", "501 Not authorised\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestRealNtpq(t *testing.T) {
	realTool(t, "ntpq", "bullseye")
	code, out, err := through(t, &far{answer: "OK", reply: func(question []byte) []byte {
		q, err := mode6.ParseRequest(question)
		if err != nil {
			t.Error(err)
		}
		return mode6.Fragment{Version: q.Version, Op: q.Op, Sequence: q.Sequence, Association: q.Association, Data: []byte("stratum=7\r\n")}.AppendTo(nil)
	}}, "", "ntpq", "host", "-c", "rv 0 stratum")
	if err != nil || code != 0 || !strings.Contains(out, "stratum=7") {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}
