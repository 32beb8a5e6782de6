package fast

import (
	"context"
	"fmt"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// call is one request that waits for its answer. The client's mu guards it.
type call struct {
	ready chan struct{} // holds a token when something happened
	queue []*Message    // received and not yet taken
	bytes int           // of their payloads
	full  bool          // that is too much
}

func (k *call) wake() {
	select {
	case k.ready <- struct{}{}:
	default:
	}
}

// Call makes one request; args is the text of a JSON array. It passes the values of the answer to each, in order, in the
// calling goroutine; a value is valid until each returns. A nil each ignores them. Values for which each is too slow wait
// in memory, and when they are many the server waits too.
//
// The error is nil after END and an *[Error] after an ERROR. What each returns ends the call and is returned. When ctx
// ends, so does the call, with ctx's error; the server is not told and may carry out the request all the same. A
// *[ProtocolError] or another error means that the connection failed; what became of the request is not known, unless the
// error is [ErrDetached].
func (c *Client) Call(ctx context.Context, method string, args jsvalue.Value, each func(jsvalue.Value) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k := &call{ready: make(chan struct{}, 1)}
	id, err := c.start(k, method, args)
	if err != nil {
		return err
	}
	defer c.giveUp(id, k)
	for {
		select {
		case <-k.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		received, failure := c.take(k)
		for _, m := range received {
			if ended, err := c.receive(m, each); ended || err != nil {
				return err
			}
		}
		if failure != nil {
			return failure
		}
	}
}

// start sends the request.
func (c *Client) start(k *call, method string, args jsvalue.Value) (id uint32, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDetached, c.err)
	}
	for used := true; used; _, used = c.calls[c.lastID] {
		c.lastID = c.lastID%MaxID + 1
	}
	c.calls[c.lastID] = k
	c.live++
	c.changed.Broadcast()
	c.appendFrame(c.version, StatusData, c.lastID, method, func(dst []byte) []byte { return append(dst, args...) })
	if !c.writing {
		c.startWriter() // not this goroutine, which must heed its context
	}
	return c.lastID, nil
}

// deliver hands a message to its call, if it still waits.
func (c *Client) deliver(m *Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.calls[m.ID]
	if !known {
		return broken(UnknownID, "received message with unknown msgid %d", m.ID)
	}
	if k != nil {
		k.queue = append(k.queue, m)
		k.bytes += len(m.Payload)
		if !k.full && k.bytes > maxWaiting {
			k.full = true
			c.full++
		}
		k.wake()
	}
	if m.Status != StatusData {
		c.settle(m.ID)
		delete(c.calls, m.ID)
	}
	// Reading stops for calls that take their values slowly, but only if that is true of all calls. Another one may be
	// what a slow caller does between two values, and would wait for ever.
	for c.err == nil && c.full > 0 && c.full == c.live {
		c.changed.Wait()
	}
	return c.err
}

// settle makes the call id one of those that no longer count. mu is held.
func (c *Client) settle(id uint32) {
	k := c.calls[id]
	if k == nil {
		return
	}
	c.live--
	c.drained(k)
	c.calls[id] = nil
}

// drained notes that nothing waits for k any more. mu is held.
func (c *Client) drained(k *call) {
	k.bytes = 0
	if k.full {
		k.full = false
		c.full--
		c.changed.Broadcast()
	}
}

// take returns what was received for k, and the error that ends the call after that, if the connection has failed.
func (c *Client) take(k *call) ([]*Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	received := k.queue
	k.queue = nil
	c.drained(k)
	return received, c.err
}

// giveUp forgets k, unless its answer is complete. The rest of the answer is ignored.
func (c *Client) giveUp(id uint32, k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[id] == k {
		c.settle(id)
		c.changed.Broadcast()
	}
}

// receive passes the values of m to each and reports whether m ends the answer.
func (c *Client) receive(m *Message, each func(jsvalue.Value) error) (ended bool, err error) {
	e, err := m.Envelope()
	if err != nil {
		c.end(err)
		return false, err
	}
	if m.Status == StatusError {
		return true, errorOf(e.D)
	}
	for v := range e.D.Elements() {
		if v.IsNull() {
			return false, broken(BadData, `server sent "null" value`)
		}
		if each == nil {
			continue
		}
		if err := each(v); err != nil {
			return false, err
		}
	}
	ended = m.Status == StatusEnd
	if cap(m.Payload) <= maxPooledPayload {
		messages.Put(m)
	}
	return ended, nil
}
