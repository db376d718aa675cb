package browser

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	results     = "../../.cache/browser"
	driveWithin = 4 * time.Minute
)

// host is an ntptsd that can be looked at.
type host interface {
	URL() string                      // of the dashboard, without token
	Link(role string) (string, error) // a one-time token
	Bearer() string                   // a monitor's token that outlives a restart
	Stop() error
	Start() error
}

// papers are the files that a browser gets.
type papers struct {
	CA, Server, Certificate, Key string // Certificate and Key are a client's
}

// plan is what drive.mjs is told.
type plan struct {
	Name        string   `json:"name"` // of the host, in the names of screenshots
	URL         string   `json:"url"`
	Bearer      string   `json:"bearer"`
	SPKI        string   `json:"spki"` // of the server's key, which Chromium is to trust
	Chromium    string   `json:"chromium"`
	Screenshots string   `json:"screenshots"`
	Profile     string   `json:"profile"`
	Certificate string   `json:"certificate"` // of a client
	Key         string   `json:"key"`
	Sections    []string `json:"sections"` // texts that must be there
}

// need skips where this is not wanted, and fails where it is and cannot be.
func need(t *testing.T) (node, npm, chromium string) {
	t.Helper()
	if os.Getenv("NTPTSD_BROWSER") != "1" {
		t.Skip("set NTPTSD_BROWSER=1 to drive a real Chromium")
	}
	found := make([]string, 3)
	for i, name := range []string{"node", "npm", "chromium"} {
		p, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%v: install it, on Debian by apt-get install --no-install-recommends %s", err, name)
		}
		found[i] = p
	}
	return found[0], found[1], found[2]
}

// install brings playwright-core and the script into .cache, where node finds one from the other.
func install(t *testing.T, npm string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(results, "node"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "package-lock.json", "drive.mjs", "actions.mjs"} {
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// drive lets the browser look at h. The script asks on its standard output for what only we can do, and hears on its input
// that it was done.
func drive(t *testing.T, name string, h host, p papers, sections ...string) {
	t.Helper()
	node, npm, chromium := need(t)
	dir := install(t, npm)
	shots, err := filepath.Abs(results)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(shots, name+"-failed.png")); err != nil && !errors.Is(err, os.ErrNotExist) { // of an earlier run
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), driveWithin)
	defer cancel()
	c := exec.CommandContext(ctx, node, "drive.mjs")
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) } // Chromium, too
	c.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+p.CA)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	say(t, in, plan{Name: name, URL: h.URL(), Bearer: h.Bearer(), SPKI: spki(t, p.Server), Chromium: chromium, Screenshots: shots,
		Profile: t.TempDir(), Certificate: p.Certificate, Key: p.Key, Sections: sections})
	serve(t, h, in, out)
	if err := c.Wait(); err != nil {
		t.Errorf("drive.mjs: %v; its last words stand above", err)
	}
}

// serve does what the script asks for, until it ends.
func serve(t *testing.T, h host, in io.Writer, out io.Reader) {
	t.Helper()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var wish struct{ Ask, Say, Role string }
		if err := json.Unmarshal(lines.Bytes(), &wish); err != nil {
			t.Log(lines.Text())
			continue
		}
		var answer struct {
			Token string `json:"token"`
			Error string `json:"error"`
		}
		var err error
		switch wish.Ask {
		case "link":
			answer.Token, err = h.Link(wish.Role)
		case "stop":
			err = h.Stop()
		case "start":
			err = h.Start()
		case "":
			t.Log(wish.Say)
			continue
		default:
			err = fmt.Errorf("nobody knows how to do %q", wish.Ask)
		}
		if err != nil {
			t.Errorf("%s: %v", wish.Ask, err)
			answer.Error = err.Error()
		}
		say(t, in, answer)
	}
}

func say(t *testing.T, to io.Writer, what any) {
	t.Helper()
	b, err := json.Marshal(what)
	if err == nil {
		_, err = to.Write(append(b, '\n'))
	}
	if err != nil {
		t.Errorf("drive.mjs does not listen: %v", err)
	}
}

// spki is how Chromium names a server's key: it is to trust this one and no other, and not to ignore errors.
func spki(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s is no PEM", file)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
