package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/kaizengarden/moray/core/reconcile"
)

// What a command ends with, besides 0 for success and 1 for an error.
const (
	exitChanges = 2 // there is something to change
	exitRefused = 3 // a guard refuses what is to be changed
	exitBusy    = 4 // another one is at it
)

// exit is the end of a command with a status of its own.
type exit struct {
	status int
	err    error // nil: everything was said
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// report says what went wrong and returns the exit status.
func report(err error, stderr io.Writer) int {
	status := 1
	if e := (*exit)(nil); errors.As(err, &e) {
		if status = e.status; e.err == nil {
			return status
		}
	}
	if invalid := (*reconcile.InvalidError)(nil); errors.As(err, &invalid) {
		fmt.Fprintln(stderr, invalid) // each line begins with a place that editors know how to go to
		fmt.Fprintf(stderr, "moray: %s\n", count(len(invalid.Problems), "problem"))
		return status
	}
	fmt.Fprintf(stderr, "moray: %v\n", err)
	return status
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
