package fast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/kaizengarden/moray/core/strand"
)

// conn is one connection of a server.
//
//	open ──────────────> draining ──────────────────> closed
//	  │  end of stream,      │   all requests answered
//	  │  or server stops     │
//	  └──────────────────────┴──────────────────────> dead
//	     protocol or socket error, end of the grace period
//
// While open it reads requests. While draining it only answers those that it has. When it is dead, what its handlers send
// goes nowhere, and it stays in the server's list until the last of them has returned.
type conn struct {
	link     // its tasks are requests, writers and the timer of hold; its mu guards the fields marked with *
	server   *Server
	limits   Limits
	id       uint64
	remote   string
	log      *slog.Logger
	work     context.Context // of the handlers
	strands  *strand.Pool
	accepted time.Time
	gone     chan struct{} // * closed by endInput
	method   string        // of the last request; belongs to the reader
	client   any           // what Identify returned
	received atomic.Uint64 // bytes

	pending  map[uint32]*Request // *
	inFlight int                 // * pending requests that do not stand
	held     int                 // * bytes of the payloads of pending requests
	stats    Stats               // * of this connection
	draining bool                // * gone is closed
	stopped  bool                // * by the server: reads fail
	hold     *time.Timer         // * lets values leave that were held back
	holding  bool                // * hold is running
}

// run serves the connection to its end.
func (c *conn) run() {
	c.log.Info("connection received")
	err := c.greet()
	if err == nil {
		err = c.read()
	}

	c.mu.Lock()
	if err != nil {
		c.fail(err) // first, so that no answer leaves any more
	}
	c.endInput()
	c.push()
	drained := c.err == nil && len(c.pending) > 0
	for c.err == nil && (len(c.pending) > 0 || c.waiting() > 0) {
		c.changed.Wait()
	}
	err = c.err
	linger := err == nil && c.stopped
	c.mu.Unlock()

	switch {
	case err != nil:
		c.report(err)
	case drained:
		c.log.Info("removing drained connection")
	}
	if linger {
		c.linger()
	}
	c.drop(net.ErrClosed)
	c.tasks.Wait()
}

// handshakeTimeout bounds the handshake of an encrypted connection.
const handshakeTimeout = 10 * time.Second

// greet finds out who the client is.
func (c *conn) greet() error {
	if encrypted, ok := c.nc.(interface{ HandshakeContext(context.Context) error }); ok {
		ctx, cancel := context.WithTimeout(c.work, handshakeTimeout)
		defer cancel()
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
	}
	if c.server.Identify != nil {
		c.client = c.server.Identify(c.nc)
	}
	return nil
}

// endInput notes that no more requests come. mu is held.
func (c *conn) endInput() {
	if !c.draining {
		c.draining = true
		close(c.gone)
	}
}

// drop ends the connection, for the reason err unless there was one before. Its requests run on, unanswered.
func (c *conn) drop(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
	c.endInput()
	if c.holding && c.hold.Stop() {
		c.holding = false
		c.tasks.Done()
	}
}

// report logs why the connection is dropped, and the requests that lose it.
func (c *conn) report(err error) {
	if broken := (*ProtocolError)(nil); errors.As(err, &broken) || errors.Is(err, errShutdown) {
		c.log.Warn("gracefully terminating connection", "err", err)
	} else {
		c.log.Warn("socket error", "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.pending {
		c.log.Info("disconnecting request", "msgid", id)
	}
}

// stop makes the connection answer what it has received, and end.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.endInput()
	c.nc.SetReadDeadline(time.Unix(1, 0)) // an error means that reading has ended already
}

// lingerTime is how long a connection that the server ends waits for the client to end its side too. Closing it while
// the client still sends would make TCP reset it, and the client could lose answers that it has not read.
const lingerTime = time.Second

func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(min(lingerTime, c.limits.Grace))) == nil {
		io.Copy(io.Discard, c.nc) // any end of it will do
	}
}

// read takes requests until no more come. The error is nil if those received are still to be answered.
func (c *conn) read() error {
	d := NewDecoder(counted{c}, c.limits.FrameBytes)
	for {
		if err := c.readMessage(d); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) { // only stop sets a deadline
				return nil
			}
			return err
		}
	}
}

// counted reads from a connection and counts. Before it waits it lets the answers go that requests have left.
type counted struct{ c *conn }

func (r counted) Read(p []byte) (n int, err error) {
	r.c.Flush()
	n, err = r.c.nc.Read(p)
	r.c.received.Add(uint64(n))
	return n, err
}

func (c *conn) readMessage(d *Decoder) error {
	var m Message
	size, err := d.header(&m)
	if err != nil {
		return err
	}
	if err := c.awaitCapacity(size); err != nil {
		return err
	}
	r := requests.Get().(*Request)
	m.Payload = r.payload
	if err = c.readPayload(d, &m, size); err == nil {
		r.payload = m.Payload
		var accepted bool
		if accepted, err = c.accept(r, &m); accepted {
			return nil
		}
		c.giveRoom(size)
	}
	r.release()
	return err
}

// awaitCapacity waits until the connection may take a request of size bytes. Not reading on makes the client wait.
func (c *conn) awaitCapacity(size int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && (c.inFlight >= c.limits.InFlight ||
		c.inFlight > 0 && c.held+size > c.limits.InFlightBytes || c.waiting() >= c.limits.UnsentBytes) {
		if c.out != nil && !c.writing {
			c.push() // which gives mu up: look again
			continue
		}
		c.changed.Wait()
	}
	return c.err
}

// accept starts the request in m, with r for its memory. It reports false if m does not start one.
func (c *conn) accept(r *Request, m *Message) (accepted bool, err error) {
	e, err := m.Envelope()
	switch {
	case err != nil:
		return false, err
	case m.Status == StatusEnd:
		return false, broken(UnexpectedStatus, "unexpected END event from client")
	case m.Status == StatusError:
		c.ignoreAbort(m.ID)
		return false, nil
	}
	r.fill(c, m, e)
	if err := c.enter(r); err != nil {
		return false, err
	}
	if inline := c.server.Inline; inline != nil && len(r.payload) <= maxInline && inline(r) {
		c.strands.Run(r, c)
	} else {
		c.strands.Go(r, c)
	}
	return true, nil
}

// maxInline is the length of the payload of a request beyond which its work would keep others from being read.
const maxInline = 64 << 10

// enter makes r one of the pending requests.
func (c *conn) enter(r *Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.pending[r.ID] != nil:
		return broken(DuplicateID, "client attempted to re-use msgid")
	}
	c.pending[r.ID] = r
	c.inFlight++
	c.held += len(r.payload)
	c.stats.RequestsStarted++
	c.tasks.Add(1)
	return nil
}

// ignoreAbort counts a message with which old clients asked to abort a request. The request goes on.
func (c *conn) ignoreAbort(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stats.AbortsIgnored++; c.stats.AbortsIgnored == 1 { // once a connection, lest a client fills the log
		c.log.Warn("ignoring request to abort RPC (not supported)", "msgid", id)
	}
}
