package sdk

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// Rejection is the error with which a hook ends an operation. The client gets it as it is.
type Rejection struct {
	Name    string // such as "QuotaExceededError"; without one the client sees HookRejectedError
	Message string
	Context json.RawMessage // an object for programs, or nil
	Errors  json.RawMessage // the errors that this one stands for: an array of objects, or nil
}

// Reject returns an error that ends the operation with a name and a message of the hook's own.
func Reject(name, format string, args ...any) *Rejection {
	return &Rejection{Name: name, Message: fmt.Sprintf(format, args...)}
}

// With returns r after setting its context to v, which must have the form of a JSON object.
func (r *Rejection) With(v any) *Rejection {
	text, err := appendJSON(nil, v)
	if err == nil && (len(text) == 0 || text[0] != '{') {
		err = fmt.Errorf("%.40s is not an object", text)
	}
	if err != nil {
		panic(fmt.Sprintf("context of the error %s: %v", r.Name, err))
	}
	r.Context = text
	return r
}

// Error returns the name and the message.
func (r *Rejection) Error() string {
	if r.Name == "" {
		return r.Message
	}
	return r.Name + ": " + r.Message
}

// StatementError says that PostgreSQL refused a statement. A handler that returns it, or an error around it, ends the operation as
// such an error of the server's own would: a violated unique index is UniqueAttributeError.
//
// The transaction takes no further statement then, unless the handler rolls back to a savepoint of its own.
type StatementError struct {
	Code       string // SQLSTATE
	Message    string
	Detail     string
	Hint       string
	Constraint string
	Table      string
	Column     string

	number uint32
}

func (e *StatementError) Error() string { return e.Message }

func statementError(e *wire.StatementError) *StatementError {
	return &StatementError{
		Code: e.GetCode(), Message: e.GetMessage(), Detail: e.GetDetail(), Hint: e.GetHint(),
		Constraint: e.GetConstraint(), Table: e.GetTable(), Column: e.GetColumn(), number: e.GetNumber(),
	}
}

// Failed returns an error that says that the hook could not do its work, for a reason that is none of the client's: it sees
// HookUnavailableError with the message, and the operator finds it counted as a failure of the plugin.
func Failed(err error) error { return &failure{err} }

type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// verdict returns what the server is told about an error of a handler.
func verdict(err error) *wire.Answer {
	if own := (*failure)(nil); errors.As(err, &own) {
		return &wire.Answer{Verdict: &wire.Answer_Fail{Fail: &wire.Failure{Message: err.Error()}}}
	}
	return &wire.Answer{Verdict: &wire.Answer_Reject{Reject: rejection(err)}}
}

func rejection(err error) *wire.Rejection {
	r := &wire.Rejection{Message: err.Error()}
	var own *Rejection
	if errors.As(err, &own) {
		r.Name, r.Message, r.Context, r.Errors = own.Name, own.Message, own.Context, own.Errors
		return r
	}
	var refused *StatementError
	if errors.As(err, &refused) {
		r.StatementError = refused.number
	}
	return r
}
