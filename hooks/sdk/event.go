package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
)

// Event is one object being put or deleted. It is valid until the handler returns.
type Event struct {
	Phase     Phase
	Operation Operation
	Bucket    string

	// Key and Value are what is written. In the phase [Pre] a handler may change both, here or with SetKey and SetValue; what is
	// changed later has no effect. Value is nil when the object is deleted. After the write it has _id if the object is new, and
	// _txn_snap if the bucket keeps an order.
	Key   string
	Value json.RawMessage

	ID        int64           // the number of the object's row; 0 before the write
	Headers   json.RawMessage // an object, from the client's request
	Update    bool            // an object with this key was there before
	Previous  json.RawMessage // the object as it was before; nil if there was none, or the hook does not want it
	Schema    json.RawMessage // the bucket's indexes: {"name": {"type": "string"}}; nil if the hook does not want it
	RequestID string          // empty if the client sent none

	// Tx runs SQL in the transaction of the event.
	Tx *Tx
	// Log goes to the log of the server, with the names of plugin, hook and bucket and the id of the request.
	Log *slog.Logger

	// Shared is handed on from each hook to the next one of this plugin that sees the event. It is nil at first.
	Shared any
}

// Decode reads the value into v as [json.Unmarshal] does.
func (e *Event) Decode(v any) error {
	if e.Value == nil {
		return errors.New("an object that is deleted has no value")
	}
	if err := json.Unmarshal(e.Value, v); err != nil {
		return fmt.Errorf("value of the object %q: %w", e.Key, err)
	}
	return nil
}

var errWritten = errors.New("the object is written already: only a hook bound to pre can change it")

// SetKey makes the object be written under another key.
func (e *Event) SetKey(key string) error {
	if e.Phase != Pre {
		return errWritten
	}
	e.Key = key
	return nil
}

// SetValue makes v the value that is written, as JSON; a [json.RawMessage] as it is. Members of a Go map are written in the order
// of their names: to change one member and leave the others in their places, see [Event.SetMember].
func (e *Event) SetValue(v any) error {
	if e.Phase != Pre {
		return errWritten
	}
	text, err := appendJSON(nil, v)
	if err != nil {
		return fmt.Errorf("value of the object %q: %w", e.Key, err)
	}
	e.Value = text
	return nil
}

// Member returns the text of a member of the value, or nil if there is none.
func (e *Event) Member(name string) json.RawMessage {
	_, start, end := find(e.Value, name)
	if start == end {
		return nil
	}
	return e.Value[start:end:end]
}

// SetMember sets a member of the value, in its place or at the end.
func (e *Event) SetMember(name string, v any) error {
	if e.Phase != Pre {
		return errWritten
	}
	text, err := appendJSON(nil, v)
	if err != nil {
		return fmt.Errorf("member %s of the object %q: %w", name, e.Key, err)
	}
	value, err := withMember(e.Value, name, text)
	if err != nil {
		return fmt.Errorf("value of the object %q: %w", e.Key, err)
	}
	e.Value = value
	return nil
}
