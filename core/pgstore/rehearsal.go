package pgstore

import (
	"context"
	"regexp"
	"slices"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// The modes of the locks that changes of buckets take, on whose names PostgreSQL's manual has a page.
const (
	accessExclusive      = "ACCESS EXCLUSIVE"       // nobody reads or writes
	shareRowExclusive    = "SHARE ROW EXCLUSIVE"    // nobody writes
	share                = "SHARE"                  // nobody writes
	shareUpdateExclusive = "SHARE UPDATE EXCLUSIVE" // only other changes wait
)

// Rehearse runs fn over a store that reads the database as it is, and notes each change instead of making it. What fn does is
// the same code that makes the changes, so the steps are those that it would take. It waits for nobody and locks nothing.
func (s *Store) Rehearse(ctx context.Context, fn func(bucket.Store) error) ([]bucket.Step, error) {
	r := &rehearsal{store: s}
	err := fn(r)
	return r.steps, err
}

// rehearsal implements bucket.Store and bucket.Session. It is for one goroutine.
type rehearsal struct {
	store *Store
	alone bool // what is added is not part of a transaction
	rehearsed
}

// rehearsed is what would have happened so far.
type rehearsed struct {
	steps []bucket.Step
	txs   int // how many transactions were begun

	built, dropped []tableIndex // indexes that would be there, and those that would be gone
	made           []string     // what is made once a database
}

type tableIndex struct {
	table string
	bucket.Index
}

var (
	_ bucket.Store   = (*rehearsal)(nil)
	_ bucket.Session = (*rehearsal)(nil)
)

func (r *rehearsal) add(step bucket.Step) {
	if step.Tx = r.txs; r.alone {
		step.Tx = 0
	}
	r.steps = append(r.steps, step)
}

// readOnly opens the transaction of a rehearsal.
var readOnly = &query.Statement{
	SQL: `SELECT set_config('lock_timeout', '` + ddlLockTimeout + `', true), set_config('transaction_read_only', 'on', true)`,
}

// InBucketTx implements bucket.Store. What a transaction noted that fails would not have happened.
func (r *rehearsal) InBucketTx(ctx context.Context, fn func(bucket.Tx) error) error {
	before := r.rehearsed
	err := retryLocks(ctx, func() error {
		return r.store.inTx(ctx, readOnly, func(t *tx) error { // which may run it more than once
			r.rehearsed = before
			r.txs++
			t.rehearsal = r
			return fn(t)
		})
	})
	if err != nil || len(r.steps) == len(before.steps) {
		r.rehearsed = before
	}
	return err
}

// InBucketSession implements bucket.Store.
func (r *rehearsal) InBucketSession(_ context.Context, _ string, fn func(bucket.Session) error) error {
	return fn(r)
}

// InTx implements bucket.Session.
func (r *rehearsal) InTx(ctx context.Context, fn func(bucket.Tx) error) error {
	return r.InBucketTx(ctx, fn)
}

// BuildIndex implements bucket.Session.
func (r *rehearsal) BuildIndex(_ context.Context, table string, i bucket.Index) error {
	r.addAlone(bucket.Step{SQL: createIndex(table, i, concurrently), Table: table, Lock: shareUpdateExclusive, AllRows: true})
	r.build(table, i)
	return nil
}

// DropIndex implements bucket.Session.
func (r *rehearsal) DropIndex(_ context.Context, name string) error {
	r.addAlone(bucket.Step{SQL: dropIndex(name), Lock: shareUpdateExclusive})
	r.dropped = append(r.dropped, tableIndex{Index: bucket.Index{Name: name}})
	return nil
}

func (r *rehearsal) addAlone(step bucket.Step) {
	r.alone = true
	r.add(step)
	r.alone = false
}

func (r *rehearsal) build(table string, i bucket.Index) {
	i.Valid = true
	r.built = append(r.built, tableIndex{table, i})
}

// once reports whether something would be there already that is made once a database, and notes it.
func (r *rehearsal) once(what string) bool {
	if slices.Contains(r.made, what) {
		return true
	}
	r.made = append(r.made, what)
	return false
}

// fill notes that a shadow is filled, page by page, with values that the rows decide about.
func (r *rehearsal) fill(table string, s bucket.Shadow) {
	step := bucket.Step{
		SQL:   `UPDATE ` + query.Quote(table) + ` SET ` + query.Quote(s.Ident()) + ` = …, ` + query.Quote(s.MarkIdent()) + ` = … WHERE _key = …`,
		Table: table, AllRows: true,
	}
	if !slices.ContainsFunc(r.steps, func(before bucket.Step) bool { return before.SQL == step.SQL }) {
		r.add(step)
	}
}

// indexes returns what would be the indexes of a table that has the given ones.
func (r *rehearsal) indexes(table string, live []bucket.Index) []bucket.Index {
	for _, i := range r.built {
		if i.table == table {
			live = append(live, i.Index)
		}
	}
	return slices.DeleteFunc(live, func(i bucket.Index) bool {
		return slices.ContainsFunc(r.dropped, func(gone tableIndex) bool { return gone.Name == i.Name })
	})
}

// Leftovers implements bucket.Store.
func (r *rehearsal) Leftovers(ctx context.Context) ([]string, error) { return r.store.Leftovers(ctx) }

// Records implements bucket.Store.
func (r *rehearsal) Records(ctx context.Context, name string, row func(jsvalue.Value) error) error {
	return r.store.Records(ctx, name, row)
}

var placeholder = regexp.MustCompile(`\$[0-9]+`)

// written returns the text of a statement with its arguments in their places, as somebody would type it.
func written(st *query.Statement) string {
	return placeholder.ReplaceAllStringFunc(st.SQL, func(p string) string {
		i, err := strconv.Atoi(p[1:])
		switch {
		case err != nil || i < 1 || i > len(st.Args):
			return p
		case st.Args[i-1] == nil:
			return `NULL`
		}
		return literal(string(st.Args[i-1]))
	})
}
