package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/core/strand"
)

const (
	// What one round trip carries at most.
	maxGroup     = 64
	maxGroupSize = 256 << 10
	// How many rounds a write takes part in that other members make fail, before it runs alone.
	maxRounds = 2
)

// errRunAlone tells the goroutine of a request that its statement has to be run on a connection of its own. Nothing was
// changed.
var errRunAlone = errors.New("the statement does not fit into a group")

// errUnknown is in the chain of an error after which nobody knows whether a statement was committed.
var errUnknown = errors.New("outcome unknown")

var waiters = sync.Pool{New: func() any { return &waiter{done: make(chan grant, 1)} }}

// quick runs a short statement: with others in one round trip, or on an idle connection if there are none and the caller may wait.
func (p *pool) quick(ctx context.Context, caller *object.Caller, s *query.Statement, row func(object.Row) error) error {
	u := use{client: caller.Client, trail: caller.Trail, strand: caller.Strand}
	p.mu.Lock()
	p.quickNow++
	for {
		c, err := p.takeQuick(u)
		if err != nil {
			p.quickNow--
			p.mu.Unlock()
			return err
		}
		if c == nil {
			return p.share(ctx, u, s, row)
		}
		p.mu.Unlock()
		usable := p.usable(c)
		if usable {
			err = c.direct(s, row)
			ended := time.Now()
			p.metrics.roundTrip(s.Sharing, 1, ended.Sub(c.began))
			u.trail.AddUntil(object.SQL, c.began, ended, s.SQL)
		}
		p.mu.Lock()
		if usable {
			p.quickNow--
		}
		p.unhold(c)
		p.pass(c)
		if usable {
			p.mu.Unlock()
			return err
		}
	}
}

// direct runs a short statement that shares its round trip with nobody.
func (c *conn) direct(s *query.Statement, row func(object.Row) error) (err error) {
	if s.Sharing == query.Write {
		w := waiter{row: row}
		_, err = c.run(0, w.hold, s)
		err = w.deliver(c.outcome(err))
	} else {
		_, err = c.run(0, row, s)
	}
	if lockTimedOut(err) {
		err = errRunAlone
	}
	return err
}

// takeQuick admits a short statement, and takes an idle connection for it if it is the only one: with others it shares a round
// trip. The caller holds the lock.
func (p *pool) takeQuick(u use) (*conn, error) {
	if err := p.admit(u); err != nil || len(p.idle) == 0 || p.quickNow > 1 || u.strand != nil {
		return nil, err
	}
	c := p.popIdle()
	p.quicken(c)
	return c, nil
}

// share waits until somebody has run the statement with others. The caller holds the lock, which share gives back.
func (p *pool) share(ctx context.Context, u use, s *query.Statement, row func(object.Row) error) error {
	w := waiters.Get().(*waiter)
	w.use, w.statement, w.row, w.rounds, w.began = u, s, row, 0, time.Time{}
	w.ctx, w.parked = ctx, u.strand
	p.enqueue(w)
	p.mu.Unlock()
	g := p.wait(w)
	w.note(s)
	w.use, w.statement, w.row, w.ctx, w.parked = use{}, nil, nil, nil, nil
	clear(w.held)
	waiters.Put(w)
	return g.err
}

// note tells the trail how long the statement waited, and how long it took with others.
func (w *waiter) note(s *query.Statement) {
	if w.trail == nil {
		return
	}
	now := time.Now()
	if w.began.IsZero() { // it waited in vain
		w.began = now
	}
	w.trail.AddUntil(object.Queue, w.since, w.began, "")
	if w.began != now {
		w.trail.AddUntil(object.SQL, w.began, now, s.SQL)
	}
}

// outcome returns err after a statement that commits by itself: where the connection broke after it was sent, or the commit was cut
// short, the outcome is unknown.
func (c *conn) outcome(err error) error {
	switch {
	case errors.Is(c.broken, errUnsent):
		return c.broken
	case c.broken != nil:
		return fmt.Errorf("%w: %w", errUnknown, c.broken)
	case err == nil && c.warned:
		return c.fail(fmt.Errorf("%w: the wait for the synchronous standby was cut short", errUnknown))
	}
	return err
}

// dispatch runs the statement of first, and of all who wait for the like, on c, until nobody waits for a statement to be run
// or somebody waits longer for a connection of his own.
func (p *pool) dispatch(c *conn, first *waiter) {
	var ended outlets
	for w := first; w != nil; {
		runtime.Gosched() // those who came with it may not have got as far as the queue
		batch := p.collect(c, w)
		members := len(batch)
		p.metrics.waited(batch)
		if w.statement.Sharing == query.Write {
			p.runWrites(c, batch, &ended)
		} else {
			p.runReads(c, batch, &ended)
		}
		clear(c.batch)
		p.mu.Lock()
		p.quickNow -= members
		p.unhold(c)
		w = p.settle(c)
		p.mu.Unlock()
		ended.flush() // after that, so that what clients send next does not count beside what was just answered
	}
}

// outlets are those of the requests of a group that have ended.
type outlets []strand.Outlet

// add notes what give returned.
func (o *outlets) add(ended strand.Outlet) {
	if ended != nil && !slices.Contains(*o, ended) {
		*o = append(*o, ended)
	}
}

func (o *outlets) flush() {
	for _, each := range *o {
		each.Flush()
	}
	clear(*o)
	*o = (*o)[:0]
}

// collect returns first with those who can share a round trip with it, in memory of c.
func (p *pool) collect(c *conn, first *waiter) []*waiter {
	batch := append(c.batch[:0], first)
	size := first.statement.Size()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(batch) < maxGroup {
		w := p.queue.pop(short, func(w *waiter) bool {
			return (w.statement.Sharing == query.Write) == (first.statement.Sharing == query.Write) && size+w.statement.Size() <= maxGroupSize
		})
		if w == nil {
			break
		}
		size += w.statement.Size()
		batch = append(batch, w)
	}
	c.batch = batch
	return batch
}

// runReads runs reads in one round trip. Each is answered as soon as its rows are there. One that fails makes the server
// skip those behind it: they go again.
func (p *pool) runReads(c *conn, batch []*waiter, ended *outlets) {
	defer p.contain(c, &batch, ended)
	for len(batch) > 0 && c.broken == nil {
		hurried := slices.ContainsFunc(batch, func(w *waiter) bool { return w.statement.Sharing == query.Scan })
		if hurried {
			c.queue(hurry)
		}
		for _, w := range batch {
			c.queue(w.statement)
		}
		c.sync()
		sent, start := len(batch), time.Now()
		if c.flush() != nil {
			break
		}
		if hurried {
			c.result(nil) //nolint:errcheck // because it cannot be refused, and a broken connection shows below
		}
		for len(batch) > 0 {
			w := batch[0]
			_, err := c.resultOf(w.statement, w.row)
			if c.broken != nil {
				break
			}
			batch = batch[1:]
			skipped := err != nil && !errors.Is(err, errRunAlone)
			if lockTimedOut(err) || hurried && sqlState(err) == "57014" { // query_canceled
				err = errRunAlone
			}
			ended.add(w.give(grant{err: err}))
			if skipped {
				break
			}
		}
		c.ready() //nolint:errcheck // because the loop ends with a broken connection
		p.metrics.roundTrip(query.Read, sent, time.Since(start))
	}
	for len(batch) > 0 {
		w := batch[0]
		batch = batch[1:]
		ended.add(w.give(grant{err: c.broken}))
	}
}

// runWrites runs writes in one transaction. They are answered when it is committed.
func (p *pool) runWrites(c *conn, batch []*waiter, ended *outlets) {
	defer p.contain(c, &batch, ended)
	for len(batch) > 0 {
		slices.SortStableFunc(batch, func(a, b *waiter) int {
			return cmp.Or(strings.Compare(a.statement.Table, b.statement.Table), strings.Compare(a.statement.Key, b.statement.Key))
		})
		start := time.Now()
		failed, err := c.group(batch)
		p.metrics.roundTrip(query.Write, len(batch), time.Since(start))
		if c.broken != nil || c.warned {
			err = c.outcome(err)
		} else if err != nil {
			batch = dismiss(batch, failed, err, ended)
			continue
		}
		for len(batch) > 0 {
			w := batch[0]
			answer := w.deliver(err)
			batch = batch[1:] // first of all, because it must not get a second grant
			ended.add(w.give(grant{err: answer}))
		}
	}
}

// hold keeps a row of a write. Until the group is committed it says nothing: the write may have to run again, and answer otherwise
// or not at all.
func (w *waiter) hold(r object.Row) error {
	w.held = append(w.held, cloneRow(r))
	return nil
}

// deliver passes on what a write has answered, unless it failed.
func (w *waiter) deliver(err error) error {
	for _, r := range w.held {
		if err != nil {
			break
		}
		err = w.row(r)
	}
	return err
}

// group runs the statements of batch as one transaction. It returns which one failed, or -1 if the commit did: then none was
// committed.
func (c *conn) group(batch []*waiter) (failed int, err error) {
	for _, w := range batch {
		w.held = w.held[:0]
		c.queue(w.statement)
	}
	c.sync()
	if err := c.flush(); err != nil {
		return 0, err
	}
	for i, w := range batch {
		if _, err = c.resultOf(w.statement, w.hold); err != nil {
			failed = i
			break
		}
	}
	if rerr := c.ready(); rerr != nil && err == nil {
		failed, err = -1, rerr
	}
	return failed, err
}

// dismiss tells the member of a group that failed, and those who failed with others too often, to go on alone. It returns the
// rest, who go again.
func dismiss(batch []*waiter, failed int, err error, ended *outlets) []*waiter {
	rest := batch[:0:0]
	for i, w := range batch {
		switch {
		case i == failed && badID(err) != nil, len(batch) == 1 && !lockTimedOut(err):
			ended.add(w.give(grant{err: err})) // running again would draw another id, and tell the same
		case i == failed, failed < 0, w.rounds+1 >= maxRounds:
			ended.add(w.give(grant{err: errRunAlone}))
		default:
			w.rounds++
			rest = append(rest, w)
		}
	}
	return rest
}

// contain keeps a panic while results are read, which would be a mistake of ours or of the driver, to the requests that it
// concerns.
func (p *pool) contain(c *conn, batch *[]*waiter, ended *outlets) {
	r := recover()
	if r == nil {
		return
	}
	p.log.Error("panic while reading results", "panic", r, "stack", string(debug.Stack()))
	err := c.fail(fmt.Errorf("%w: panic while reading results", errUnknown))
	for _, w := range *batch {
		ended.add(w.give(grant{err: err}))
	}
}

// lockTimedOut reports whether a statement waited in vain for a lock.
func lockTimedOut(err error) bool { return sqlState(err) == "55P03" }

// deadlocked reports whether a statement fell victim to a deadlock. Its transaction is rolled back.
func deadlocked(err error) bool { return sqlState(err) == "40P01" }

func sqlState(err error) string {
	if err == nil { // what most want to know
		return ""
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
