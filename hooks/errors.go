package hooks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/spelling"
	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// kind says how a hook failed. Failures are counted by kind.
type kind string

const (
	accepted kind = "ok"
	rejected kind = "rejected" // by the hook
	refused  kind = "sql"      // by PostgreSQL, and the hook passed that on
	timedOut kind = "timeout"
	exited   kind = "exit"     // the process, or the session, ended under way
	down     kind = "down"     // there is no process, or no such plugin or hook
	busy     kind = "busy"     // too many events are under way
	protocol kind = "protocol" // it does not keep to the protocol
	failed   kind = "failed"   // it says that it is broken
)

// hookError is the failure of one hook. Failures of anything else, such as the database, are other errors.
type hookError struct {
	kind   kind
	err    error // what a client sees
	broken bool  // the session cannot be used any more
	final  bool  // it cannot be ignored, because what was done cannot be undone
	passed bool  // the plugin does not know of it, and has gone on to the next hook
}

func (e *hookError) Error() string { return e.err.Error() }
func (e *hookError) Unwrap() error { return e.err }

// place is a hook as errors name it.
type place struct {
	plugin, hook, phase, bucket string
}

// unavailable returns the error of a hook that could not be asked, or gave no proper answer.
func (p *place) unavailable(k kind, reason string) *hookError {
	f := fault.New(fault.HookUnavailable, "hook %s/%s (%s) of bucket %s: %s", p.plugin, p.hook, p.phase, p.bucket, reason)
	f.With("plugin", p.plugin, "hook", p.hook, "phase", p.phase, "bucket", p.bucket, "reason", string(k))
	return &hookError{kind: k, err: f}
}

// late returns the error of a hook that took too long.
func (p *place) late(limit time.Duration) *hookError {
	return p.unavailable(timedOut, fmt.Sprintf("no answer within %d ms", limit.Milliseconds()))
}

// maxNameBytes bounds the name of an error that a hook makes up.
const maxNameBytes = 256

// rejection returns the error with which a hook ends an operation.
func rejection(r *wire.Rejection, unnamed fault.Name) (*fault.Error, error) {
	f := &fault.Error{Name: fault.Name(r.GetName()), Message: r.GetMessage()}
	if f.Name == "" {
		f.Name = unnamed
	}
	if len(f.Name) > maxNameBytes {
		return nil, errors.New("the name of its error is too long")
	}
	if text := r.GetContext(); len(text) > 0 {
		o, err := jsvalue.ParseObject(text)
		if err != nil {
			return nil, fmt.Errorf("the context of its error: %w", err)
		}
		f.Context = jsvalue.Sanitize(o.Text())
	}
	if text := r.GetErrors(); len(text) > 0 {
		v, err := jsvalue.Parse(text)
		if err == nil && v.Kind() != jsvalue.KindArray {
			err = errors.New("not an array")
		}
		if err != nil {
			return nil, fmt.Errorf("the errors of its error: %w", err)
		}
		for e := range v.Elements() {
			o, err := jsvalue.ParseObject(e)
			if err != nil {
				return nil, fmt.Errorf("the errors of its error: %w", err)
			}
			f.Members = append(f.Members, jsvalue.Sanitize(o.Text()))
		}
	}
	return f, nil
}

// unknown says that there is no thing of a name, and which it could have been.
func unknown(what, name string, have []string) string {
	if spelling.Nearest(name, slices.Values(have)) != "" || len(have) == 0 {
		return fmt.Sprintf("there is no %s %s", what, spelling.Unknown(name, slices.Values(have)))
	}
	return fmt.Sprintf("there is no %s %s; there are %s", what, spelling.Unknown(name, slices.Values(have)), strings.Join(have, ", "))
}
