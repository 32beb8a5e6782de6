package fast

import "fmt"

// Reason tells the ways apart in which a peer can break the protocol.
type Reason string

// The reasons, with the names that node-fast gives them; MessageTooLarge is ours.
const (
	UnsupportedVersion Reason = "unsupported_version"
	UnsupportedType    Reason = "unsupported_type"
	UnsupportedStatus  Reason = "unsupported_status"
	InvalidID          Reason = "invalid_msgid"
	MessageTooLarge    Reason = "message_too_large"
	BadChecksum        Reason = "bad_crc"
	InvalidJSON        Reason = "invalid_json"
	BadData            Reason = "bad_data"
	BadDataD           Reason = "bad_data_d"
	BadError           Reason = "bad_error"
	IncompleteMessage  Reason = "incomplete_message"
	UnexpectedStatus   Reason = "unexpected_status" // a client sent END
	DuplicateID        Reason = "duplicate_msgid"   // a client used the id of a request that is pending
	UnknownID          Reason = "unknown_msgid"     // a server answered what was not asked
)

// ProtocolError says how a peer broke the protocol. The connection is of no use afterwards. It never travels on the wire.
type ProtocolError struct {
	Reason  Reason
	Message string // node-fast's text, without its "fast protocol: "
}

// Error returns the text that node-fast gives to the error.
func (e *ProtocolError) Error() string { return "fast protocol: " + e.Message }

func broken(reason Reason, format string, args ...any) *ProtocolError {
	return &ProtocolError{reason, fmt.Sprintf(format, args...)}
}
