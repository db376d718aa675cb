// Package web is the dashboard: one page that shows a running ntptsd in a browser. Its sources lie in src and are built by npm
// (README.md tells how); what they become is committed in dist and lies inside the binary, so that Go alone builds ntptsd.
// The page holds no secret, has no script or style in its markup, and asks nobody but who sent it. The headers that hold a
// browser to that, and the data, are the business of who serves the page: frontdoor.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// page is the one document. It names the assets, which have a hash of their content in their names.
const page = "/"

const (
	// forYears: a file with another content has another name.
	forYears = "public, max-age=31536000, immutable"
	// ask: a new ntptsd may have another page.
	ask = "no-cache"
)

// file is one of dist, as it is answered with.
type file struct {
	plain, packed []byte // packed by gzip; nil where that saves nothing
	media, tag    string
	caching       string
}

// Handler serves the page and its assets. It packs them once, which takes some milliseconds.
func Handler() http.Handler {
	files := make(map[string]*file)
	// Nothing here fails: the files are in memory.
	_ = fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := dist.ReadFile(name)
		if err != nil {
			return err
		}
		f := &file{plain: b, packed: pack(b), media: mediaType(name), tag: tagOf(b), caching: forYears}
		at := strings.TrimPrefix(name, "dist")
		if at == "/index.html" {
			at, f.caching = page, ask
		}
		files[at] = f
		return nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := files[r.URL.Path]; f != nil {
			f.serve(w, r)
			return
		}
		http.Error(w, "there is no such file; the dashboard is at /", http.StatusNotFound)
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the dashboard takes GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	body, tag := f.plain, `"`+f.tag+`"`
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = f.packed, `"`+f.tag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	h.Set("Cache-Control", f.caching)
	if has(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}

// has tells whether an If-None-Match names the tag, RFC 9110 section 13.1.2.
func has(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// takesGzip reads an Accept-Encoding, RFC 9110 section 12.5.3. What is said of * is not worth the trouble: browsers name gzip.
func takesGzip(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		coding, weight, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}

func tagOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// pack is b in gzip; nil if it is hardly smaller.
func pack(b []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := z.Write(b); err != nil || z.Close() != nil || out.Len() > len(b)*9/10 {
		return nil
	}
	return out.Bytes()
}

// mediaType knows the few that there are. The system's table is not asked: it differs from host to host.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
