package api

// The commands that change ntptsd itself, beside those of the first table, and what is needed to see what they did.
var ( // never assigned again
	GetLog      = Command[None, LogState]{Name: "log", Role: Monitor, Summary: "show what is written to the log"}
	SetLogLevel = Command[LevelArg, LogState]{Name: "log level", Role: Operator, Changes: true, Inverse: "log level", Summary: "write more or less to the log, until the next reload"}

	GetBans   = Command[None, Bans]{Name: "bans", Role: Monitor, Summary: "list the networks that are refused everywhere"}
	AddBan    = Command[BanArg, Bans]{Name: "bans add", Role: Operator, Changes: true, Inverse: "bans remove", Summary: "refuse a network everywhere, until a restart unless it is saved"}
	RemoveBan = Command[UnbanArg, Bans]{Name: "bans remove", Role: Operator, Changes: true, Inverse: "bans add", Summary: "refuse a network no longer"}

	GetConfig   = Command[None, Configuration]{Name: "config", Role: Operator, Summary: "show the configuration as it counts, and where each value comes from"}
	ReloadCerts = Command[None, Certificates]{Name: "certs reload", Role: Operator, Changes: true, Summary: "read the files of certificates again, changed or not"}
	RenewCert   = Command[CertificateNameArg, Certificates]{Name: "certs renew", Role: Operator, Changes: true, Summary: "renew a certificate now that ntptsd renews itself"}

	RevokeKey = Command[RevokeArg, Revocation]{Name: "keys revoke", Role: Admin, Changes: true, Urgent: true, Summary: "end a cookie key now, whatever was promised of it"}

	GetAccess        = Command[None, Grants]{Name: "access", Role: Admin, Summary: "list who may log in, and who may no more"}
	IssueCertificate = Command[CertificateArg, IssuedCertificate]{Name: "access certificate", Role: Admin, Changes: true, Inverse: "access revoke", Summary: "make a client certificate of the private authority, which is told once"}
	IssueToken       = Command[TokenArg, IssuedToken]{Name: "access token", Role: Admin, Changes: true, Inverse: "access revoke", Summary: "make a bearer token, which is told once"}
	RevokeLogin      = Command[LoginNameArg, Grants]{Name: "access revoke", Role: Admin, Changes: true, Inverse: "access restore", Urgent: true, Summary: "shut a certificate or token out at once, until it is restored"}
	RestoreLogin     = Command[LoginNameArg, Grants]{Name: "access restore", Role: Admin, Changes: true, Inverse: "access revoke", Summary: "let a certificate or token in again that was revoked"}

	GetListeners    = Command[None, Serving]{Name: "listeners", Role: Monitor, Summary: "list the sockets that clients come to"}
	DrainListener   = Command[ListenerArg, Serving]{Name: "listeners drain", Role: Operator, Changes: true, Inverse: "listeners undrain", Urgent: true, Summary: "take no more clients at a listener"}
	UndrainListener = Command[ListenerArg, Serving]{Name: "listeners undrain", Role: Operator, Changes: true, Inverse: "listeners drain", Urgent: true, Summary: "take clients at a listener again"}
	Drain           = Command[None, Serving]{Name: "drain", Role: Operator, Changes: true, Inverse: "undrain", Urgent: true, Summary: "be neither ready nor fit, and send clients to other targets, until a restart"}
	Undrain         = Command[None, Serving]{Name: "undrain", Role: Operator, Changes: true, Inverse: "drain", Urgent: true, Summary: "be ready and fit again"}
)

// ownCommands are all of them, in the order of help.
func ownCommands() []Declared {
	return []Declared{GetConfig, ReloadCerts, RenewCert, GetAccess, IssueCertificate, IssueToken, RevokeLogin, RestoreLogin, RevokeKey, Drain, Undrain, GetListeners, DrainListener, UndrainListener, GetBans, AddBan, RemoveBan, GetLog, SetLogLevel}
}
