package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// all serves the hooks of the call, one after the other.
func (c *call) all() error {
	for {
		var hook *hookError
		switch err := c.serve(nil); {
		case err == nil:
			c.count(accepted)
		case errors.As(err, &hook) && hook.passed:
			c.settle(err) //nolint:errcheck // because it may fail
		default:
			return err
		}
		if c.at+1 == len(c.group.bindings) {
			return nil
		}
		c.at++
		c.began = time.Now()
		c.session.start(c.limit())
	}
}

// serve answers what a hook asks until it has said what it thinks of the event. The SQL of a hook that may fail runs behind a
// savepoint, which is set when there is any.
func (c *call) serve(first *wire.Statement) error {
	if first != nil {
		if err := c.statement(first); err != nil {
			return err
		}
	}
	for {
		m, err := c.session.stream.Recv()
		if err != nil {
			return c.broken(err)
		}
		switch m := m.GetMessage().(type) {
		case *wire.PluginMessage_Answer:
			return c.answer(m.Answer)
		case *wire.PluginMessage_Log:
			c.logLine(m.Log)
		case *wire.PluginMessage_Statement:
			if c.session.generation.hooks[c.group.bindings[c.at].Hook].GetPure() {
				return c.violated("it runs SQL, and says that it is pure")
			}
			if c.group.triggers[c.at].Ignore && !c.saved {
				return c.attempt(m.Statement)
			}
			if err := c.statement(m.Statement); err != nil {
				return err
			}
		default:
			return c.violated("it sent an empty message")
		}
	}
}

// attempt serves a hook that may fail from its first statement on.
func (c *call) attempt(first *wire.Statement) error {
	c.saved = true
	defer func() { c.saved = false }()
	answered := false
	err := c.tx.Attempt(c.session.ctx, func() error {
		err := c.serve(first)
		answered = err == nil
		return err
	})
	if err != nil && answered {
		aborted := fault.New(fault.PostgreSQL, "current transaction is aborted, commands ignored until end of transaction block")
		return &hookError{kind: refused, err: aborted.Because(err), passed: true}
	}
	return err
}

// broken is the error of a session that ended under way.
func (c *call) broken(err error) error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	k, reason := c.session.whyBroken(err)
	if k == timedOut {
		c.group.plugin.suspected(c.session.generation)
		return broken(c.place().late(c.limit()))
	}
	return broken(c.place().unavailable(k, reason))
}

func broken(e *hookError) *hookError {
	e.broken = true
	return e
}

// violated is the error of a plugin that does not keep to the protocol. Nobody knows what it sends next.
func (c *call) violated(format string, args ...any) error {
	return broken(c.place().unavailable(protocol, fmt.Sprintf(format, args...)))
}

// answer takes what the hook says of the event.
func (c *call) answer(a *wire.Answer) error {
	switch v := a.GetVerdict().(type) {
	case *wire.Answer_Accept:
		return c.accept(v.Accept)
	case *wire.Answer_Reject:
		return c.reject(v.Reject)
	case *wire.Answer_Fail:
		return c.place().unavailable(failed, v.Fail.GetMessage())
	}
	return c.violated("it sent an empty answer")
}

func (c *call) accept(a *wire.Acceptance) error {
	switch {
	case a.Key == nil && a.Value == nil:
		return nil
	case c.event.Post:
		return c.violated("it changes an object that is written already")
	}
	if a.Value != nil {
		v, err := jsvalue.Parse(a.Value)
		switch {
		case err != nil:
			return c.violated("the value that it leaves: %v", err)
		case len(v) > c.group.plugin.settings.MessageBytes:
			return c.violated("the value that it leaves has %d bytes, more than %d", len(v), c.group.plugin.settings.MessageBytes)
		}
		c.event.Value = v
	}
	if a.Key != nil {
		c.event.Key = *a.Key
	}
	return nil
}

func (c *call) reject(r *wire.Rejection) error {
	if n := int(r.GetStatementError()); n > 0 {
		if n > len(c.refused) {
			return c.violated("it answers with the refused statement number %d, and there were %d", n, len(c.refused))
		}
		return &hookError{kind: refused, err: c.refused[n-1].Fault}
	}
	f, err := rejection(r, fault.HookRejected)
	if err != nil {
		return c.violated("%v", err)
	}
	if p := c.place(); r.GetName() == "" && f.Context == nil {
		f.With("plugin", p.plugin, "hook", p.hook, "phase", p.phase, "bucket", p.bucket)
	}
	return &hookError{kind: rejected, err: f}
}

func (c *call) logLine(m *wire.LogLine) {
	p, at := c.group.plugin, c.place()
	attrs, err := fields(m)
	if err != nil {
		attrs = []slog.Attr{slog.String("fields", string(m.GetFields()))}
	}
	attrs = append(attrs, slog.String("hook", at.hook), slog.String("bucket", at.bucket), slog.String("req_id", c.request))
	p.lines.put(levelOf(m.GetLevel()), m.GetMessage(), attrs...)
}

// pieceBytes is how much of a result is gathered before it is sent.
const pieceBytes = 32 << 10

// statement runs SQL of the hook and sends what it gives.
func (c *call) statement(m *wire.Statement) error {
	var piece wire.Rows
	size := 0
	flush := func() error {
		if len(piece.Rows) == 0 && len(piece.Columns) == 0 {
			return nil
		}
		err := c.session.stream.Send(&wire.ServerMessage{Message: &wire.ServerMessage_Rows{Rows: &piece}})
		piece, size = wire.Rows{}, 0
		return err
	}
	script := &object.Script{
		Text: m.GetSql(),
		Args: arguments(m.GetParameters()),
		Row: func(r object.Row) error {
			row := &wire.Row{Cells: make([]*wire.Cell, len(r))}
			for i, cell := range r {
				row.Cells[i] = &wire.Cell{}
				if cell != nil {
					row.Cells[i].Text = append([]byte{}, cell...)
				}
				size += len(cell)
			}
			piece.Rows = append(piece.Rows, row)
			if size < pieceBytes {
				return nil
			}
			return flush()
		},
	}
	script.Fields = func(columns []object.Field) {
		if err := flush(); err != nil {
			return // the next message fails too
		}
		for _, f := range columns {
			piece.Columns = append(piece.Columns, &wire.Column{Name: f.Name, TypeOid: f.Type})
		}
	}
	result, err := c.tx.Run(c.session.ctx, script)
	end := &wire.StatementEnd{Command: result.Command, RowCount: result.Rows}
	if refusal := (*object.Refusal)(nil); errors.As(err, &refusal) {
		c.refused = append(c.refused, refusal)
		end.Error = &wire.StatementError{
			Code: refusal.Code, Message: refusal.Message, Detail: refusal.Detail, Hint: refusal.Hint, Constraint: refusal.Constraint,
			Table: refusal.Table, Column: refusal.Column, Number: uint32(len(c.refused)),
		}
	} else if err != nil {
		return c.statementFailed(err)
	}
	if err := flush(); err != nil {
		return c.broken(err)
	}
	if err := c.session.stream.Send(&wire.ServerMessage{Message: &wire.ServerMessage_End{End: end}}); err != nil {
		return c.broken(err)
	}
	return nil
}

// statementFailed is the error of a statement that was not just refused: the session waits for its end, and cannot go on.
func (c *call) statementFailed(err error) error {
	switch {
	case c.session.ctx.Err() != nil:
		return c.broken(err)
	case errors.Is(err, object.ErrEnded):
		// Nobody can undo what it committed, so this cannot be ignored.
		ended := broken(c.place().unavailable(protocol, err.Error()))
		ended.final = true
		return ended
	}
	return err
}

// arguments returns parameters as the database takes them.
func arguments(cells []*wire.Cell) [][]byte {
	if len(cells) == 0 {
		return nil
	}
	args := make([][]byte, len(cells))
	for i, cell := range cells {
		if cell != nil {
			args[i] = cell.Text
		}
	}
	return args
}
