package ntske

// negotiated collects what a request and a response both may say, and counts what may come once only.
type negotiated struct {
	Request
	protocols, aeads, servers, ports int
}

// take reads a record that both may have: known is false for any other, ok for one that is malformed in either.
func (n *negotiated) take(r Record) (known, ok bool) {
	switch r.Type {
	case NextProtocol:
		n.protocols++
		n.Protocols, ok = readIDs(n.Protocols, r.Body)
		ok = ok && r.Critical
	case AEADAlgorithm:
		n.aeads++
		n.AEADs, ok = readIDs(n.AEADs, r.Body)
	case ServerName:
		// Clients should not set the critical bit here and in ServerPort; chronyd's server then answers error 0 because
		// it does not know the records. We do know them.
		n.servers++
		n.Server = string(r.Body)
		ok = validServer(r.Body)
	case ServerPort:
		n.ports++
		n.Port, ok = readPort(r.Body)
	case CompliantExporter:
		n.Compliant = true
		ok = len(r.Body) == 0
	default:
		return false, false
	}
	return true, ok
}
