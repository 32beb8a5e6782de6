package fast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Client makes requests over one connection. Any number of goroutines may use it.
//
// When the connection fails, or the server breaks the protocol, the client is of no use any more: the calls that wait for
// answers fail, and further ones return [ErrDetached]. The owner then closes it and makes another.
type Client struct {
	link
	version Version
	closed  chan struct{}

	// Guarded by the link's mu.
	calls  map[uint32]*call // without an END or ERROR yet; nil for those that were given up
	lastID uint32
	live   int // calls that are not nil
	full   int // those for which too much waits
}

const (
	clientTimeout = 30 * time.Second // of writes; see [Limits]
	maxReply      = 1 << 30          // bytes of a payload; the server is trusted, and memory is taken as bytes arrive
	maxWaiting    = 1 << 20          // bytes that may wait for one call before reading stops for it
)

// ErrDetached is in the chain of the error of a call whose request was not sent, because the connection had ended before.
var ErrDetached = errors.New("fast client: transport detached")

// Dial connects to the TCP address addr, host:port, and makes a [Client] of the connection. Version is what requests are
// sent in; answers are accepted in both.
func Dial(ctx context.Context, addr string, version Version) (*Client, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 10 * time.Second, Count: 3}}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewClient(nc, version), nil
}

// NewClient makes a client of a connection, which becomes its own. It starts a goroutine that reads the answers, which
// [Client.Close] ends.
func NewClient(nc net.Conn, version Version) *Client {
	c := &Client{version: version, closed: make(chan struct{}), calls: map[uint32]*call{}}
	c.init(nc, clientTimeout)
	c.tasks.Go(c.read)
	return c
}

// Close ends the connection, and with it the calls that wait, and waits until everything has ended.
func (c *Client) Close() {
	c.end(net.ErrClosed)
	c.tasks.Wait()
}

// Closed returns a channel that is closed when the client is of no use any more.
func (c *Client) Closed() <-chan struct{} { return c.closed }

func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
}

// messages are those on their way from the reader to a call.
var messages = sync.Pool{New: func() any { return new(Message) }}

// read hands answers to the calls that wait for them, until the connection ends.
func (c *Client) read() {
	defer close(c.closed)
	d := NewDecoder(c.nc, maxReply)
	for {
		m := messages.Get().(*Message)
		err := d.Decode(m)
		if err == nil {
			err = c.deliver(m)
		}
		if err != nil {
			c.disconnect(err)
			return
		}
	}
}

// disconnect fails every call that waits.
func (c *Client) disconnect(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch broken := (*ProtocolError)(nil); {
	case errors.Is(err, io.EOF) && len(c.calls) > 0:
		err = fmt.Errorf("unexpected end of transport stream: %w", io.ErrUnexpectedEOF)
	case !errors.Is(err, io.EOF) && !errors.As(err, &broken):
		err = fmt.Errorf("unexpected error on transport: %w", err)
	}
	c.fail(err)
	for _, k := range c.calls {
		if k != nil {
			k.wake()
		}
	}
}
