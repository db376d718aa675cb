package ntske

import (
	"encoding/binary"
	"fmt"

	"github.com/ntptsd/ntptsd/protocol/aead"
)

const exporterLabel = "EXPORTER-network-time-security" // RFC 8915 section 4.3

// The last octet of the exporter's context, RFC 8915 section 5.1.
const (
	exportC2S = 0
	exportS2C = 1
)

// Exporter is what tls.ConnectionState offers (RFC 8446 section 7.5).
type Exporter interface {
	ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error)
}

// ExportKeys derives C2S and S2C for NTPv4, RFC 8915 section 5.1. compliant matters to AEAD 30 only: without it the
// context carries id 15, as chrony 4.4 to 4.6 do.
func ExportKeys(e Exporter, id aead.ID, compliant bool) (c2s, s2c []byte, err error) {
	if !id.Known() {
		return nil, nil, fmt.Errorf("ntske: no keys for %v", id)
	}
	inContext := id
	if id == aead.AES128GCMSIV && !compliant {
		inContext = aead.AESSIVCMAC256
	}
	context := binary.BigEndian.AppendUint16(nil, NTPv4)
	context = binary.BigEndian.AppendUint16(context, uint16(inContext))
	if c2s, err = e.ExportKeyingMaterial(exporterLabel, append(context, exportC2S), id.KeyLen()); err != nil {
		return nil, nil, fmt.Errorf("ntske: export keys: %w", err)
	}
	if s2c, err = e.ExportKeyingMaterial(exporterLabel, append(context, exportS2C), id.KeyLen()); err != nil {
		return nil, nil, fmt.Errorf("ntske: export keys: %w", err)
	}
	return c2s, s2c, nil
}
