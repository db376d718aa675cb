package config

import (
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// maxKey bounds the keys that are located: ours are short, and a name of all names of a deep nest costs its square.
const maxKey = 256

// locate notes the place of every key of a file, of every table and of every element of an array. The file was parsed
// before, so that nothing here can be wrong.
func (r *report) locate(s source) {
	l := locator{places: r.places, file: s.name, tables: make(map[string]int)}
	for i, c := range s.text {
		if c == '\n' {
			l.lines = append(l.lines, i+1)
		}
	}
	l.parser.Reset(s.text)
	table := ""
	for l.parser.NextExpression() {
		e := l.parser.Expression()
		switch e.Kind {
		case unstable.Table:
			table = l.key("", e.Key())
		case unstable.ArrayTable:
			name := l.key("", e.Key())
			table = element(name, l.tables[name])
			l.tables[name]++
			l.places[table] = l.places[name]
		case unstable.KeyValue:
			l.pair(table, e)
		}
	}
}

type locator struct {
	places map[string]place
	file   string
	parser unstable.Parser
	lines  []int          // where the lines from the second on begin
	tables map[string]int // how many [[tables]] of a name there were
}

// key joins the parts of a key onto the table it stands in, and notes the place of each of them.
func (l *locator) key(table string, parts unstable.Iterator) string {
	name := table
	for parts.Next() && len(name) < maxKey {
		n := parts.Node()
		if count := l.tables[name]; count > 0 {
			name = element(name, count-1)
		}
		name = join(name, string(n.Data))
		if known := l.places[name].file == l.file; !known || parts.IsLast() {
			l.note(name, n.Raw) // a table stays where its own header is
		}
	}
	return name
}

func (l *locator) pair(table string, e *unstable.Node) {
	l.value(l.key(table, e.Key()), e.Value())
}

func (l *locator) value(name string, v *unstable.Node) {
	if len(name) >= maxKey {
		return
	}
	children := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for children.Next() {
			l.pair(name, children.Node())
		}
	case unstable.Array:
		for i := 0; children.Next(); {
			n := children.Node()
			if n.Kind == unstable.Comment {
				continue
			}
			if n.Raw.Length > 0 { // arrays and inline tables have no place of their own: that of the key does
				l.note(element(name, i), n.Raw)
			}
			l.value(element(name, i), n)
			i++
		}
	}
}

func (l *locator) note(name string, at unstable.Range) {
	offset := int(at.Offset)
	line := sort.SearchInts(l.lines, offset+1)
	begin := 0
	if line > 0 {
		begin = l.lines[line-1]
	}
	l.places[name] = place{l.file, line + 1, offset - begin + 1}
}

func join(table, key string) string {
	if !bare(key) {
		key = strconv.Quote(key)
	}
	if table == "" {
		return key
	}
	return table + "." + key
}

func element(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

// bare tells whether a key is written without quotes (TOML 1.0, Keys).
func bare(key string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return key != "" && strings.Trim(key, letters) == ""
}
