package js

import (
	"context"

	"github.com/dop251/goja"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// Bounds of the rows that a trigger gets without giving the turn to others.
const (
	maxRows     = 100
	maxRowBytes = 1 << 20
)

// rows are those of one statement, on their way to the trigger that asked for it.
type rows struct {
	ctx       context.Context
	call      *call // that is under way
	statement *statement

	source   *sdk.Rows
	columns  []sdk.Column // of those that wait
	converts []converter
	waiting  [][][]byte
	size     int // of those, in bytes
}

// read runs the statement and hands its rows to the trigger, but for the last ones, which wait.
func (r *rows) read() (err error) {
	if r.source, err = r.call.event.Tx.Query(r.statement.sql, r.statement.params...); err != nil {
		return err
	}
	for r.source.Next() {
		cells, columns := r.source.Cells(), r.source.Columns()
		other := len(columns) > 0 && (len(r.columns) == 0 || &columns[0] != &r.columns[0])
		if other || len(r.waiting) == maxRows || r.size > maxRowBytes {
			if err := r.flush(); err != nil {
				return err
			}
		}
		if other {
			r.begin(columns)
		}
		r.waiting = append(r.waiting, cells)
		for _, c := range cells {
			r.size += len(c)
		}
	}
	return r.source.Err()
}

// begin takes the columns of the rows that follow.
func (r *rows) begin(columns []sdk.Column) {
	r.columns = columns
	r.converts = make([]converter, len(columns))
	for i, c := range columns {
		r.converts[i] = converterOf(c.Type)
	}
}

// flush hands the rows to the trigger that wait.
func (r *rows) flush() error {
	if len(r.waiting) == 0 {
		return nil
	}
	over := false
	err := r.call.within(r.ctx, r.statement.call, r.tell, func() { over = r.call.failed != nil })
	if err == nil && over {
		return errOver
	}
	return err
}

// tell emits the rows that wait. It is for who has the turn.
func (r *rows) tell() error {
	e := r.call.engine
	for _, cells := range r.waiting {
		row := e.vm.NewObject()
		for i, c := range r.columns {
			v := goja.Null()
			if cells[i] != nil {
				v = r.converts[i](e, string(cells[i]))
			}
			if c.Name == "__proto__" { // setting it makes no member
				continue
			}
			if err := row.Set(c.Name, v); err != nil {
				return err
			}
		}
		if err := e.tell(r.statement, "row", row); err != nil {
			return err
		}
		if r.call.failed != nil {
			break
		}
	}
	r.waiting, r.size = nil, 0
	return nil
}

// result returns what the listeners of the end get.
func (r *rows) result() goja.Value {
	vm := r.call.engine.vm
	fields := []any{}
	for _, c := range r.source.Columns() {
		f := vm.NewObject()
		must(f.Set("name", c.Name))
		must(f.Set("dataTypeID", c.Type))
		fields = append(fields, f)
	}
	o := vm.NewObject()
	must(o.Set("command", r.source.Command()))
	must(o.Set("rowCount", r.source.Count()))
	must(o.Set("rows", vm.NewArray()))
	must(o.Set("fields", vm.NewArray(fields...)))
	return o
}
