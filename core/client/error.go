package client

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kaizengarden/moray/core/fast"
)

// Error is an error that the server answered with.
type Error struct {
	Name    string // such as BucketNotFoundError, EtagConflictError; the server's documentation lists them
	Message string
	// Context is an object with facts about the error, as JSON text; empty if there are none.
	Context json.RawMessage
	// Members are, for an error that stands for several, the properties of each.
	Members []json.RawMessage
}

// Error returns the name and the message.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

func newError(answer *fast.Error) *Error {
	e := &Error{Name: answer.Name, Message: answer.Message, Context: json.RawMessage(answer.Context)}
	for _, m := range answer.Members {
		e.Members = append(e.Members, json.RawMessage(m))
	}
	return e
}

// UnhandledOptionsError says that a server does not know options that change what a result means, and ignored them.
type UnhandledOptionsError struct {
	Options []string
}

// Error names the options.
func (e *UnhandledOptionsError) Error() string {
	return "the server does not handle the options " + strings.Join(e.Options, ", ")
}

// badAnswer is the error of an answer that does not have the form that the method promises.
func badAnswer(format string, args ...any) error {
	return fmt.Errorf("bad server response: "+format, args...)
}
