package pgstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// Most finds read a row or a few by an index, and are as short as a get; some read the whole table. Nobody can tell from the
// filter, but finds with one text tend to be alike. So those whose like were short lately share round trips as reads do, within
// bounds: who passes them goes again on a connection of its own, and so do the next ones with its text.
const (
	briefRows = 20
	briefSize = 256 << 10 // bytes of the rows of one statement
	briefTime = "25"      // ms, in a round trip with others
	// aloneTime is how long a statement may take on a connection of its own and still count as short.
	aloneTime = 10 * time.Millisecond
)

// hurry bounds the time of each statement that follows in the transaction.
var hurry = &query.Statement{SQL: `SELECT set_config('statement_timeout', '` + briefTime + `', true)`}

// manners knows how statements behaved, by text. It is safe for concurrent use.
type manners struct {
	mu     sync.Mutex // guards byText
	byText map[string]int
}

const (
	maxManners = 1000 // texts
	newcomer   = 1
	outcast    = 3
)

// brief reports whether statements with the text may share. They do after one was short; one that was not has to be made up for.
func (m *manners) brief(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	marks, known := m.byText[text]
	return known && marks == 0
}

// misbehaved notes that a statement broke the bounds in company.
func (m *manners) misbehaved(text string) { m.note(text, func(int) int { return outcast }) }

// alone notes how a statement did on a connection of its own.
func (m *manners) alone(text string, short bool) {
	m.note(text, func(marks int) int {
		if short {
			return max(0, marks-1)
		}
		return min(outcast, marks+1)
	})
}

func (m *manners) note(text string, change func(marks int) int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	marks, known := m.byText[text]
	if !known {
		marks = newcomer
		for other := range m.byText {
			if len(m.byText) < maxManners {
				break
			}
			delete(m.byText, other)
		}
	}
	if m.byText == nil {
		m.byText = map[string]int{}
	}
	m.byText[text] = change(marks)
}

// scan runs a statement that reads rows by a filter.
func (s *Store) scan(ctx context.Context, caller *object.Caller, timeout time.Duration, st *query.Statement, row func(object.Row) error) error {
	if timeout == 0 && s.manners.brief(st.SQL) {
		kept := keeper{row: row}
		limited := *st
		limited.MaxRows = briefRows + 1 // PostgreSQL stops at the limit without a look at whether there is more
		err := s.pool.quick(ctx, caller, &limited, kept.keep)
		if err == nil && !kept.tooMuch {
			return kept.deliver()
		}
		if err != nil && !errors.Is(err, errRunAlone) {
			return err
		}
		s.manners.misbehaved(st.SQL)
	}
	rows := 0
	var waited time.Duration // for the receiver of the rows
	taken, err := s.alone(ctx, caller, timeout, st, func(r object.Row) error {
		if rows++; rows > briefRows {
			return row(r)
		}
		before := time.Now()
		defer func() { waited += time.Since(before) }()
		return row(r)
	})
	s.manners.alone(st.SQL, err == nil && rows <= briefRows && taken-waited < aloneTime)
	return err
}

// keeper keeps the rows of a statement that shares a round trip until it has ended: their receiver may wait for a client.
type keeper struct {
	row     func(object.Row) error
	rows    []object.Row
	size    int
	tooMuch bool
}

func (k *keeper) keep(r object.Row) error {
	for _, column := range r {
		k.size += len(column)
	}
	if k.size > briefSize {
		k.tooMuch, k.rows = true, nil
		return nil // the others in the round trip go on
	}
	k.rows = append(k.rows, cloneRow(r))
	return nil
}

// cloneRow copies a row, which is valid only while it is being received.
func cloneRow(r object.Row) object.Row {
	size := 0
	for _, column := range r {
		size += len(column)
	}
	text := make([]byte, 0, size)
	copied := make(object.Row, len(r))
	for i, column := range r {
		if column != nil {
			text = append(text, column...)
			copied[i] = text[len(text)-len(column):]
		}
	}
	return copied
}

func (k *keeper) deliver() error {
	for _, r := range k.rows {
		if err := k.row(r); err != nil {
			return err
		}
	}
	return nil
}
