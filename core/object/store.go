package object

import (
	"context"
	"errors"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/core/strand"
)

// Row is one row of a result: the columns in PostgreSQL's text form, nil for NULL. It is valid only during the call that it is
// passed to.
type Row = [][]byte

// Store runs the statements of the object operations.
//
// Both methods return faults for what PostgreSQL refuses, [ErrStale], a *[BadID], or [ErrUnknown] in the chain where it
// applies. What the context holds as [Caller] decides about fairness and timeouts; its cancellation ends only the wait for a
// connection. Both may be called by any number of goroutines.
type Store interface {
	bucket.Loader

	// Do runs one statement as a transaction of its own and passes each row to row. The store decides how the statement is sent,
	// and may run it again when it is certain that nothing was committed. row gets the rows of the run that counts, once; only
	// that of a query.Read may get its row again.
	// An error of row ends the statement and is returned. For a query.Read or query.Write, row must not block.
	Do(ctx context.Context, s *query.Statement, row func(Row) error) error

	// InTx runs fn in a transaction at READ COMMITTED, which is committed if fn returns nil. It may run fn again when the connection
	// was lost and it is certain that nothing was committed, unless fn has called Once.
	InTx(ctx context.Context, fn func(Tx) error) error
}

// Tx is one open transaction. It is for one goroutine. After an error of PostgreSQL every further statement fails.
type Tx interface {
	bucket.Loader

	// Do runs one statement and returns the number of rows that it reports as read or changed.
	Do(ctx context.Context, s *query.Statement, row func(Row) error) (int64, error)

	// Last is Do for a statement that nothing follows, and of which nothing has to be undone, whatever its rows say. It is committed
	// in the same round trip if the hooks have run no SQL: where that has to be undone it is up to the rows. A statement that
	// does follow begins another transaction then.
	Last(ctx context.Context, s *query.Statement, row func(Row) error) (int64, error)

	// Run runs SQL of a hook. Where PostgreSQL refuses it the error is a *[Refusal]. When ctx ends the statement is cancelled,
	// and the error is the cause. [ErrEnded] says that the text began or ended a transaction: everything fails from then on.
	Run(ctx context.Context, s *Script) (Result, error)

	// Once says that the transaction must not be run again by the store: something outside of the database is about to take part
	// in it.
	Once()

	// Attempt runs fn, and if it fails, or leaves the transaction in a failed state, undoes what it did to the database and
	// nothing else. It returns the error.
	Attempt(ctx context.Context, fn func() error) error
}

// Script is SQL of a hook.
type Script struct {
	// Text is one statement with the placeholders $1, $2, or without arguments any number of statements.
	Text string
	Args [][]byte // in text form, nil for NULL
	// Fields is called at the start of each result, Row for each row. What they get is valid during the call.
	Fields func([]Field)
	Row    func(Row) error
}

// Field is a column of a result.
type Field struct {
	Name string
	Type uint32 // the oid of its type
}

// Result is the end of a script.
type Result struct {
	Command string // the command tag of the last statement without its numbers, such as INSERT
	Rows    int64  // read or changed by the last statement
}

// Refusal is what PostgreSQL says of a script that it refused.
type Refusal struct {
	Code, Message, Detail, Hint, Constraint, Table, Column string

	Fault error // what a client sees
}

func (r *Refusal) Error() string { return r.Message }
func (r *Refusal) Unwrap() error { return r.Fault }

// ErrEnded says that the SQL of a hook began or ended a transaction.
var ErrEnded = errors.New("its SQL began or ended a transaction")

// ErrStale is in the chain of an error that says that a definition from the cache no longer fits the table: a column or the
// table is gone, or a prepared statement no longer stands. Nothing was changed. The error is a fault that can be answered as
// it is when a fresh definition brings it too.
var ErrStale = errors.New("the definition of the bucket is out of date")

// ErrRefused is in the chain of an error with which PostgreSQL refused a statement for its arguments, before or while
// running it. Nothing was changed.
var ErrRefused = errors.New("the statement was refused")

// BadID is the error of a statement that met a row whose id a client cannot represent.
type BadID struct {
	ID, IDX string // as PostgreSQL prints them; "null" if NULL
}

func (e *BadID) Error() string { return "row with the id " + e.ID + " and the extended id " + e.IDX }

// Caller says on whose behalf something is done. It travels in the context; see [WithCaller].
type Caller struct {
	// Client is the number of the client's connection. Waiting requests are served round robin over clients.
	Client uint64
	// Bucket is the bucket that the request names, if it names one: no bucket may hold all connections.
	Bucket string
	// Find marks requests that may hold a connection for long.
	Find bool
	// Timeout bounds each statement, from sending it to its first row or its end; 0 is no bound.
	Timeout time.Duration
	// Request is the request's id, for the log.
	Request string
	// Trail is told what the time is spent on; nil if nobody asks.
	Trail *Trail
	// Strand is what runs the request; nil if that is just a goroutine. Where there is one the store parks it while a statement is under
	// way, and detaches it before anything else that waits; whoever waits for other things has to do so himself.
	Strand *strand.Strand
}

type callerKey struct{}

// WithCaller returns a context that says on whose behalf the work under it is done. c must not change afterwards; its trail does.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns what [WithCaller] put into ctx, or a zero Caller.
func CallerFrom(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return c
	}
	return &Caller{}
}
