package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

// send sends a request to the handler.
func send(method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// built are the files of dist by their path in a URL.
func built(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := dist.ReadFile(name)
		files[strings.TrimSuffix(strings.TrimPrefix(name, "dist"), "index.html")] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files["/"] == nil || len(files) < 3 {
		t.Fatalf("dist has %d files, want a page, a script and a style sheet: npm run build makes them", len(files))
	}
	return files
}

func TestFilesAreServedWithTheirTypes(t *testing.T) {
	media := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", "": "text/html; charset=utf-8"}
	for name, want := range built(t) {
		for _, coding := range []string{"", "gzip", "br, GZIP;q=0.5", "gzip;q=0", "identity"} {
			r := send("GET", name, "Accept-Encoding", coding)
			got := body(t, r)
			if r.Header.Get("Content-Encoding") == "gzip" {
				if coding != "gzip" && coding != "br, GZIP;q=0.5" {
					t.Errorf("%s is packed for %q", name, coding)
				}
				z, err := gzip.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got, err = io.ReadAll(z); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if r.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
				t.Errorf("%s for %q: status %d and %d octets, want the %d of dist", name, coding, r.StatusCode, len(got), len(want))
			}
			if m := media[path.Ext(name)]; m == "" || r.Header.Get("Content-Type") != m {
				t.Errorf("%s: Content-Type %q, want %q", name, r.Header.Get("Content-Type"), m)
			}
		}
		caching := "public, max-age=31536000, immutable"
		if name == "/" {
			caching = "no-cache"
		}
		if got := send("GET", name).Header.Get("Cache-Control"); got != caching {
			t.Errorf("%s: Cache-Control %q, want %q", name, got, caching)
		}
	}
}

func TestScriptIsPacked(t *testing.T) {
	for name, whole := range built(t) {
		if path.Ext(name) != ".js" {
			continue
		}
		r := send("GET", name, "Accept-Encoding", "gzip")
		if n := len(body(t, r)); r.Header.Get("Content-Encoding") != "gzip" || n > len(whole)/2 || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d octets of %d, coding %q, Vary %q", name, n, len(whole), r.Header.Get("Content-Encoding"), r.Header.Get("Vary"))
		}
	}
}

func TestConditionalRequests(t *testing.T) {
	for name := range built(t) {
		for _, coding := range []string{"", "gzip"} {
			tag := send("GET", name, "Accept-Encoding", coding).Header.Get("ETag")
			for match, want := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, "": 200} {
				r := send("GET", name, "Accept-Encoding", coding, "If-None-Match", match)
				if n := len(body(t, r)); r.StatusCode != want || want == 304 && n > 0 || r.Header.Get("ETag") != tag {
					t.Errorf("%s with If-None-Match %s: status %d, %d octets, ETag %s; want %d", name, match, r.StatusCode, n, r.Header.Get("ETag"), want)
				}
			}
		}
	}
}

func TestHeadAndOtherMethods(t *testing.T) {
	whole := send("GET", "/")
	head := send("HEAD", "/")
	if n := len(body(t, head)); n > 0 || head.StatusCode != http.StatusOK || head.Header.Get("Content-Length") != whole.Header.Get("Content-Length") {
		t.Errorf("HEAD: status %d, %d octets, Content-Length %s, want that of GET, %s", head.StatusCode, n, head.Header.Get("Content-Length"), whole.Header.Get("Content-Length"))
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		if r := send(method, "/"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	for _, target := range []string{"/index.html", "/dist/index.html", "/assets", "/assets/", "/assets/../index.html", "//", "/web.go", "/assets/none.js"} {
		r := send("GET", target)
		if text := body(t, r); r.StatusCode != http.StatusNotFound || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || bytes.Contains(text, []byte(target)) && target != "/" && len(target) > 2 {
			t.Errorf("%s: status %d, %s: %s", target, r.StatusCode, r.Header.Get("Content-Type"), text)
		}
	}
}

// What "default-src 'self'" forbids must not be there: the page would be dead, or bare, in silence.
func TestPageKeepsTheStrictPolicy(t *testing.T) {
	html := string(built(t)["/"])
	for _, script := range regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(html, -1) {
		if strings.TrimSpace(script[2]) != "" || !strings.Contains(script[1], "src=") {
			t.Errorf("a script stands in the page: %s", script[0])
		}
	}
	for what, pattern := range map[string]string{
		"a style element": `(?i)<style`, "a style attribute": `(?i)\sstyle\s*=`, "a handler": `(?i)\son[a-z]+\s*=`,
		"a base": `(?i)<base`, "a javascript: address": `(?i)javascript:`,
	} {
		if found := regexp.MustCompile(pattern).FindString(html); found != "" {
			t.Errorf("%s stands in the page: %q", what, found)
		}
	}
	for _, m := range regexp.MustCompile(`(?i)(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
		if built(t)[m[1]] == nil || !strings.HasPrefix(m[1], "/assets/") {
			t.Errorf("the page needs %s, which is not built", m[1])
		}
	}
}

// Some addresses are names only; the one link in a message of the framework is text that it shows to developers.
var harmless = regexp.MustCompile(`^http://www\.w3\.org/|^https://svelte\.dev/e/`)

func TestNothingOfOtherHosts(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)\b(?:https?|wss?)://[^\s"'` + "`" + `<>)]*|data:image|@import[^;]*|\burl\([^)]*\)|["'(]//[a-z0-9-]+\.[a-z]`)
	for name, b := range built(t) {
		for _, found := range foreign.FindAllString(string(b), -1) {
			if !harmless.MatchString(found) {
				t.Errorf("%s speaks of %q", name, found)
			}
		}
	}
	for _, what := range []string{"eval(", "new Function", "document.write", "importScripts", "sendBeacon", "WebSocket("} {
		for name, b := range built(t) {
			if bytes.Contains(b, []byte(what)) {
				t.Errorf("%s has %q", name, what)
			}
		}
	}
}

// {@html} would make markup of what the daemon, its neighbour or its clients say.
func TestSourcesInsertTextOnly(t *testing.T) {
	markup := regexp.MustCompile(`\{@html|innerHTML|outerHTML|insertAdjacentHTML|\sstyle="`)
	seen := 0
	for _, folder := range []string{"src", "src/lib", "src/views"} {
		for name, text := range sourcesIn(t, folder) {
			seen++
			if found := markup.FindString(text); found != "" {
				t.Errorf("%s has %q", name, found)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d sources found: this test no longer sees them", seen)
	}
}
