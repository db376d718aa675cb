package cmdmon

import "fmt"

// Command is what a request asks for.
type Command uint16

// The commands in use. Those from Online on change something and are answered on the unix socket only.
const (
	NSources          Command = 14
	SourceData        Command = 15
	TrackingCommand   Command = 33
	SourceStats       Command = 34
	RTCReport         Command = 35
	ManualList        Command = 41
	ActivityCommand   Command = 44
	SmoothingCommand  Command = 51
	NTPSourceName     Command = 65
	AccessCheck       Command = 25
	CommandCheck      Command = 26
	ServerStats       Command = 54
	NTPDataCommand    Command = 57
	AuthDataCommand   Command = 67
	ClientsCommand    Command = 68
	SelectDataCommand Command = 69

	Online        Command = 1
	Offline       Command = 2
	Burst         Command = 3
	ModifyMinPoll Command = 4
	ModifyMaxPoll Command = 5
	Dump          Command = 6
	SetTime       Command = 11
	Rekey         Command = 16
	Allow         Command = 17
	AllowAll      Command = 18
	Deny          Command = 19
	DenyAll       Command = 20
	DelSource     Command = 29
	CycleLogs     Command = 37
	MakeStep      Command = 43
	Refresh       Command = 53
	Local2        Command = 56 // up to chrony 4.5
	AddSource     Command = 64
	ReloadSources Command = 70
	Local3        Command = 74 // from chrony 4.6 on
)

// row is what differs between commands, as data.
type row struct {
	name string
	udp  bool   // answered over UDP unless configured otherwise
	from string // the first version of chrony 4 that knows it, if not 4.0
	to   string // the last one, if later ones refuse it
}

func rows(c Command) (row, bool) {
	r, ok := map[Command]row{
		NSources: {name: "number of sources", udp: true}, SourceData: {name: "sources", udp: true},
		TrackingCommand: {name: "tracking", udp: true}, SourceStats: {name: "sourcestats", udp: true},
		RTCReport: {name: "rtcdata", udp: true}, ManualList: {name: "manual list", udp: true},
		ActivityCommand: {name: "activity", udp: true}, SmoothingCommand: {name: "smoothing", udp: true},
		NTPSourceName: {name: "sourcename", udp: true},
		AccessCheck:   {name: "accheck"}, CommandCheck: {name: "cmdaccheck"}, ServerStats: {name: "serverstats"},
		NTPDataCommand: {name: "ntpdata"}, AuthDataCommand: {name: "authdata"}, ClientsCommand: {name: "clients"},
		SelectDataCommand: {name: "selectdata"},
		Online:            {name: "online"}, Offline: {name: "offline"}, Burst: {name: "burst"}, ModifyMinPoll: {name: "minpoll"},
		ModifyMaxPoll: {name: "maxpoll"}, Dump: {name: "dump"}, SetTime: {name: "settime"}, Rekey: {name: "rekey"}, Allow: {name: "allow"},
		AllowAll: {name: "allow all"}, Deny: {name: "deny"}, DenyAll: {name: "deny all"}, DelSource: {name: "delete"},
		CycleLogs: {name: "cyclelogs"}, MakeStep: {name: "makestep"}, Refresh: {name: "refresh"},
		Local2: {name: "local", to: "4.5"}, AddSource: {name: "add"}, ReloadSources: {name: "reload sources"},
		Local3: {name: "local", from: "4.6"},
	}[c]
	return r, ok
}

func (c Command) String() string {
	if r, ok := rows(c); ok {
		return r.name
	}
	return fmt.Sprintf("command %d", uint16(c))
}

// OverUDP tells whether chronyd answers it over UDP by default; the others need the unix socket.
func (c Command) OverUDP() bool {
	r, _ := rows(c)
	return r.udp
}

// Versions is where of chrony 4.0 to 4.8 the command is known, as text; empty if everywhere.
func (c Command) Versions() string {
	switch r, _ := rows(c); {
	case r.from != "":
		return r.from + " and later"
	case r.to != "":
		return "up to " + r.to
	}
	return ""
}

// ReplyType is the form of a reply's body.
type ReplyType uint16

// The types of replies. Several forms of one answer belong to several versions.
const (
	typeNull        ReplyType = 1
	typeNSources    ReplyType = 2
	typeSourceData  ReplyType = 3
	typeTracking    ReplyType = 5
	typeSourceStats ReplyType = 6
	typeRTC         ReplyType = 7
	typeActivity    ReplyType = 12
	typeSmoothing   ReplyType = 13
	typeNTPData     ReplyType = 16 // up to 4.5
	typeManual      ReplyType = 17
	typeManualList  ReplyType = 18
	typeSourceName  ReplyType = 19
	typeAuthData    ReplyType = 20
	typeClients     ReplyType = 21
	typeStats2      ReplyType = 22 // 4.0 and 4.1
	typeSelectData  ReplyType = 23
	typeStats3      ReplyType = 24 // 4.2 and 4.3
	typeStats4      ReplyType = 25 // 4.4 and later
	typeNTPData2    ReplyType = 26 // 4.6 and later
)

// Status is how a command went. As an error it tells an operator what to do.
type Status uint16

// Statuses that callers tell apart.
const (
	Success       Status = 0
	Failed        Status = 1
	Unauthorised  Status = 2
	Invalid       Status = 3
	NoSuchSource  Status = 4
	NotEnabled    Status = 6
	AccessAllowed Status = 8
	AccessDenied  Status = 9
	AlreadyKnown  Status = 11
	TooMany       Status = 12
	Inactive      Status = 15
	BadFamily     Status = 17
	BadName       Status = 21
)

// statusRow is chronyc's number for a status, and what it means to an operator.
type statusRow struct {
	chronyc int
	text    string
}

func statusRows(s Status) (statusRow, bool) {
	r, ok := map[Status]statusRow{
		Success: {200, "OK"}, AccessAllowed: {208, "access allowed"}, AccessDenied: {209, "access denied"},
		Failed:       {500, "chronyd could not do it; its log may say why"},
		Unauthorised: {501, "not authorised: chronyd does this on its command socket only"},
		Invalid:      {502, "this version of chronyd does not know the command"},
		NoSuchSource: {503, "chronyd has no such source"},
		5:            {504, "duplicate or stale time stamp"},
		NotEnabled:   {505, "the facility is not enabled in chrony.conf"},
		7:            {507, "bad subnet"},
		10:           {510, "no command access from this host"},
		AlreadyKnown: {511, "chronyd has this source already"},
		TooMany:      {512, "chronyd has too many sources"},
		13:           {513, "chronyd has no RTC driver"},
		14:           {514, "chronyd cannot write its RTC file"},
		Inactive:     {519, "chronyd does not log its clients (noclientlog)"},
		16:           {516, "sample index out of range"},
		BadFamily:    {515, "chronyd does not know this address family"},
		18:           {517, "chronyd speaks another version of the protocol"},
		19:           {518, "chronyd found the request too short"},
		BadName:      {521, "chronyd refuses this name"},
	}[s]
	return r, ok
}

// Number is chronyc's number for the status, which operators may know: 200 OK, 501 not authorised.
func (s Status) Number() int {
	if r, ok := statusRows(s); ok {
		return r.chronyc
	}
	return 520
}

func (s Status) Error() string {
	r, ok := statusRows(s)
	if !ok {
		r.text = fmt.Sprintf("chronyd answers with the unknown status %d", uint16(s))
	}
	return fmt.Sprintf("%s (%d)", r.text, s.Number())
}
