package trial

import (
	"fmt"

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

// statement answers one statement.
func (r *run) statement(m *wire.Statement) error {
	s := Statement{SQL: m.GetSql()}
	for _, c := range m.GetParameters() {
		s.Args = append(s.Args, cellText(c))
	}
	var reply Reply
	if r.event.SQL == nil {
		r.plugin.fail("the hook runs SQL, and Event.SQL is not set: %s %q", s.SQL, s.Args)
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
