package pgstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// Session settings that sql changes, because its text may end the transaction that a local setting would last for.
var (
	patientSession = &query.Statement{SQL: `SELECT set_config('lock_timeout', '0', false)`}
	hastySession   = &query.Statement{SQL: `SELECT set_config('lock_timeout', '` + lockTimeout + `', false)`}
)

// SQL runs a text in a transaction of its own and passes the rows of all its statements to row, as JSON objects. Without
// values the text may hold several statements, also ones that end the transaction; then the rest of the text runs outside of
// it. With values, which are JSON values for $1 and so on, it is one statement. row may block; the object is valid during the
// call.
//
// With readOnly it is one statement in a transaction that can change nothing and is rolled back, on a connection that is thrown
// away afterwards: there are things that outlive a transaction.
func (s *Store) SQL(ctx context.Context, text string, values []jsvalue.Value, readOnly bool, row func(jsvalue.Value) error) error {
	err := s.retry(func() (again bool, err error) {
		sent, err := s.trySQL(ctx, text, values, readOnly, row)
		if sent && connectionLost(err) && !readOnly && endsTransaction.MatchString(text) {
			err = fmt.Errorf("%w: %w", errUnknown, err) // it may have come as far as that
		}
		return !sent && repeatable(err), err
	})
	return explain(err, text)
}

// endsTransaction finds texts that may commit what they do themselves.
var endsTransaction = regexp.MustCompile(`(?i)\b(commit|end|prepare)\b`)

// trySQL reports whether the text was sent.
func (s *Store) trySQL(ctx context.Context, text string, values []jsvalue.Value, readOnly bool, row func(jsvalue.Value) error) (sent bool, err error) {
	caller := object.CallerFrom(ctx)
	c, err := s.pool.claim(ctx, useOf(caller))
	if err != nil {
		return false, err
	}
	defer s.pool.release(c)
	defer s.pool.metrics.ran(givenText, time.Now())
	defer caller.Trail.Add(object.SQL, time.Now(), text)
	timeout := s.timeout(caller)
	opening, ending := begin, commit
	if readOnly {
		opening, ending = beginReadOnly, rollback
		defer c.close()
	}
	err = c.inSession(timeout, opening, ending, func() error {
		var err error
		if len(values) == 0 && !readOnly {
			err = c.simple(timeout, text, row)
		} else {
			err = c.unnamed(timeout, text, values, row)
		}
		sent = !errors.Is(err, errUnsent)
		return err
	})
	return sent, err
}

// inSession runs fn between a BEGIN and its end, or ROLLBACK if fn fails, on a connection that waits for locks patiently.
func (c *conn) inSession(timeout time.Duration, opening, ending *query.Statement, fn func() error) error {
	c.queue(patientSession)
	c.sync()
	c.queue(opening)
	c.sync()
	c.deadline(timeout)
	if err := c.flush(); err != nil {
		return err
	}
	for range 2 {
		if _, err := c.result(nil); err != nil {
			return err
		}
		if err := c.ready(); err != nil {
			return err
		}
	}
	failed := fn()
	if c.broken != nil {
		return failed
	}
	end := ending
	if failed != nil {
		end = rollback
	}
	open := c.status != 'I' // the text may have ended the transaction itself
	if open {
		c.queue(end)
		c.sync()
	}
	c.queue(hastySession)
	c.sync()
	if err := c.flush(); err != nil {
		return c.outcome(err)
	}
	var ended error
	if open {
		_, ended = c.result(nil)
		undone := c.undone
		if err := c.ready(); ended == nil {
			ended = err
		}
		if ended == nil && undone && failed == nil && end == commit {
			ended = errUndone()
		}
		ended = c.outcome(ended)
	}
	if c.broken == nil {
		if _, err := c.result(nil); err == nil {
			c.ready() //nolint:errcheck // because release sees a broken connection
		}
	}
	if failed != nil {
		return failed
	}
	return ended
}

// simple runs a text of any number of statements by the simple protocol.
func (c *conn) simple(timeout time.Duration, text string, row func(jsvalue.Value) error) error {
	c.send(&pgproto3.Query{String: text})
	c.deadline(timeout)
	if err := c.flush(); err != nil {
		return err
	}
	return c.results(row)
}

// unnamed runs one statement with values that is not kept prepared.
func (c *conn) unnamed(timeout time.Duration, text string, values []jsvalue.Value, row func(jsvalue.Value) error) error {
	args := make([][]byte, len(values))
	for i, v := range values {
		args[i] = parameter(v)
	}
	c.sendUnnamed(text, args)
	c.deadline(timeout)
	if err := c.flush(); err != nil {
		return err
	}
	return c.results(row)
}

// sendUnnamed sends one statement that is not kept prepared and describes its result.
func (c *conn) sendUnnamed(text string, args [][]byte) {
	c.send(&pgproto3.Parse{Query: text})
	c.parsing = append(c.parsing, text)
	c.send(&pgproto3.Bind{Parameters: args})
	c.send(&pgproto3.Describe{ObjectType: 'P'})
	c.send(&pgproto3.Execute{})
	c.sync()
}

// results passes the rows of all results up to the next ReadyForQuery to row, as JSON objects.
func (c *conn) results(row func(jsvalue.Value) error) error {
	var rows *layout
	return c.script(&object.Script{
		Fields: func(fields []object.Field) { rows = newLayout(fields) },
		Row:    func(r object.Row) error { return row(rows.object(r)) },
	}, new(scriptReader))
}

// parameter is the text that stands for a JSON value as an argument; nil is NULL.
func parameter(v jsvalue.Value) []byte {
	switch v.Kind() {
	case jsvalue.KindNull, jsvalue.KindUndefined:
		return nil
	case jsvalue.KindString:
		return jsvalue.Sanitize(v.AppendText([]byte{}))
	case jsvalue.KindArray:
		return appendArray(nil, v)
	}
	return jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v))
}

// appendArray appends the array literal for a JSON array: every element in quotes, nested arrays as nested braces.
func appendArray(dst []byte, v jsvalue.Value) []byte {
	dst = append(dst, '{')
	first := true
	for e := range v.Elements() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		switch {
		case e.IsNull():
			dst = append(dst, "NULL"...)
		case e.Kind() == jsvalue.KindArray:
			dst = appendArray(dst, e)
		default:
			dst = append(dst, '"')
			for _, b := range parameter(e) {
				if b == '"' || b == '\\' {
					dst = append(dst, '\\')
				}
				dst = append(dst, b)
			}
			dst = append(dst, '"')
		}
	}
	return append(dst, '}')
}

// Records implements bucket.Store.
func (s *Store) Records(ctx context.Context, name string, row func(jsvalue.Value) error) error {
	caller := object.CallerFrom(ctx)
	text, values := `SELECT * FROM buckets_config`, []jsvalue.Value(nil)
	if name != "" {
		text, values = text+` WHERE name = $1`, []jsvalue.Value{jsvalue.AppendString(nil, name)}
	}
	err := s.retry(func() (again bool, err error) {
		c, err := s.pool.claim(ctx, useOf(caller))
		if err != nil {
			return false, err
		}
		defer s.pool.release(c)
		defer caller.Trail.Add(object.SQL, time.Now(), text)
		delivered := false
		err = c.unnamed(s.timeout(caller), text, values, func(record jsvalue.Value) error {
			delivered = true
			return row(withOptions(record))
		})
		return !delivered && repeatable(err), err
	})
	return explain(err, text)
}

// withOptions gives a record whose options are NULL those of a bucket without any: clients read them as JSON.
func withOptions(record jsvalue.Value) jsvalue.Value {
	if !record.Member("options").IsNull() {
		return record
	}
	o, err := jsvalue.ParseObject(record)
	if err != nil {
		return record
	}
	return o.AppendEdited(nil, []jsvalue.Edit{{Name: "options", Value: jsvalue.Value(`"{\"version\":0}"`)}})
}

// Ping reads from buckets_config.
func (s *Store) Ping(ctx context.Context) error {
	caller := object.CallerFrom(ctx)
	err := s.retry(func() (again bool, err error) {
		c, err := s.pool.claim(ctx, useOf(caller))
		if err != nil {
			return false, err
		}
		defer s.pool.release(c)
		probe := &query.Statement{SQL: `SELECT name FROM buckets_config LIMIT 1`}
		defer caller.Trail.Add(object.SQL, time.Now(), probe.SQL)
		_, err = c.run(s.timeout(caller), nil, probe)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && c.fatal == nil {
			return false, raw(pg) // without the translation of explain
		}
		return repeatable(err), err
	})
	return explain(err, "")
}
