package pgstore

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// Run implements object.Tx. A statement that PostgreSQL refuses does not end the transaction for us: whoever sent it may have
// set a savepoint.
func (t *tx) Run(ctx context.Context, s *object.Script) (object.Result, error) {
	if err := t.ensureBegun(); err != nil {
		return object.Result{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return object.Result{}, err
	}
	c := t.conn
	t.foreign = true
	if len(s.Args) == 0 {
		c.send(&pgproto3.Query{String: s.Text})
	} else {
		c.sendUnnamed(s.Text, s.Args)
	}
	c.deadline(t.timeout)
	defer t.trail.Add(object.SQL, time.Now(), s.Text)
	var r scriptReader
	err := c.interruptible(ctx, func() error {
		if err := c.flush(); err != nil {
			return err
		}
		return c.script(s, &r)
	})
	var refused *pgconn.PgError
	switch {
	case r.endedBy(s.Text, c.status) && c.broken == nil:
		t.err = object.ErrEnded
		return object.Result{}, t.err
	case ctx.Err() != nil && c.broken == nil && sqlState(err) == "57014": // query_canceled
		return object.Result{}, context.Cause(ctx)
	case c.broken == nil && errors.As(err, &refused):
		return object.Result{}, &object.Refusal{
			Code: refused.Code, Message: refused.Message, Detail: refused.Detail, Hint: refused.Hint,
			Constraint: refused.ConstraintName, Table: refused.TableName, Column: refused.ColumnName,
			Fault: explain(err, s.Text),
		}
	case err != nil:
		t.err = explain(err, s.Text)
		return object.Result{}, t.err
	}
	return r.result, nil
}

// ensureBegun sends BEGIN if nothing was sent before.
func (t *tx) ensureBegun() error {
	if t.err != nil || t.begun {
		return t.err
	}
	t.begun = true
	if _, err := t.conn.run(t.timeout, nil, begin, t.opening); err != nil {
		t.err = explain(err, begin.SQL)
	}
	return t.err
}

// scriptReader gathers what the results of a script say.
type scriptReader struct {
	result   object.Result
	commands []string // that are about transactions
}

func (r *scriptReader) complete(tag []byte) {
	words := strings.Fields(string(tag))
	for len(words) > 0 && words[len(words)-1][0] >= '0' && words[len(words)-1][0] <= '9' {
		words = words[:len(words)-1]
	}
	r.result = object.Result{Command: strings.Join(words, " "), Rows: rowsAffected(tag)}
	switch r.result.Command {
	case "BEGIN", "START TRANSACTION", "COMMIT", "PREPARE TRANSACTION", "ROLLBACK":
		r.commands = append(r.commands, r.result.Command)
	}
}

var chained = regexp.MustCompile(`(?i)\bchain\b`)

// endedBy reports whether the transaction is not the one that it was. The tag of ROLLBACK TO a savepoint, which is allowed, is the
// same as that of ROLLBACK AND CHAIN.
func (r *scriptReader) endedBy(text string, status byte) bool {
	for _, command := range r.commands {
		if command != "ROLLBACK" || chained.MatchString(text) {
			return true
		}
	}
	return status == 'I'
}

// script reads the results of a script up to the next ReadyForQuery. What is copied out is dropped, and there is nothing to copy
// in.
func (c *conn) script(s *object.Script, r *scriptReader) error {
	var refused error
	for {
		m, err := c.receive()
		if err != nil {
			return c.fail(err)
		}
		switch m := m.(type) {
		case *pgproto3.RowDescription:
			if s.Fields != nil {
				s.Fields(fieldsOf(m))
			}
		case *pgproto3.DataRow:
			c.deadline(0)
			if s.Row == nil {
				continue
			}
			if err := s.Row(m.Values); err != nil {
				c.fail(errAbandoned) //nolint:errcheck // because err is the reason
				return err
			}
		case *pgproto3.CommandComplete:
			c.deadline(0)
			r.complete(m.CommandTag)
		case *pgproto3.EmptyQueryResponse:
			c.deadline(0)
		case *pgproto3.CopyInResponse:
			c.send(&pgproto3.CopyFail{Message: "No source stream defined"})
			if err := c.flush(); err != nil {
				return err
			}
		case *pgproto3.ErrorResponse:
			c.deadline(0)
			refused = pgconn.ErrorResponseToPgError(m)
			if c.fatal != nil {
				return c.fail(refused)
			}
		case *pgproto3.ReadyForQuery:
			c.deadline(0)
			c.parsing = c.parsing[:0]
			return refused
		}
	}
}

func fieldsOf(m *pgproto3.RowDescription) []object.Field {
	fields := make([]object.Field, len(m.Fields))
	for i, f := range m.Fields {
		fields[i] = object.Field{Name: string(f.Name), Type: f.DataTypeOID}
	}
	return fields
}

// interruptible runs fn, during which a statement is under way, and cancels the statement when ctx ends. A statement inside a
// transaction can be cancelled: nothing is committed by it. If that does not help the connection is closed.
func (c *conn) interruptible(ctx context.Context, fn func() error) error {
	if ctx.Done() == nil {
		return fn()
	}
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		limit, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
		defer stop()
		if err := cancelRequest(limit, c); err == nil {
			select {
			case <-done:
				return
			case <-limit.Done():
			}
		}
		c.net.Close() //nolint:errcheck // because fn reports a closed connection
	})
	err := fn()
	close(done)
	watch.Wait() // a cancel request on its way must not hit the next statement
	return err
}

// The statements that bracket an attempt.
var (
	savepoint  = &query.Statement{SQL: `SAVEPOINT _moray_attempt`}
	release    = &query.Statement{SQL: `RELEASE SAVEPOINT _moray_attempt`}
	rollbackTo = &query.Statement{SQL: `ROLLBACK TO SAVEPOINT _moray_attempt`}
)

// errAborted says that a statement was refused and nobody cared.
var errAborted = errors.New("a statement was refused, and the transaction left in its failed state")

// Attempt implements object.Tx.
func (t *tx) Attempt(_ context.Context, fn func() error) error {
	if err := t.ensureBegun(); err != nil {
		return err
	}
	if err := t.bracket(savepoint); err != nil {
		return err
	}
	failed := fn()
	switch {
	case t.err != nil:
		return failed
	case failed == nil && t.conn.status == 'E':
		failed = errAborted
	}
	if failed == nil {
		return t.bracket(release)
	}
	for _, st := range []*query.Statement{rollbackTo, release} {
		if err := t.bracket(st); err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

func (t *tx) bracket(st *query.Statement) error {
	if _, err := t.conn.run(rollbackTimeout, nil, st); err != nil {
		t.err = explain(err, st.SQL)
	}
	return t.err
}
