package fast

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// largePayload is the length beyond which a payload counts against Limits.LargeBytes. Shorter ones are bounded by the
	// number of requests.
	largePayload = 64 << 10
	// arrivalTime is how long a large payload may take to arrive once there is room for it: others may wait for that room.
	arrivalTime = time.Minute
)

// readPayload reads the payload of size bytes that belongs to m. If it is large it first waits until all connections
// together have room for it, which giveRoom gives back if there is no error.
func (c *conn) readPayload(d *Decoder, m *Message, size int) error {
	if size <= largePayload {
		return d.payload(m, size)
	}
	c.Flush() // the client may wait for it
	if c.server.room.Acquire(whileOpen{c.work, c}, int64(size)) != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			return os.ErrDeadlineExceeded // as if reading had been stopped
		}
		return c.err
	}
	c.readUntil(time.Now().Add(arrivalTime))
	err := d.payload(m, size)
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.readUntil(time.Time{}) {
		err = fmt.Errorf("a payload of %d bytes did not arrive within %v", size, arrivalTime)
	}
	c.readUntil(time.Time{})
	if err != nil {
		c.giveRoom(size)
	}
	return err
}

// readUntil sets when reading fails, and reports whether the server has stopped the connection: then it fails at once.
func (c *conn) readUntil(when time.Time) (stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.nc.SetReadDeadline(when) // an error means that reading has ended already
	}
	return c.stopped
}

// giveRoom gives back what a payload of size bytes took.
func (c *conn) giveRoom(size int) {
	if size > largePayload {
		c.server.room.Release(int64(size))
	}
}

// newRoom makes the room that the large payloads of a server share.
func newRoom(l *Limits) *semaphore.Weighted {
	return semaphore.NewWeighted(int64(max(l.LargeBytes, l.FrameBytes)))
}

// whileOpen is a context that ends when no more requests are read from a connection.
type whileOpen struct {
	context.Context
	c *conn
}

func (w whileOpen) Done() <-chan struct{} { return w.c.gone }

func (w whileOpen) Err() error {
	select {
	case <-w.c.gone:
		return context.Canceled
	default:
		return nil
	}
}
