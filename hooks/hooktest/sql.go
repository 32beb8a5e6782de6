package hooktest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/hooks/internal/wire"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// Null is the text that stands for NULL in arguments and rows.
const Null = "\x00NULL"

// Statement is SQL of a hook.
type Statement struct {
	SQL  string
	Args []string // in PostgreSQL's text form, or [Null]
}

// Reply is what a statement gives.
type Reply struct {
	Columns []sdk.Column
	Rows    [][]string // in PostgreSQL's text form, or [Null]
	Command string     // such as INSERT
	Count   int64      // by default the number of rows
	Err     *sdk.StatementError
}

// Step is a statement that is expected, and what it gives.
type Step struct {
	SQL   string
	Args  []string
	Reply Reply
}

// Expect returns an Event.SQL that expects statements in an order. The test fails if one is another, missing or too many.
func Expect(t testing.TB, steps ...Step) func(Statement) Reply {
	t.Helper()
	var mu sync.Mutex
	t.Cleanup(func() {
		for _, s := range steps {
			t.Errorf("the hook did not run: %s", s.SQL)
		}
	})
	return func(s Statement) Reply {
		mu.Lock()
		defer mu.Unlock()
		if len(steps) == 0 {
			t.Errorf("the hook runs one statement more: %s %q", s.SQL, s.Args)
			return Reply{}
		}
		want := steps[0]
		steps = steps[1:]
		if want.SQL != s.SQL || !slices.Equal(want.Args, s.Args) {
			t.Errorf("the hook runs   %s %q\nit should be    %s %q", s.SQL, s.Args, want.SQL, want.Args)
		}
		return want.Reply
	}
}

// statement answers one statement.
func (r *run) statement(m *wire.Statement) error {
	s := Statement{SQL: m.GetSql()}
	for _, c := range m.GetParameters() {
		s.Args = append(s.Args, cellText(c))
	}
	var reply Reply
	if r.event.SQL == nil {
		r.plugin.t.Errorf("the hook runs SQL, and Event.SQL is not set: %s %q", s.SQL, s.Args)
	} else {
		reply = r.event.SQL(s)
	}
	if len(reply.Columns) > 0 {
		rows := &wire.Rows{}
		for _, c := range reply.Columns {
			rows.Columns = append(rows.Columns, &wire.Column{Name: c.Name, TypeOid: c.Type})
		}
		for _, row := range reply.Rows {
			rows.Rows = append(rows.Rows, &wire.Row{Cells: cells(row)})
		}
		if err := r.session.stream.Send(&wire.ServerMessage{Message: &wire.ServerMessage_Rows{Rows: rows}}); err != nil {
			return fmt.Errorf("send the rows: %w", err)
		}
	}
	end := &wire.StatementEnd{Command: reply.Command, RowCount: reply.Count}
	if end.RowCount == 0 {
		end.RowCount = int64(len(reply.Rows))
	}
	if e := reply.Err; e != nil {
		r.refused = append(r.refused, e)
		end.Error = &wire.StatementError{
			Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Constraint: e.Constraint, Table: e.Table,
			Column: e.Column, Number: uint32(len(r.refused)),
		}
	}
	if err := r.session.stream.Send(&wire.ServerMessage{Message: &wire.ServerMessage_End{End: end}}); err != nil {
		return fmt.Errorf("send the end of the statement: %w", err)
	}
	return nil
}

func cellText(c *wire.Cell) string {
	if c.Text == nil {
		return Null
	}
	return string(c.Text)
}

func cells(row []string) []*wire.Cell {
	all := make([]*wire.Cell, len(row))
	for i, text := range row {
		all[i] = &wire.Cell{}
		if text != Null {
			all[i].Text = []byte(text)
		}
	}
	return all
}
