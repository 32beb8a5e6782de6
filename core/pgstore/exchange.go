package pgstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// lockTimeout is how long statements wait for a lock unless they ask for patience: a session's setting from the start. A
// statement that shares a round trip must not make strangers wait for a row that a slow hook holds, or for an ALTER TABLE.
// It is far below deadlock_timeout, and long enough for the row locks of ordinary writes.
const lockTimeout = "20ms"

var (
	// waitPatiently lifts the lock timeout until the transaction ends.
	waitPatiently = &query.Statement{SQL: `SELECT set_config('lock_timeout', '0', true)`}

	// errTimeout is why a connection cannot be used after a statement's time was up: its answer would come at some later time.
	errTimeout = errors.New("statement timeout")
	// errAbandoned is why a connection cannot be used after the receiver of rows gave up.
	errAbandoned = errors.New("result abandoned")
)

// queue sends a statement: prepared if it is not, bound and executed. The next flush carries it.
func (c *conn) queue(s *query.Statement) {
	name := ""
	if s.Once {
		c.send(&pgproto3.Parse{Query: s.SQL})
		c.parsing = append(c.parsing, s.SQL)
	} else {
		name = c.name(s.SQL)
	}
	c.bind(name, s.Args)
	c.out = append(c.out, execute...)
	if s.MaxRows > 0 {
		binary.BigEndian.PutUint32(c.out[len(c.out)-4:], s.MaxRows)
	}
}

// bind appends a Bind message for the unnamed portal: parameters and results in text form. It is pgproto3's without what that
// allocates.
func (c *conn) bind(name string, args [][]byte) {
	const null = 1<<32 - 1
	start := len(c.out)
	out := append(append(c.out, 'B', 0, 0, 0, 0, 0), name...)
	out = binary.BigEndian.AppendUint16(append(out, 0, 0, 0), uint16(len(args)))
	for _, a := range args {
		if a == nil {
			out = binary.BigEndian.AppendUint32(out, null)
			continue
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(a))), a...)
	}
	c.out = append(out, 0, 0)
	if size := len(c.out) - start - 1; size <= maxMessage && len(args) <= maxParameters {
		binary.BigEndian.PutUint32(c.out[start+1:], uint32(size))
		return
	}
	c.fail(errors.New("a message for PostgreSQL is longer than its protocol allows"))
}

const (
	maxMessage    = 0x3fffffff - 1 // PostgreSQL's limit is 1 GiB
	maxParameters = 1<<16 - 1
)

// The messages that are always the same.
const (
	execute = "E\x00\x00\x00\x09\x00\x00\x00\x00\x00" // the unnamed portal, all rows
	synced  = "S\x00\x00\x00\x04"
)

// sync marks the end of a group of statements: outside a transaction they are committed there, all or none.
func (c *conn) sync() { c.out = append(c.out, synced...) }

// receive returns the next message that belongs to an answer. It keeps track of what the server says in passing.
func (c *conn) receive() (pgproto3.BackendMessage, error) {
	m, err := c.in.Receive()
	if err != nil {
		if c.timed && errors.Is(err, os.ErrDeadlineExceeded) {
			err = errTimeout
		}
		return nil, err
	}
	switch m := m.(type) {
	case *pgproto3.ParseComplete:
		if len(c.parsing) > 0 {
			c.parsing = c.parsing[1:]
		}
	case *pgproto3.CloseComplete:
		if len(c.closing) > 0 {
			c.closing = c.closing[1:]
		}
	case *pgproto3.ReadyForQuery:
		c.status = m.TxStatus
	case *pgproto3.NoticeResponse:
		if m.Code == "01000" && strings.HasPrefix(m.Message, "canceling wait for synchronous replication") || m.Code == "57P01" {
			c.warned = true
		}
	case *pgproto3.ErrorResponse:
		if m.Severity == "FATAL" || m.Severity == "PANIC" {
			c.fatal = pgconn.ErrorResponseToPgError(m)
		}
	}
	return m, nil
}

// result reads the answer to one queued statement, or to one statement of a simple query, and passes its rows to row. It
// returns the number of rows in the command tag. The error is a *pgconn.PgError if the server refused the statement, an error
// of row, or why the connection broke.
func (c *conn) result(row func(object.Row) error) (int64, error) {
	for {
		m, err := c.receive()
		if err != nil {
			return 0, c.fail(err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			c.deadline(0) // a timeout ends with the first row
			if row == nil {
				continue
			}
			if err := row(m.Values); err != nil {
				c.fail(errAbandoned) //nolint:errcheck // because err is the reason
				return 0, err
			}
		case *pgproto3.CommandComplete:
			c.deadline(0)
			c.undone = string(m.CommandTag) == "ROLLBACK"
			return rowsAffected(m.CommandTag), nil
		case *pgproto3.EmptyQueryResponse:
			c.deadline(0)
			return 0, nil
		case *pgproto3.PortalSuspended: // it has more than MaxRows
			c.deadline(0)
			return 0, errRunAlone
		case *pgproto3.ErrorResponse:
			c.deadline(0)
			err := pgconn.ErrorResponseToPgError(m)
			if c.fatal != nil {
				return 0, c.fail(err)
			}
			return 0, err
		}
	}
}

// resultOf is result for a statement that may be kept prepared: one whose plan no longer fits is prepared anew the next time.
func (c *conn) resultOf(s *query.Statement, row func(object.Row) error) (int64, error) {
	n, err := c.result(row)
	switch sqlState(err) {
	case "0A000", "26000": // feature_not_supported: among others a changed result type; invalid_sql_statement_name
		c.forget(s.SQL)
	case readOnlyTransaction:
		c.refusesWrites = true
	}
	return n, err
}

// ready reads until the server is ready for more. What was to be prepared in between and was not is forgotten. The error is
// a *pgconn.PgError if the commit failed that a sync stands for, or why the connection broke.
func (c *conn) ready() error {
	if c.broken != nil {
		return c.broken
	}
	var refused error
	for {
		m, err := c.receive()
		if err != nil {
			return c.fail(err)
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(m)
			if c.fatal != nil {
				return c.fail(refused)
			}
		case *pgproto3.ReadyForQuery:
			for _, text := range c.parsing {
				c.forget(text)
			}
			c.parsing = c.parsing[:0]
			return refused
		}
	}
}

// run runs statements as one transaction and passes the rows of the last one to row. Its timeout bounds the time to the first
// row or the end; 0 is none.
func (c *conn) run(timeout time.Duration, row func(object.Row) error, statements ...*query.Statement) (n int64, err error) {
	for _, s := range statements {
		c.queue(s)
	}
	c.sync()
	c.deadline(timeout)
	if err := c.flush(); err != nil {
		return 0, err
	}
	for i, s := range statements {
		var rows func(object.Row) error
		if i == len(statements)-1 {
			rows = row
		}
		if n, err = c.resultOf(s, rows); err != nil {
			break
		}
		if i < len(statements)-1 {
			c.deadline(timeout)
		}
	}
	if c.broken != nil {
		return 0, err
	}
	if rerr := c.ready(); rerr != nil && err == nil {
		err = rerr
	}
	return n, err
}

// runWith runs a statement, passing its rows to row, and another one behind it that answers with none. refused says that the server
// refused the first, and so has not come to the second.
func (c *conn) runWith(first *query.Statement, row func(object.Row) error, second *query.Statement) (n int64, refused bool, err error) {
	c.queue(first)
	c.queue(second)
	c.sync()
	c.deadline(0)
	if err := c.flush(); err != nil {
		return 0, false, err
	}
	n, err = c.resultOf(first, row)
	if refused = sqlState(err) != ""; err == nil {
		_, err = c.resultOf(second, nil)
	}
	if rerr := c.ready(); rerr != nil && err == nil {
		err = rerr
	}
	return n, refused, err
}

// rowsAffected returns the number at the end of a command tag, or 0.
func rowsAffected(tag []byte) (n int64) {
	for _, b := range tag[bytes.LastIndexByte(tag, ' ')+1:] {
		if b -= '0'; b > 9 {
			return 0
		}
		n = n*10 + int64(b)
	}
	return n
}
