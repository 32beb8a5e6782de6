package fast

import (
	"errors"
	"strconv"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Error is the error object of an ERROR message. A handler returns it to answer with it; [Client.Call] returns it when it
// was the answer.
type Error struct {
	Name, Message string
	// Context and Info are objects with facts about the error; nil stands for {}.
	Context, Info jsvalue.Value
	// Members are the errors that this one stands for, each as an object with its properties; nil if it is a single one.
	// On the wire they are called ase_errors.
	Members []jsvalue.Value
}

// Error returns the name and the message.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

// appendTo appends the error object.
func (e *Error) appendTo(dst []byte) []byte {
	dst = jsvalue.AppendString(append(dst, `{"name":`...), e.Name)
	dst = jsvalue.AppendString(append(dst, `,"message":`...), e.Message)
	dst = appendObject(append(dst, `,"context":`...), e.Context)
	dst = appendObject(append(dst, `,"info":`...), e.Info)
	if e.Members != nil {
		dst = append(dst, `,"ase_errors":[`...)
		for i, m := range e.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendObject(dst, m)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendObject(dst []byte, v jsvalue.Value) []byte {
	if v == nil {
		return append(dst, '{', '}')
	}
	return append(dst, v...)
}

// errorOf rebuilds the error from d, which [Message.Envelope] has checked. It is a copy.
func errorOf(d jsvalue.Value) *Error {
	e := new(Error)
	for name, v := range d.Members() {
		switch name {
		case "name":
			e.Name = v.Text()
		case "message":
			e.Message = v.Text()
		case "context":
			e.Context = append(jsvalue.Value(nil), v...)
		case "info":
			e.Info = append(jsvalue.Value(nil), v...)
		case "ase_errors":
			e.Members = nil
			if v.Kind() == jsvalue.KindArray {
				for m := range v.Elements() {
					e.Members = append(e.Members, append(jsvalue.Value(nil), m...))
				}
			}
		}
	}
	return e
}

// Unsupported returns the error that answers a request for a method that does not exist. The handler has the table of
// methods, so it decides.
func Unsupported(r *Request) *Error {
	info := jsvalue.AppendString([]byte(`{"fastReason":"bad_method","rpcMethod":`), r.Method)
	info = strconv.AppendUint(append(info, `,"rpcMsgid":`...), uint64(r.ID), 10)
	return &Error{
		Name:    "FastError",
		Message: `unsupported RPC method: "` + r.Method + `"`,
		Info:    append(info, '}'),
	}
}

// notWellFormed returns the error that answers a request without a method. It echoes the message.
func notWellFormed(r *Request, payload jsvalue.Value) *Error {
	id := strconv.FormatUint(uint64(r.ID), 10)
	info := append([]byte(nil), `{"fastReason":"bad_data","rpcMsgid":`+id+`,"rpcMessage":{"status":1,"msgid":`+id+`,"data":`...)
	info = jsvalue.AppendPrinted(info, payload)
	info = strconv.AppendUint(append(info, `,"version":`...), uint64(r.Version), 10)
	info = strconv.AppendUint(append(info, `,"connId":`...), r.Conn(), 10)
	return &Error{
		Name:    "FastError",
		Message: "RPC request is not well-formed",
		Info:    append(info, '}', '}'),
	}
}

// answerOf returns the error object for what a handler returned: the *Error in the chain of err, or else one that tells
// the client nothing, and then false.
func answerOf(err error) (e *Error, expected bool) {
	if errors.As(err, &e) {
		return e, true
	}
	return &Error{Name: "InternalError", Message: "the server failed to handle the request; its log says why"}, false
}
