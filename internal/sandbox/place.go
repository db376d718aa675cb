package sandbox

import (
	"os"
	"path/filepath"
	"slices"
)

// maxLinks is where a chain of symbolic links is given up, as the kernel does.
const maxLinks = 40

// FileIn are the places by which a file can be opened, also after it was replaced: its folder and, where it is a symbolic link,
// those of all that it leads through. A folder that is a link to one beside it, as "current" to "release-42", may lead to
// another one later, so that what is beside it stays open, too. The root folder never does: there it is the file alone.
func FileIn(key, path string, access Access) []Place {
	var places []Place
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	add := func(folder, alone string) {
		p := Place{key, folder, access}
		if folder == "/" {
			p.Path = alone
		}
		if !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	for range maxLinks {
		path = filepath.Clean(path)
		folder := filepath.Dir(path)
		for at := folder; at != "/"; at = filepath.Dir(at) {
			target, err := os.Readlink(at)
			if err == nil && filepath.Dir(absolute(target, at)) == filepath.Dir(at) && filepath.Dir(at) != "/" {
				add(filepath.Dir(at), at)
			}
		}
		add(folder, path)
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if real, err := filepath.EvalSymlinks(folder); err == nil { // what is relative is so to where the link really lies
			path = filepath.Join(real, filepath.Base(path))
		}
		path = absolute(target, path)
	}
	return places
}

// absolute is where the link at path leads to.
func absolute(target, path string) string {
	if filepath.IsAbs(target) {
		return filepath.Clean(target)
	}
	return filepath.Join(filepath.Dir(path), target)
}
