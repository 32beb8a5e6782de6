// Package bulk moves whole buckets between servers and files: moray dump and moray load. It is a client like others: it speaks
// the protocol, so hooks and indexes apply to what is loaded, and original servers can be dumped.
//
// A dump is lines of JSON. A line opens a bucket with its definition, lines with its objects follow, in the order of their ids,
// and a line closes it with their number, so that a part is never taken for the whole:
//
//	{"bucket":"users","config":{"index":{"email":{"type":"string"}},"pre":[],"post":[],"options":{"version":1}}}
//	{"key":"ann","value":{"email":"ann@example.com"},"_etag":"2C3A1F05","_id":1,"_mtime":1764108645000}
//	{"bucket":"users","objects":1}
//
// What is under way is in the files alone: a dump finds in its own file where to go on, a load in a small file beside it.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/client"
)

// Reports are told how far something is. Any of them may be nil.
type Reports struct {
	// Progress is called often.
	Progress func(bucket string, at bucket.Progress)
	// Notice is told what somebody should know who watches, such as that a connection was lost, or the error of one object. It is
	// called from several goroutines.
	Notice func(text string)
}

func (r *Reports) notice(format string, args ...any) {
	if r.Notice != nil {
		r.Notice(fmt.Sprintf(format, args...))
	}
}

// firstPause is the pause after the first attempt that failed; each further one is twice as long, up to longestPause.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// persist runs attempt until it succeeds or fails for a reason that time does not cure. It gives up when that has lasted for
// patience; attempt reports whether it got on, which begins the time anew.
func persist(ctx context.Context, patience time.Duration, lost func(error), attempt func() (progress bool, err error)) error {
	pause, since := firstPause, time.Now()
	for {
		progress, err := attempt()
		if progress {
			pause, since = firstPause, time.Now()
		}
		if err == nil || ctx.Err() != nil || !passing(err) || time.Since(since)+pause > patience {
			return err
		}
		if lost != nil {
			lost(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// passing reports whether the same request may succeed later: the server, its database or the way there is out of order.
func passing(err error) bool {
	answer := (*client.Error)(nil)
	if !errors.As(err, &answer) {
		return !errors.Is(err, errFinal)
	}
	switch answer.Name {
	case "NoDatabasePeersError", "QueryTimeoutError", "ConnectTimeoutError", "OverloadedError":
		return true
	case "VError":
		return strings.HasPrefix(answer.Message, "Postgres client failed")
	case "Error":
		return strings.Contains(answer.Message, "ECONNREFUSED")
	case "error": // of PostgreSQL, while it starts or stops
		return strings.Contains(answer.Message, "the database system is") || strings.Contains(answer.Message, "terminating connection")
	}
	return false
}

// errFinal is in the chain of errors that are not the server's and will not go away.
var errFinal = errors.New("")

// final marks an error as one of those.
func final(err error) error { return &finalError{err} }

type finalError struct{ error }

func (e *finalError) Unwrap() error        { return e.error }
func (e *finalError) Is(target error) bool { return target == errFinal }

// named reports whether err is the server's answer of that name.
func named(err error, name string) bool {
	answer := (*client.Error)(nil)
	return errors.As(err, &answer) && answer.Name == name
}

// pace lets things happen at a rate. The zero pace has none.
type pace struct {
	each time.Duration
	next time.Time
}

func newPace(perSecond int) *pace {
	if perSecond <= 0 {
		return &pace{}
	}
	return &pace{each: time.Second / time.Duration(perSecond)}
}

// wait waits until the next thing may happen. Pauses too short to keep are saved up.
func (p *pace) wait(ctx context.Context) error {
	if p.each == 0 {
		return nil
	}
	now := time.Now()
	if p.next.Before(now.Add(-100 * time.Millisecond)) {
		p.next = now
	}
	p.next = p.next.Add(p.each)
	ahead := p.next.Sub(now)
	if ahead < 10*time.Millisecond {
		return nil
	}
	select {
	case <-time.After(ahead):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
