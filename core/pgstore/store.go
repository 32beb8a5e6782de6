// Package pgstore keeps buckets and objects in PostgreSQL. It owns the connections, who may use them when, every statement
// that is not about objects, transactions, and the translation of SQLSTATEs into faults. The statements about objects come
// from core/query.
//
// How a statement gets to PostgreSQL, in the order of preference:
//
//	quick    a short statement, one prepared statement in one round trip, with those of others that are there at the moment. Reads
//	         share a round trip, writes share a transaction (see dispatch.go).
//	alone    a statement that may run for long, has a timeout, or did not fit into a group: on a connection of its own
//	in a transaction, for everything that takes more than one statement
//
// See DESIGN.md in this directory for the picture.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// Config says how to reach PostgreSQL.
type Config struct {
	// URL is a connection string as libpq takes it, a URL or key=value pairs. What it leaves out comes from the PG*
	// environment variables.
	URL string
	// Follow makes the store wait for SetPrimary to say which server to use. Otherwise it is the one that the URL names first.
	Follow bool
	// Doubt is called when the primary does not behave like one. It must not block. nil for nobody.
	Doubt func()
	// ReadOnly says that servers that cannot be written to will do, such as standbys.
	ReadOnly bool
	Limits   Limits
	Log      *slog.Logger
	// Metrics gets the metrics of the pool; nil for none.
	Metrics prometheus.Registerer
}

// Store implements the ports of core/bucket, core/object and core/rpc. It is safe for concurrent use. Nothing works before
// Run was called; requests wait for it.
type Store struct {
	config  *pgconn.Config // with the host of the URL
	pool    *pool
	manners manners
	limits  Limits
	log     *slog.Logger
	listens prometheus.Gauge
}

var (
	_ object.Store = (*Store)(nil)
	_ bucket.Store = (*Store)(nil)
)

// New checks the configuration. It opens no connection.
func New(c Config) (*Store, error) {
	config, err := pgconn.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL's address: %w", err)
	}
	for name, value := range sessionSettings {
		config.RuntimeParams[name] = value
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "moray"
	}
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) {}
	config.ValidateConnect = nil // we look ourselves
	config.DialFunc = watchful.DialContext
	c.Limits.fill()
	s := &Store{config: config, limits: c.Limits, log: c.Log.With("component", "pgpool")}
	m := newMetrics(c.Metrics, func() PoolStatus { return s.PoolStatus() })
	s.listens = m.listens
	s.pool = newPool(c.Limits, s.log, m)
	s.pool.readOnly = c.ReadOnly
	if c.Doubt != nil {
		s.pool.doubt = c.Doubt
	}
	if !c.Follow {
		err = s.SetPrimary(s.Servers()[0], 0)
	}
	return s, err
}

// sessionSettings make what PostgreSQL prints independent of its configuration, see core/field.
var sessionSettings = map[string]string{
	"client_encoding":    "UTF8",
	"datestyle":          "ISO",
	"timezone":           "UTC",
	"intervalstyle":      "postgres",
	"bytea_output":       "hex",
	"extra_float_digits": "1",
	"lock_timeout":       lockTimeout,
}

// Run opens connections and keeps them, until ctx ends; then it closes all of them, also those in use, and returns when
// nothing of the store runs any more. It returns nil.
func (s *Store) Run(ctx context.Context) error {
	s.pool.run(ctx)
	return nil
}

const (
	// maxDeadlocks is how often a statement is run again that fell victim to a deadlock.
	maxDeadlocks = 3
	// moreRetries is how often something is run again beyond once for each connection.
	moreRetries = 3
)

// Do implements object.Store.
func (s *Store) Do(ctx context.Context, st *query.Statement, row func(object.Row) error) error {
	caller := object.CallerFrom(ctx)
	timeout := s.timeout(caller)
	if st.Sharing == query.Write && timeout > 0 {
		// Only a transaction of several steps can be given up and is then certainly not committed.
		return s.InTx(ctx, func(tx object.Tx) error {
			_, err := tx.Do(ctx, st, row)
			return err
		})
	}
	var a *answer
	if st.Sharing != query.Read { // a row that is read may come again
		a = &answer{row: row}
		row = a.take
	}
	deadlocks := 0
	err := s.retry(func() (again bool, err error) {
		if err = s.once(ctx, caller, timeout, st, row); err == nil || a != nil && a.delivered {
			return false, err
		}
		if deadlocked(err) {
			deadlocks++
			return deadlocks <= maxDeadlocks, err
		}
		return repeatable(err), err
	})
	return explain(err, st.SQL)
}

// answer notes whether rows have come, after which a statement cannot run again.
type answer struct {
	row       func(object.Row) error
	delivered bool
}

func (a *answer) take(r object.Row) error {
	a.delivered = true
	return a.row(r)
}

// retry runs try, and again as long as it fails and says so. Where connections are lost each try may meet another one that is about
// to be, so there are more tries than connections.
func (s *Store) retry(try func() (again bool, err error)) error {
	for n := 0; ; n++ {
		again, err := try()
		if err == nil || !again || n == s.limits.MaxConnections+moreRetries {
			return err
		}
	}
}

func (s *Store) timeout(c *object.Caller) time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return s.limits.QueryTimeout
}

// once runs a statement as it can be run best.
func (s *Store) once(ctx context.Context, caller *object.Caller, timeout time.Duration, st *query.Statement, row func(object.Row) error) error {
	switch {
	case st.Sharing == query.Scan:
		return s.scan(ctx, caller, timeout, st, row)
	case st.Sharing != query.Alone && timeout == 0:
		err := s.pool.quick(ctx, caller, st, row)
		if !errors.Is(err, errRunAlone) {
			return err
		}
	}
	_, err := s.alone(ctx, caller, timeout, st, row)
	return err
}

// alone runs a statement on a connection of its own. It returns how long it took, without the wait for the connection.
func (s *Store) alone(ctx context.Context, caller *object.Caller, timeout time.Duration, st *query.Statement, row func(object.Row) error) (time.Duration, error) {
	c, err := s.pool.claim(ctx, useOf(caller))
	if err != nil {
		return 0, err
	}
	defer s.pool.release(c)
	start := time.Now()
	_, err = c.run(timeout, row, waitPatiently, st)
	taken := time.Since(start)
	s.pool.metrics.seconds[lone].Observe(taken.Seconds())
	caller.Trail.AddUntil(object.SQL, start, start.Add(taken), st.SQL)
	switch {
	case st.Sharing == query.Write:
		err = c.outcome(err)
	case errors.Is(c.broken, errTimeout), errors.Is(c.broken, errAbandoned):
		s.pool.cancel(c)
	}
	return taken, err
}
