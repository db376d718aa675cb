package neighbour

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/ntptsd/ntptsd/internal/api"
	"github.com/ntptsd/ntptsd/protocol/mode6"
)

// maxKeysFile bounds what is read of a keys file: ntpd itself has room for 65535 keys, and uses a few.
const maxKeysFile = 1 << 20

// controlKey is where the key lies that ntpd takes changes by.
type controlKey struct {
	file string // empty: none
	id   uint16
}

// read reads it anew each time, since whoever changes the file tells nobody. Nothing of the file goes into an error.
func (k controlKey) read() (*mode6.Key, error) {
	if k.file == "" {
		return nil, api.Failf(api.Conflict, "ntpd is changed by whoever has its control key: set clock.ntpd-keys to its keys file, and "+
			"clock.ntpd-control-key to the number that stands in its lines trustedkey and controlkey")
	}
	info, err := os.Stat(k.file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", k.file)
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(k.file)
	}
	if err != nil {
		return nil, api.Fail(api.Conflict, explainKeys(err))
	}
	defer func() { _ = file.Close() }()
	key, err := findKey(io.LimitReader(file, maxKeysFile), k.id)
	if err != nil {
		return nil, api.Failf(api.Conflict, "clock.ntpd-keys = %q: %w", k.file, err)
	}
	return key, nil
}

func explainKeys(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("clock.ntpd-keys: %w: user %d, as which ntptsd runs, must be able to read it", err, os.Geteuid())
	}
	return fmt.Errorf("clock.ntpd-keys: %w", err)
}

var errNoKey = errors.New("it has no key of that number")

// findKey reads lines of a number, a type and a key. A list of addresses may follow, and a comment.
func findKey(r io.Reader, id uint16) (*mode6.Key, error) {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) < 3 || words[0] != strconv.Itoa(int(id)) {
			continue
		}
		key, err := mode6.ParseKey(strings.Join(words[:3], " "))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		return key, nil
	}
	if lines.Err() != nil {
		return nil, errors.New("it is no keys file: a line has a number, a type and a key")
	}
	return nil, fmt.Errorf("%w (clock.ntpd-control-key = %d)", errNoKey, id)
}
