package main

// maxItems bounds what is in all lists of an answer together: an item of two octets becomes a value of hundreds. The most that
// ntptsd tells are api.MaxClients, and five columns of a day's history.
const maxItems = 1 << 16

// tooManyItems tells of JSON, or what shall be, whose lists have more than that.
func tooManyItems(json []byte) bool {
	var lists []bool // of what we are inside of: whether it is a list
	n, quoted, escaped := 0, false, false
	for _, b := range json {
		switch {
		case escaped:
			escaped = false
		case b == '\\':
			escaped = quoted
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[', b == '{':
			lists = append(lists, b == '[')
		case b == ']', b == '}':
			lists = lists[:max(len(lists)-1, 0)]
		}
		if !quoted && (b == '[' || b == ',' && len(lists) > 0 && lists[len(lists)-1]) {
			if n++; n > maxItems {
				return true
			}
		}
	}
	return false
}
