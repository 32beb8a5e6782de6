package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// conn is one connection to PostgreSQL. pgconn opens it (authentication, TLS, start-up parameters); from then on conn speaks
// the protocol itself, message by message, so that several requests can share a round trip, that nothing is cancelled behind
// our back, and that a statement's bytes are copied once. It is for one goroutine at a time.
type conn struct {
	net      net.Conn
	in       *pgproto3.Frontend // reads only
	out      []byte             // messages not written yet
	hijacked *pgconn.HijackedConn
	id       uint64 // for the log: from 1, never used twice
	at       *primary

	// status is the transaction status of the last ReadyForQuery: 'I' idle, 'T' in a transaction, 'E' in a failed one.
	status byte
	// broken says why the connection can no longer be used.
	broken error
	// fatal is the last message with which the server ended the connection.
	fatal *pgconn.PgError
	// warned says that the wait for a synchronous standby was cut short: what was committed may be lost by a failover.
	warned bool
	// refusesWrites says that the server refused a statement of ours because it takes no writes.
	refusesWrites bool
	// undone says that the last command was a rollback, whatever was asked for.
	undone bool

	// prepared and older are the statements that are kept prepared, by text: their names. What is used is among prepared; when that
	// has half of the room, what has not been used since the last time goes.
	prepared, older map[string]string
	parsing         []string // texts whose ParseComplete has not arrived
	closing         []string // names of statements that are let go of, and whose CloseComplete has not arrived
	serial          int      // of the last statement name

	timed   bool      // a read deadline is set
	idle    time.Time // since when it is idle
	checked time.Time // when its socket was last looked at
	caller  use       // who holds it, while it is claimed
	quick   bool      // short statements are sent over it
	began   time.Time // when the last of them were taken

	batch []*waiter // the group that is under way; kept for its memory

	metrics *metrics
}

// maxPrepared bounds the statements that one connection keeps: enough for a thousand buckets in equal use. Each costs PostgreSQL 5 to
// 20 KiB, and a few times what it takes to run it when it is prepared anew.
const maxPrepared = 4000

// errClosed is why a connection cannot be used after the store closed it.
var errClosed = errors.New("connection closed")

// open makes a connection, to a server that can be written to unless readOnly says that another will do. The context bounds the
// attempt.
func open(ctx context.Context, at *primary, id uint64, readOnly bool) (*conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, at.config)
	if err != nil {
		return nil, err
	}
	if !readOnly {
		if err := writable(ctx, pg); err != nil {
			return nil, errors.Join(err, pg.Close(ctx))
		}
	}
	if err := pg.SyncConn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("settle the new connection: %w", err), pg.Close(ctx))
	}
	hijacked, err := pg.Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over the new connection: %w", err)
	}
	return &conn{
		net:      hijacked.Conn,
		in:       pgproto3.NewFrontend(hijacked.Conn, nil),
		hijacked: hijacked,
		id:       id,
		at:       at,
		status:   'I',
		prepared: map[string]string{},
		older:    map[string]string{},
		idle:     time.Now(),
	}, nil
}

// lostError is why a connection broke that nobody on our side ended.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "connection to PostgreSQL lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// fail notes why the connection cannot be used any more, closes it, and returns the reason. The first reason counts.
func (c *conn) fail(err error) error {
	if c.broken != nil {
		return c.broken
	}
	switch {
	case c.fatal != nil && errors.Is(err, errUnsent):
		err = fmt.Errorf("%w: %w", errUnsent, c.fatal)
	case c.fatal != nil:
		err = c.fatal // the server said why
	case errors.Is(err, errTimeout), errors.Is(err, errAbandoned), errors.Is(err, errClosed), errors.Is(err, errUnknown):
	default:
		err = &lostError{err}
	}
	c.broken = err
	c.net.Close() //nolint:errcheck // because the connection is given up anyhow
	return err
}

// close ends the connection in order.
func (c *conn) close() {
	if c.broken != nil {
		return
	}
	c.broken = errClosed
	if bye, err := (&pgproto3.Terminate{}).Encode(nil); err == nil {
		c.net.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // because Write reports it
		c.net.Write(bye)                                    //nolint:errcheck // because the server notices the close as well
	}
	c.net.Close() //nolint:errcheck // because nothing was left to be written
}

// alive reports whether the server still holds its end of an idle connection. It looks at the socket without waiting, so it
// finds a server that went away before a request is sent to it.
func (c *conn) alive() bool {
	pending, err := c.peek()
	if err != nil {
		c.fail(err)
		return false
	}
	if !pending {
		return true
	}
	// Something arrived while nobody asked: a notice, a changed parameter, or the message that ends the connection.
	c.deadline(100 * time.Millisecond)
	for pending {
		if _, err := c.receive(); err != nil {
			c.fail(err)
			return false
		}
		if c.fatal != nil {
			c.fail(c.fatal)
			return false
		}
		if pending, err = c.peek(); err != nil {
			c.fail(err)
			return false
		}
		pending = pending || c.in.ReadBufferLen() > 0
	}
	c.deadline(0)
	return c.broken == nil
}

// peek reports whether bytes wait to be read.
func (c *conn) peek() (pending bool, err error) {
	raw := c.net
	if tls, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = tls.NetConn()
	}
	socket, ok := raw.(syscall.Conn)
	if !ok {
		return false, nil
	}
	control, err := socket.SyscallConn()
	if err != nil {
		return false, err
	}
	var one [1]byte
	var n int
	var peeked error
	err = control.Read(func(fd uintptr) bool {
		n, _, peeked = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	switch {
	case err != nil:
		return false, err
	case errors.Is(peeked, syscall.EAGAIN), errors.Is(peeked, syscall.EINTR):
		return false, nil
	case peeked != nil:
		return false, peeked
	case n == 0:
		return false, io.ErrUnexpectedEOF
	}
	return true, nil
}

// deadline bounds the reads from now on; 0 removes the bound.
func (c *conn) deadline(d time.Duration) {
	switch {
	case d > 0:
		c.net.SetReadDeadline(time.Now().Add(d)) //nolint:errcheck // because Read reports a closed connection
		c.timed = true
	case c.timed:
		c.net.SetReadDeadline(time.Time{}) //nolint:errcheck // because Read reports a closed connection
		c.timed = false
	}
}

// message is what can be sent.
type message interface {
	Encode(dst []byte) ([]byte, error)
}

func (c *conn) send(m message) {
	out, err := m.Encode(c.out)
	if err != nil { // longer than the protocol allows
		c.fail(fmt.Errorf("encode a message for PostgreSQL: %w", err))
		return
	}
	c.out = out
}

// flush writes what was sent.
func (c *conn) flush() error {
	if c.broken != nil {
		return c.broken
	}
	if c.at.gone.Load() {
		return c.fail(fmt.Errorf("%w: %w", errUnsent, errSuperseded))
	}
	n, err := c.net.Write(c.out)
	if cap(c.out) > 1<<20 {
		c.out = nil // do not keep the memory of one huge statement
	}
	c.out = c.out[:0]
	if err != nil {
		if n == 0 {
			err = fmt.Errorf("%w: %w", errUnsent, err)
		}
		// The server may have said why before it hung up.
		c.deadline(100 * time.Millisecond)
		for c.fatal == nil {
			if _, rerr := c.receive(); rerr != nil {
				break
			}
		}
		return c.fail(err)
	}
	return nil
}

// name returns the name under which the text is prepared on the connection, preparing it with the next flush if it is not.
func (c *conn) name(text string) string {
	name, ok := c.prepared[text]
	if ok {
		return name
	}
	if len(c.prepared) >= maxPrepared/2 {
		for other, name := range c.older {
			if other != text {
				c.closing = append(c.closing, name)
				delete(c.older, other)
			}
		}
		c.letGo()
		c.prepared, c.older = c.older, c.prepared
	}
	if name, ok = c.older[text]; ok {
		delete(c.older, text)
	} else if name, ok = c.prepared[text]; !ok {
		c.serial++
		name = "m" + strconv.Itoa(c.serial)
		c.send(&pgproto3.Parse{Name: name, Query: text})
		c.parsing = append(c.parsing, text)
	}
	c.prepared[text] = name
	return name
}

// letGo sends for the statements that are not kept any longer.
func (c *conn) letGo() {
	for _, name := range c.closing {
		c.send(&pgproto3.Close{ObjectType: 'S', Name: name})
	}
}

// forget makes the connection prepare a text again when it is needed next.
func (c *conn) forget(text string) {
	delete(c.prepared, text)
	delete(c.older, text)
}
