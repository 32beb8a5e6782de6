package rpc

import (
	"context"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// listen [channel, options]: DATA {"channel","payload"} for each notification, and END when it is stopped by unlisten or by the
// client ending its side of the connection. When the server stops there is no END, which would look like that of an unlisten:
// the client learns from the lost connection that it has to listen elsewhere.
func listen(c *call) error {
	c.request.Standing()
	ctx, cancel := context.WithCancel(c.ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	gone := c.request.Gone()
	watch.Go(func() {
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	})
	if c.options.requestID != "" {
		c.request.OnEnd(c.listens.add(c.options.requestID, cancel))
	}
	var record []byte
	err := c.Database.Listen(ctx, c.text(0), func(channel, payload string) error {
		record = jsvalue.AppendString(append(record[:0], `{"channel":`...), channel)
		record = append(jsvalue.AppendString(append(record, `,"payload":`...), payload), '}')
		return c.send(record)
	})
	if c.request.Stopping() {
		return fast.ErrGone
	}
	return err
}

// unlistenPatience is how long unlisten waits for the END of a listen whose client does not read.
const unlistenPatience = time.Second

// unlisten [id, options]: END, after the END of the listen requests with that request id, if there are any.
func unlisten(c *call) error {
	for _, ended := range c.listens.stop(c.text(0)) {
		select {
		case <-ended:
		case <-time.After(unlistenPatience):
		}
	}
	return nil
}

// listens knows the listen requests under way, by request id. The zero value is ready for use.
type listens struct {
	mu   sync.Mutex // guards byID
	byID map[string][]*listening
}

type listening struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when its END is on the way
}

// add notes a listen request; the function that it returns is to be called at its end.
func (l *listens) add(id string, cancel context.CancelFunc) (ended func()) {
	one := &listening{cancel: cancel, ended: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = map[string][]*listening{}
	}
	l.byID[id] = append(l.byID[id], one)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(one.ended)
		rest := l.byID[id][:0:0]
		for _, other := range l.byID[id] {
			if other != one {
				rest = append(rest, other)
			}
		}
		if l.byID[id] = rest; len(rest) == 0 {
			delete(l.byID, id)
		}
	}
}

// stop tells the listen requests with an id to end, and returns what is closed when they have.
func (l *listens) stop(id string) []<-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ended []<-chan struct{}
	for _, one := range l.byID[id] {
		one.cancel()
		ended = append(ended, one.ended)
	}
	return ended
}
