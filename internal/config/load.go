package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// What a configuration may cost: a file given by mistake must not fill the memory.
const (
	maxFileSize = 1 << 20
	maxFiles    = 100
)

// source is one file and what stands in it, or why that cannot be told.
type source struct {
	name string
	text []byte
	err  error
}

// Load reads path, then the files of the folder beside it (ntptsd.d/*.toml for ntptsd.toml) in the order of their names.
// A key of a later file replaces that of an earlier one. The error is an Errors: everything that is wrong at once.
func Load(path string) (*Config, error) {
	names := []string{path}
	folder := strings.TrimSuffix(path, ".toml") + ".d"
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Errors{{File: folder, Problem: plain(err).Error()}}
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	if len(names) > maxFiles {
		return nil, Errors{{File: folder, Problem: fmt.Sprintf("has %d files, at most %d are read", len(names)-1, maxFiles-1)}}
	}
	sources := make([]source, len(names))
	for i, n := range names {
		text, err := readFile(n)
		sources[i] = source{n, text, err}
	}
	return parse(sources)
}

// Parse reads one configuration from memory; name stands in its errors.
func Parse(name string, text []byte) (*Config, error) {
	return parse([]source{{name: name, text: text}})
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, errors.New("is no regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(text) > maxFileSize {
		err = fmt.Errorf("is larger than %d octets", maxFileSize)
	}
	return text, err
}

// plain takes the operation and the path off an error: the file is named already.
func plain(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func parse(sources []source) (*Config, error) {
	c := &Config{}
	c.setDefaults()
	r := &report{places: make(map[string]place)}
	if r.read(c, sources) {
		c.derive(r.given)
		c.validate(r)
	}
	if err := r.result(); err != nil {
		return nil, err
	}
	c.places = r.places
	return c, nil
}

// read fills c from all sources. It tells whether every one could be read, so that what is missing is really missing.
func (r *report) read(c *Config, sources []source) bool {
	complete := true
	for _, s := range sources {
		r.files = append(r.files, s.name)
		tree := make(map[string]any)
		if s.err == nil {
			s.err = toml.Unmarshal(s.text, &tree)
		}
		if s.err != nil {
			r.unreadable(s)
			complete = false
			continue
		}
		r.locate(s)
		r.table(reflect.ValueOf(c).Elem(), "", tree)
	}
	return complete
}

func (r *report) unreadable(s source) {
	p := place{file: s.name}
	if d, ok := errors.AsType[*toml.DecodeError](s.err); ok {
		p.line, p.column = d.Position()
	}
	r.at(p, "", "", strings.TrimPrefix(plain(s.err).Error(), "toml: "))
}
