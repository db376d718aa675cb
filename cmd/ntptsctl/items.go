package main

import "github.com/ntptsd/ntptsd/internal/api/view"

// maxItems bounds what is in all lists of an answer together: an item of two octets becomes a value of hundreds. The most that
// ntptsd tells are api.MaxClients, and five columns of a day's history.
const maxItems = 1 << 16

// tooManyItems tells of JSON, or what shall be, whose lists have more than that.
func tooManyItems(json []byte) bool {
	var lists []bool // of what we are inside of: whether it is a list
	n := 0
	for b := range view.Structure(json) {
		switch b {
		case '[', '{':
			lists = append(lists, b == '[')
		case ']', '}':
			lists = lists[:max(len(lists)-1, 0)]
		}
		if b == '[' || b == ',' && len(lists) > 0 && lists[len(lists)-1] {
			if n++; n > maxItems {
				return true
			}
		}
	}
	return false
}
