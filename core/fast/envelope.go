package fast

import (
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Envelope is the payload of a message, taken apart. Its values share memory with the payload.
type Envelope struct {
	All  jsvalue.Value // the whole object
	Meta jsvalue.Value // member m, nil if there is none; of any kind
	D    jsvalue.Value // member d: an array, or in an ERROR message an object with name and message
	// Printed says that all of it stands as JSON.stringify prints it.
	Printed bool
}

// Envelope checks the payload and takes it apart. The error is a *[ProtocolError].
func (m *Message) Envelope() (Envelope, error) {
	all, printed, err := jsvalue.ParsePrinted(m.Payload)
	if err != nil {
		return Envelope{}, broken(InvalidJSON, "invalid JSON in \"data\": %v", err)
	}
	e := Envelope{All: all, Printed: printed}
	switch all.Kind() {
	case jsvalue.KindObject:
		for name, v := range all.RawMembers() {
			switch string(name) { // of members with one name the last counts
			case "m":
				e.Meta = v
			case "d":
				e.D = v
			}
		}
	case jsvalue.KindArray: // to JavaScript an object without a member d
	default:
		return Envelope{}, broken(BadData, "message data must be a non-null object")
	}
	if m.Status == StatusError {
		if member(e.D, "name").Kind() != jsvalue.KindString || member(e.D, "message").Kind() != jsvalue.KindString {
			return Envelope{}, broken(BadError, "data.d for ERROR messages must have name and message")
		}
	} else if e.D.Kind() != jsvalue.KindArray {
		return Envelope{}, broken(BadDataD, "data.d for DATA and END messages must be an array")
	}
	return e, nil
}

// Method returns the name of the method, or "" if the message names none.
func (e *Envelope) Method() string {
	name := member(e.Meta, "name")
	if name.Kind() != jsvalue.KindString {
		return ""
	}
	return name.Text()
}

// member returns the member of v with the given name, or nil if v is not an object or has no such member.
func member(v jsvalue.Value, name string) jsvalue.Value {
	if v.Kind() != jsvalue.KindObject {
		return nil
	}
	return v.Member(name)
}
