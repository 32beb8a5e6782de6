package sdk

import (
	"errors"
	"fmt"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// Tx is the open transaction of an event: what it runs is committed with the object, or not at all. It is for one goroutine at a
// time, until the handler returns. A statement that is under way when the time of the hook is up is cancelled.
//
// Arguments are nil, strings, numbers, booleans, []byte for bytea, time.Time, json.RawMessage, what marshals itself to text,
// slices of these for arrays, and anything else as JSON text.
type Tx struct {
	session *session
	event   uint64 // its number in the session
	open    *Rows  // that were not read to the end
	err     error  // why the transaction takes no more statements
}

var (
	errOpenRows = errors.New("the rows of the statement before are not read to their end: close them first")
	errEventEnd = errors.New("the event is over, and its transaction with it")
	errPure     = errors.New("the hook says that it is Pure: it runs no SQL")
)

// ErrNoRows is returned by [Row.Scan] when a statement gives no row.
var ErrNoRows = errors.New("the statement gives no row")

// Query runs a statement and returns its rows, which must be read to the end or closed before the next statement. The error is a
// *[StatementError] if PostgreSQL refused it; that can also become known while the rows are read.
//
// Without arguments the text may be several statements, separated by semicolons; their rows come one after the other.
func (t *Tx) Query(sql string, args ...any) (*Rows, error) {
	switch {
	case t.err != nil:
		return nil, t.err
	case t.open != nil:
		return nil, errOpenRows
	}
	s := &wire.Statement{Sql: sql}
	for i, arg := range args {
		cell, err := appendArgument(nil, arg)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		s.Parameters = append(s.Parameters, &wire.Cell{Text: cell})
	}
	err := t.session.sendOf(t.event, &wire.PluginMessage{Message: &wire.PluginMessage_Statement{Statement: s}})
	if errors.Is(err, errEventEnd) {
		return nil, err
	}
	if err != nil {
		return nil, t.fail(err)
	}
	r := &Rows{tx: t}
	t.open = r
	r.receive()
	if r.err != nil {
		return nil, r.err
	}
	return r, nil
}

// Exec runs a statement, or without arguments any number of them, and returns how many rows the last one read or changed.
func (t *Tx) Exec(sql string, args ...any) (int64, error) {
	r, err := t.Query(sql, args...)
	if err != nil {
		return 0, err
	}
	err = r.Close()
	return r.count, err
}

// QueryRow runs a statement of which one row is wanted.
func (t *Tx) QueryRow(sql string, args ...any) *Row {
	rows, err := t.Query(sql, args...)
	return &Row{rows, err}
}

// fail remembers that the session is lost.
func (t *Tx) fail(err error) error {
	if t.err == nil {
		t.err = fmt.Errorf("the connection to the server: %w", err)
	}
	return t.err
}

// Row is the first row of a statement.
type Row struct {
	rows *Rows
	err  error
}

// Scan reads the columns as [Rows.Scan] does. The error is [ErrNoRows] if there is no row.
func (r *Row) Scan(to ...any) error {
	if r.err != nil {
		return r.err
	}
	if !r.rows.Next() {
		if err := r.rows.Close(); err != nil {
			return err
		}
		return ErrNoRows
	}
	return errors.Join(r.rows.Scan(to...), r.rows.Close())
}

// Column is a column of a result.
type Column struct {
	Name string
	Type uint32 // the oid of its type, in pg_type
}

// Rows are the rows of a statement. They are for one goroutine.
type Rows struct {
	tx      *Tx
	columns []Column
	piece   []*wire.Row // rows that came and were not yet seen
	next    []Column    // columns of the piece, if they are other ones
	cells   [][]byte
	command string
	count   int64
	err     error
	ended   bool
}

// Next goes to the next row and reports whether there is one. Afterwards Err tells why there is none.
func (r *Rows) Next() bool {
	for len(r.piece) == 0 {
		if r.ended {
			return false
		}
		r.receive()
	}
	if r.next != nil {
		r.columns, r.next = r.next, nil
	}
	row := r.piece[0]
	r.piece = r.piece[1:]
	r.cells = make([][]byte, len(row.GetCells()))
	for i, c := range row.GetCells() {
		if c != nil && c.Text != nil {
			r.cells[i] = c.Text
		}
	}
	return true
}

// receive takes the next piece, or the end.
func (r *Rows) receive() {
	m, err := r.tx.session.receive()
	if err != nil {
		r.end(r.tx.fail(err))
		return
	}
	switch m := m.GetMessage().(type) {
	case *wire.ServerMessage_Rows:
		r.piece = m.Rows.GetRows()
		if columns := m.Rows.GetColumns(); columns != nil {
			r.next = make([]Column, len(columns))
			for i, c := range columns {
				r.next[i] = Column{Name: c.GetName(), Type: c.GetTypeOid()}
			}
			if len(r.piece) == 0 { // the columns of a result without rows
				r.columns, r.next = r.next, nil
			}
		}
	case *wire.ServerMessage_End:
		r.command, r.count = m.End.GetCommand(), m.End.GetRowCount()
		if refused := m.End.GetError(); refused != nil {
			err = statementError(refused)
		}
		r.end(err)
	default:
		r.end(r.tx.fail(fmt.Errorf("%T in the place of rows", m)))
	}
}

func (r *Rows) end(err error) {
	r.ended, r.err = true, err
	r.tx.open = nil
}

// Err returns why the rows ended before their time, or nil.
func (r *Rows) Err() error { return r.err }

// Close goes to the end of the rows, and returns what Err does then.
func (r *Rows) Close() error {
	for !r.ended {
		r.receive()
	}
	r.piece = nil
	return r.err
}

// Columns returns the columns of the row, or before the first row of the result that comes first. A text of several statements
// can have rows of several kinds.
func (r *Rows) Columns() []Column {
	if r.columns == nil {
		return r.next
	}
	return r.columns
}

// Cells returns the columns of the row in PostgreSQL's text form, nil for NULL. They are the caller's.
func (r *Rows) Cells() [][]byte { return r.cells }

// Command returns, after the end, which command the last statement was, such as INSERT.
func (r *Rows) Command() string { return r.command }

// Count returns, after the end, how many rows the last statement read or changed.
func (r *Rows) Count() int64 { return r.count }

// Scan reads the columns of the row into what the arguments point to: a string, []byte, a number, a bool, [time.Time],
// [json.RawMessage], a slice for an array, a pointer to one of these, which is nil for NULL, an any, or a [sql.Scanner].
func (r *Rows) Scan(to ...any) error {
	if len(to) != len(r.cells) {
		return fmt.Errorf("the row has %d columns, and there are %d places for them", len(r.cells), len(to))
	}
	for i, cell := range r.cells {
		column := Column{Name: "?"}
		if i < len(r.columns) {
			column = r.columns[i]
		}
		if err := scan(cell, column.Type, to[i]); err != nil {
			return fmt.Errorf("column %s: %w", column.Name, err)
		}
	}
	return nil
}
