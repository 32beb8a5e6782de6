// Package fault holds the errors that a client may see: their names, messages and contexts, exactly as the original Moray
// gives them. Services compare these texts.
//
// A fault is made where the fact is known and travels up unchanged; everything else that goes wrong is an ordinary error,
// which core/rpc hides behind an InternalError. Ask for one by its name: errors.Is(err, fault.ObjectNotFound).
package fault

import (
	"errors"
	"fmt"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Name is the name of a fault on the wire. It is an error so that it can be the target of errors.Is.
type Name string

// The names of the original. A hook may answer with others.
const (
	AssertionError      Name = "AssertionError"
	BucketConflict      Name = "BucketConflictError"
	BucketNotFound      Name = "BucketNotFoundError"
	BucketVersion       Name = "BucketVersionError"
	EtagConflict        Name = "EtagConflictError"
	FieldUpdate         Name = "FieldUpdateError"
	Generic             Name = "Error"  // among them "connect ECONNREFUSED"
	PostgreSQL          Name = "error"  // lower case: a message of PostgreSQL, verbatim
	Multi               Name = "VError" // "first of n errors: …", and failures of the database's client
	Internal            Name = "InternalError"
	InvalidArgument     Name = "InvalidArgumentError"
	InvalidBucketConfig Name = "InvalidBucketConfigError"
	InvalidBucketName   Name = "InvalidBucketNameError"
	InvalidIndexType    Name = "InvalidIndexTypeError"
	InvalidQuery        Name = "InvalidQueryError"
	Invocation          Name = "InvocationError"
	NoDatabasePeers     Name = "NoDatabasePeersError"
	NotFunction         Name = "NotFunctionError"
	NotIndexed          Name = "NotIndexedError"
	NotNullable         Name = "NotNullableError"
	ObjectNotFound      Name = "ObjectNotFoundError"
	QueryTimeout        Name = "QueryTimeoutError"
	UniqueAttribute     Name = "UniqueAttributeError"
)

// The names that are ours.
const (
	AccessDenied    Name = "AccessDeniedError"    // the server's configuration does not permit this to the client
	BucketProtected Name = "BucketProtectedError" // only the document that defines the bucket may change it
	HookRejected    Name = "HookRejectedError"    // a hook refused an operation and gave no name of its own
	HookUnavailable Name = "HookUnavailableError" // a hook could not be asked, or gave no proper answer
	InvalidObject   Name = "InvalidObjectError"   // a value does not fit the schema of its bucket
)

func (n Name) Error() string { return string(n) }

// Error is one fault.
type Error struct {
	Name    Name
	Message string
	// Context is the text of a JSON object that goes to the client as the error's context; nil stands for {}.
	Context jsvalue.Value
	// Members are the errors that an aggregate stands for: only their own properties, as texts of JSON objects. They go to
	// the client as ase_errors.
	Members []jsvalue.Value
	// Cause is for the log; the client does not see it.
	Cause error
}

// New returns a fault with an empty context.
func New(name Name, format string, args ...any) *Error {
	return &Error{Name: name, Message: fmt.Sprintf(format, args...)}
}

// With returns e after adding members to its context; pairs are names and values, in order.
func (e *Error) With(pairs ...string) *Error {
	context := []byte{'{'}
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			context = append(context, ',')
		}
		context = append(jsvalue.AppendString(context, pairs[i]), ':')
		context = jsvalue.AppendString(context, pairs[i+1])
	}
	e.Context = append(context, '}')
	return e
}

// Because returns e with its cause set.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

func (e *Error) Error() string { return string(e.Name) + ": " + e.Message }

func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the name of e.
func (e *Error) Is(target error) bool { return target == e.Name }

// From returns the fault in err's chain, or nil if there is none.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
