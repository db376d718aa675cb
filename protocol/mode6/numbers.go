package mode6

import "fmt"

// Opcode is what a request asks for, RFC 9327 section 2 and, from OpConfigure on, the daemons.
type Opcode uint8

// The opcodes. Daemons want the MAC of their control key for those that say "key".
const (
	OpUnspecified    Opcode = 0 // the status word alone
	OpReadStatus     Opcode = 1 // association 0: the list of associations
	OpReadVariables  Opcode = 2
	OpWriteVariables Opcode = 3 // key; of no use in any daemon of today
	OpReadClock      Opcode = 4
	OpWriteClock     Opcode = 5
	OpSetTrap        Opcode = 6 // key; classic only, as OpAsync, OpSaveConfig, OpUnsetTrap
	OpAsync          Opcode = 7
	OpConfigure      Opcode = 8 // key; a line of ntp.conf
	OpSaveConfig     Opcode = 9 // key
	OpReadMRU        Opcode = 10
	OpReadOrdered    Opcode = 11 // key; "ifstats" or "addr_restrictions"
	OpRequestNonce   Opcode = 12
	OpUnsetTrap      Opcode = 31 // key
)

func (o Opcode) String() string {
	if o == OpUnsetTrap {
		return "unset trap"
	}
	return word(uint8(o), "opcode", "unspecified", "read status", "read variables", "write variables", "read clock variables",
		"write clock variables", "set trap", "async message", "configure", "save config", "read MRU", "read ordered list",
		"request nonce")
}

// ErrorCode is why a daemon refused. As an error it tells an operator what to do.
type ErrorCode uint8

// The codes, RFC 9327 section 3.
const (
	CodeUnspecified ErrorCode = 0
	CodePermission  ErrorCode = 1
	CodeFormat      ErrorCode = 2
	CodeOpcode      ErrorCode = 3
	CodeAssociation ErrorCode = 4
	CodeVariable    ErrorCode = 5 // also: the resume points of an MRU list are lost; no such ordered list
	CodeValue       ErrorCode = 6
	CodeRestricted  ErrorCode = 7
)

func (c ErrorCode) Error() string {
	text := ""
	switch c {
	case CodeUnspecified:
		text = "ntpd refused and does not say why; its log may"
	case CodePermission:
		text = "ntpd did not permit it: it wants the key that controlkey and trustedkey name, or a restrict line forbids it"
	case CodeFormat:
		text = "ntpd found the request malformed"
	case CodeOpcode:
		text = "this version of ntpd does not know the command"
	case CodeAssociation:
		text = "ntpd has no such association; read the list of associations again"
	case CodeVariable:
		text = "ntpd does not know one of the names; ask for them one by one"
	case CodeValue:
		text = "ntpd refuses one of the values"
	case CodeRestricted:
		text = "ntpd restricts it; look at the restrict lines of its configuration"
	default:
		text = "ntpd refused with an error that is not known"
	}
	return fmt.Sprintf("%s (error %d)", text, uint8(c))
}

// word is the name of n, or what it is and the number.
func word(n uint8, what string, names ...string) string {
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%s %d", what, n)
}
