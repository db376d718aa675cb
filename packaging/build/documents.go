package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// file is one file of a package or an image.
type file struct {
	path string // without the leading slash
	mode fs.FileMode
	data []byte
}

const docFolder = "usr/share/doc/ntptsd/"

// documents are what the law and the reader want beside the binaries, in whatever form they come.
func (r *release) documents(bin *binaries) ([]file, error) {
	terms, err := os.ReadFile(filepath.Join(r.root, "packaging/deb/copyright"))
	if err != nil {
		return nil, err
	}
	licences, err := r.licences(bin)
	if err != nil {
		return nil, err
	}
	return []file{
		{docFolder + "copyright", 0o644, terms},
		{docFolder + "licences.gz", 0o644, licences},
	}, nil
}

// compressed is as "gzip -9n": no name and no time in it.
func compressed(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// changes is the Debian changelog: the newest part of ours, dated as the commit.
func (r *release) changes() ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return nil, err
	}
	sections := strings.SplitAfter(string(text), "\n## ")
	if len(sections) < 2 {
		return nil, errors.New("CHANGELOG.md has no section")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ntptsd (%s) unstable; urgency=medium\n", r.stamp.debian())
	b.WriteString(debianChanges(strings.TrimSuffix(sections[1], "\n## ")))
	fmt.Fprintf(&b, "\n -- %s  %s\n", maintainer, r.stamp.time.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	return compressed([]byte(b.String()))
}

// debianChanges turns a section of Markdown into what deb-changelog(5) wants.
func debianChanges(section string) string {
	var b strings.Builder
	item := ""
	flush := func() {
		if item != "" {
			b.WriteString(folded("  * ", "    ", item))
		}
		item = ""
	}
	for line := range strings.Lines(section) {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "### "):
			flush()
			fmt.Fprintf(&b, "\n  [ %s ]\n", strings.TrimPrefix(text, "### "))
		case strings.HasPrefix(line, "- "):
			flush()
			item = strings.TrimPrefix(text, "- ")
		case strings.HasPrefix(line, "  "):
			item += " " + text
		}
	}
	flush()
	return b.String()
}

// folded breaks text into lines of at most 80 columns.
func folded(first, further, text string) string {
	const width = 80
	lines := []string{first}
	for i, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case i == 0:
			*last += word
		case len(*last)+1+len(word) > width:
			lines = append(lines, further+word)
		default:
			*last += " " + word
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
