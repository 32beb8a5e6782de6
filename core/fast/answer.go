package fast

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/strand"
)

// holdTime and flushSize bound how long and how many values are held back for the end of the answer.
const (
	holdTime  = 5 * time.Millisecond
	flushSize = 16 << 10
)

// Run answers the request. It implements strand.Task.
func (r *Request) Run(s *strand.Strand) {
	c := r.conn
	defer c.tasks.Done()
	r.strand = s
	err := r.handle()
	if done := c.server.Trace; done != nil && done.RequestDone != nil {
		done.RequestDone(r, time.Since(r.started), err)
	}
	c.finish(r, err)
}

// handle runs the handler. A panic of it is its error.
func (r *Request) handle() (err error) {
	if r.Method == "" {
		return notWellFormed(r, r.envelope.All)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.conn.server.Handler.ServeFast(r.conn.work, (*sender)(r), r)
}

// finish sends the end of the answer to r and forgets r.
func (c *conn) finish(r *Request, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.awaitRoom(r.strand)
	switch {
	case c.err != nil, errors.Is(err, ErrGone):
	case err == nil:
		c.appendFrame(r.Version, StatusEnd, r.ID, r.Method, func(dst []byte) []byte { return append(dst, '[', ']') })
	default:
		answer, expected := answerOf(err)
		if !expected {
			c.log.Error("request failed", "msgid", r.ID, "route", r.Method, "err", err)
		}
		c.appendFrame(r.Version, StatusError, r.ID, r.Method, answer.appendTo)
	}
	if c.out != nil && !c.writing {
		c.holdBack() // until whoever has run the request flushes, who may run others before
	}
	delete(c.pending, r.ID)
	if !r.standing {
		c.inFlight--
	}
	c.held -= len(r.payload)
	c.giveRoom(len(r.payload))
	c.stats.RequestsCompleted++
	if err != nil {
		c.stats.RequestsFailed++
	}
	c.changed.Broadcast()
	if r.onEnd != nil {
		r.onEnd()
	}
	r.release()
}

// Flush sends the answers that requests have left. It implements strand.Outlet.
func (c *conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push()
}

// awaitRoom waits while more than enough waits to be sent. mu is held.
func (c *conn) awaitRoom(s *strand.Strand) {
	for c.err == nil && c.waiting() >= c.limits.UnsentBytes {
		c.mu.Unlock()
		s.Detach()
		c.mu.Lock()
		c.push()
		if c.err == nil && c.waiting() >= c.limits.UnsentBytes {
			c.changed.Wait()
		}
	}
}

// sender is a Request as a Sender.
type sender Request

func (s *sender) Send(value jsvalue.Value) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaitRoom(s.strand); c.err != nil {
		return ErrGone
	}
	c.appendFrame(s.Version, StatusData, s.ID, s.Method, func(dst []byte) []byte {
		return append(append(append(dst, '['), value...), ']')
	})
	switch {
	case c.writing: // it takes the value along
	case s.standing || len(c.out.b) >= flushSize:
		c.push()
	default:
		c.holdBack()
	}
	return nil
}

// holdBack makes sure that what was appended leaves in a while. mu is held.
func (c *conn) holdBack() {
	if c.holding || c.err != nil {
		return
	}
	c.holding = true
	c.tasks.Add(1)
	if c.hold != nil {
		c.hold.Reset(holdTime)
		return
	}
	c.hold = time.AfterFunc(holdTime, func() {
		defer c.tasks.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.holding = false
		c.push()
	})
}
