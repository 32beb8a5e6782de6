// Package client is a client of moray over core/fast, with one method for each RPC. It sends the options of the stock
// client, node-moray 4.1, under the same names, but only those that are set; what they do is documented there. It takes and
// returns values as JSON text, and interprets nothing that it need not.
//
// A [Client] holds several connections, to one server or to several that share a database, and sends each request over one
// of them at random. Connections are made when requests need them, and made again, after a pause, when they are lost. A
// request that was sent is never sent again: only its caller knows whether that is safe.
package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Config says where the servers are. Addresses is required; zero stands for the default elsewhere.
type Config struct {
	// Addresses are the servers, each as host:port. Connections are spread over them.
	Addresses []string
	// Connections is how many connections are held; default 6.
	Connections int
	// Version is the protocol version of requests; default fast.V2.
	Version fast.Version
	// DialTimeout is how long an attempt to connect may take; default 4 s.
	DialTimeout time.Duration
	// Dial connects to one of Addresses; default is TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// Client makes requests. Any number of goroutines may use it.
type Client struct {
	config Config
	dials  context.Context // of attempts to connect; ends with Close
	end    context.CancelFunc
	tasks  sync.WaitGroup // attempts to connect, closing of lost connections

	mu      sync.Mutex // guards what follows
	slots   []slot
	changed chan struct{} // closed, and replaced, when an attempt to connect has ended
	closed  bool
}

// slot is the place of one connection.
type slot struct {
	conn     *fast.Client // nil while there is none
	dialing  bool
	home     int       // in Addresses, where it begins
	address  int       // in Addresses, of this connection or the next one
	failures int       // in a row
	retry    time.Time // not to connect before
	err      error     // of the last attempt to connect
}

// The pause between two attempts to connect for one slot doubles with each failure, between these two.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// ErrClosed is returned by requests after [Client.Close].
var ErrClosed = errors.New("the client has been closed")

// New returns a client. It does not connect yet. [Client.Close] ends it.
func New(config Config) *Client {
	if len(config.Addresses) == 0 {
		panic("client.New: Config has no Addresses")
	}
	if config.Connections == 0 {
		config.Connections = 6
	}
	if config.Version == 0 {
		config.Version = fast.V2
	}
	if config.DialTimeout == 0 {
		config.DialTimeout = 4 * time.Second
	}
	config.Addresses = slices.Clone(config.Addresses)
	c := &Client{config: config, slots: make([]slot, config.Connections), changed: make(chan struct{})}
	for i := range c.slots {
		c.slots[i].home = i % len(config.Addresses)
		c.slots[i].address = c.slots[i].home
	}
	c.dials, c.end = context.WithCancel(context.Background())
	return c
}

// Close ends the connections, and with them the requests under way, and waits until everything has ended.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.end()
	for i := range c.slots {
		c.drop(&c.slots[i])
	}
	c.mu.Unlock()
	c.tasks.Wait()
}

// Call makes a request for any method: args is the text of a JSON array, and each gets the values of the answer, which are
// valid until it returns. The error is an *[Error] if that was the answer, or has what each returned, or the reason for
// which the request failed, in its chain.
func (c *Client) Call(ctx context.Context, method string, args jsvalue.Value, each func(jsvalue.Value) error) error {
	return c.do(ctx, method, func(conn *fast.Client) error { return conn.Call(ctx, method, args, each) })
}

// do runs f, which makes a request for method, on a connection. If the request was not sent, because the connection has
// ended, it runs f again on another one.
func (c *Client) do(ctx context.Context, method string, f func(*fast.Client) error) error {
	for {
		conn, err := c.connection(ctx)
		if err == nil {
			err = f(conn)
		}
		switch answer := (*fast.Error)(nil); {
		case err == nil:
			return nil
		case errors.As(err, &answer):
			return newError(answer)
		case !errors.Is(err, fast.ErrDetached):
			return fmt.Errorf("%s: %w", method, err)
		}
		c.lost(conn)
	}
}

// connection returns one of the connections. It makes those that are missing, and waits only if there is none.
func (c *Client) connection(ctx context.Context) (*fast.Client, error) {
	for {
		conn, changed, err := c.choose()
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// choose returns one of the connections at random, or a channel that tells when it is worth while to try again, or an error
// when there is nothing to wait for.
func (c *Client) choose() (chosen *fast.Client, changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	open, dialing := 0, false
	for i := range c.slots {
		s := &c.slots[i]
		if s.conn != nil {
			select {
			case <-s.conn.Closed():
				c.drop(s)
			default:
				if open++; rand.IntN(open) == 0 {
					chosen = s.conn
				}
				continue
			}
		}
		if !s.dialing && !time.Now().Before(s.retry) {
			s.dialing = true
			c.tasks.Go(func() { c.dial(s) })
		}
		dialing = dialing || s.dialing
		err = s.err
	}
	if chosen != nil || dialing {
		return chosen, c.changed, nil
	}
	if err == nil {
		err = errors.New("the connection was lost a moment ago")
	}
	return nil, nil, fmt.Errorf("no connection: %w", err)
}

// drop forgets the connection of a slot, if it has one. mu is held.
func (c *Client) drop(s *slot) {
	if conn := s.conn; conn != nil {
		s.conn = nil
		c.tasks.Go(conn.Close)
	}
}

// lost drops a connection that has turned out to be of no use.
func (c *Client) lost(conn *fast.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		if s := &c.slots[i]; s.conn == conn {
			c.drop(s)
		}
	}
}

// dial makes one attempt to connect.
func (c *Client) dial(s *slot) {
	address := c.config.Addresses[s.address]
	ctx, cancel := context.WithTimeout(c.dials, c.config.DialTimeout)
	defer cancel()
	conn, err := c.connect(ctx, address)

	c.mu.Lock()
	defer c.mu.Unlock()
	s.dialing, s.err = false, err
	switch {
	case err != nil:
		// With a connection for each address a slot stays with its own, so that a server that comes back is used again.
		// With fewer, the slots share out the addresses.
		if s.address += len(c.slots); s.address >= len(c.config.Addresses) {
			s.address = s.home
		}
		s.failures = min(s.failures+1, 10)
	case c.closed:
		c.tasks.Go(conn.Close)
	default:
		s.conn, s.failures = conn, 0
	}
	s.retry = time.Now().Add(min(firstPause<<s.failures, longestPause))
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) connect(ctx context.Context, address string) (*fast.Client, error) {
	if c.config.Dial == nil {
		return fast.Dial(ctx, address, c.config.Version)
	}
	nc, err := c.config.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return fast.NewClient(nc, c.config.Version), nil
}
