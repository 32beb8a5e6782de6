package pgstore

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/query"
)

const (
	// How often run looks at the pool: while requests wait, to end waits in time, and else for connections that were closed.
	busyPeriod  = 20 * time.Millisecond
	quietPeriod = 250 * time.Millisecond

	// The delay after a failed attempt to connect grows from the first to the second. A refused attempt costs next to nothing,
	// so the limit is low: it is what a restart of the database costs beyond itself.
	firstDelay = 50 * time.Millisecond
	lastDelay  = 500 * time.Millisecond
	// A server that cannot be written to yet may be about to be promoted.
	promotionDelay = 100 * time.Millisecond

	maxConnectTimeout = 10 * time.Second
	cancelTimeout     = 2 * time.Second
)

// run keeps the pool filled and its waits bounded until ctx ends. Then it refuses all who wait, closes all connections, also
// those in use, and returns when nothing of the pool runs any more.
func (p *pool) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		p.mu.Lock()
		p.sweep(time.Now())
		p.cutRetired(time.Now())
		p.fill(ctx)
		period := quietPeriod
		p.watching = p.queued || p.queue.n > 0 || p.failures > 0 || len(p.retired) > 0
		p.queued = false
		if p.watching {
			period = busyPeriod
		}
		stale := p.takeStale(time.Now())
		p.mu.Unlock()
		for _, c := range stale {
			p.check(c)
		}
		timer.Reset(period)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-timer.C:
		}
	}
	p.shut()
	p.workers.Wait()
}

// shut ends all use of the pool.
func (p *pool) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.refuseAll()
	for _, c := range p.idle {
		delete(p.conns, c)
		p.workers.Go(c.close)
	}
	p.idle = nil
	for c := range p.conns {
		c.net.Close() //nolint:errcheck // because its user notices and releases it
	}
	for c := range p.retired {
		c.net.Close() //nolint:errcheck // because its user notices and releases it
	}
	if p.primary != nil {
		p.primary.end()
	}
}

// refuseAll tells all who wait that there is no database. The caller holds the lock.
func (p *pool) refuseAll() {
	p.queue.each(func(w *waiter) {
		p.queue.remove(w)
		p.metrics.refused[noDatabase].Inc()
		p.turnAway(w, errNoBackend())
	})
}

// sweep ends the waits whose time is up. The caller holds the lock.
func (p *pool) sweep(now time.Time) {
	p.queue.each(func(w *waiter) {
		switch {
		case !now.Before(w.until):
			p.queue.remove(w)
			p.expire(w)
		case w.parked != nil && w.ctx.Err() != nil:
			p.queue.remove(w)
			p.turnAway(w, context.Cause(w.ctx))
		}
	})
	p.kick()
	if p.failures > 0 && !p.failed && len(p.conns) == 0 && now.Sub(p.failingSince) >= 10*p.limits.ClaimDelay {
		p.failed = true
		p.metrics.event(failedState)
		p.log.Warn(`pool has exhausted all retries, now moving to "failed" state`, "attempts", p.failures)
		p.refuseAll()
	}
}

// fill starts as many attempts to connect as connections are missing: one at a time while they fail. The caller holds the
// lock.
func (p *pool) fill(ctx context.Context) {
	at := p.primary
	if at == nil {
		return
	}
	busy := len(p.conns) - len(p.idle)
	wanted := p.queue.waits[claim] + (p.queue.waits[short]+quickShare-1)/quickShare
	missing := min(p.limits.MaxConnections, busy+wanted+p.limits.MinSpare) - len(p.conns) - at.connecting
	if p.failures > 0 {
		missing = min(missing, 1-at.connecting)
		if time.Now().Before(p.nextAttempt) {
			return
		}
	}
	for range missing {
		at.connecting++
		p.serial++
		id := p.serial
		timeout := min(p.limits.ConnectTimeout<<min(p.failures, 4), maxConnectTimeout)
		p.workers.Go(func() { p.connect(ctx, at, id, timeout) })
	}
}

// connect makes one attempt.
func (p *pool) connect(ctx context.Context, at *primary, id uint64, timeout time.Duration) {
	attempt, cancel := context.WithTimeout(ctx, timeout)
	stop := context.AfterFunc(at.over, cancel)
	c, err := open(attempt, at, id, p.readOnly)
	stop()
	cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	at.connecting--
	switch {
	case at != p.primary:
		if err == nil {
			p.workers.Go(c.close)
		}
		return
	case err != nil:
		p.connectFailed(ctx, err)
		return
	}
	if p.failed {
		p.log.Info("successfully connected to a backend, moving back to running state")
	}
	p.failures, p.failed, p.failure = 0, false, nil
	c.metrics = p.metrics
	p.conns[c] = struct{}{}
	p.pass(c)
	p.notify()
}

func (p *pool) connectFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if p.failures == 0 {
		p.failingSince = now
		p.log.Warn("failed to connect to the database", "err", err, "primary", p.primary.address)
	}
	p.failures++
	p.failure = err
	p.doubt()
	longest := lastDelay
	if errors.Is(err, errNotWritable) {
		longest = promotionDelay
	}
	p.nextAttempt = now.Add(min(firstDelay<<min(p.failures-1, 10), longest))
	switch {
	case errors.Is(err, errNotWritable):
		p.metrics.event(notWritable)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		p.metrics.event(connectTimeout)
	default:
		p.metrics.event(connectError)
	}
}

// takeStale takes the idle connections on whose socket something has come, or that were idle for long. The others keep their
// places: the one used last, which has its statements and data at hand, is used next. The caller holds the lock.
func (p *pool) takeStale(now time.Time) []*conn {
	var stale []*conn
	p.idle = slices.DeleteFunc(p.idle, func(c *conn) bool {
		if now.Sub(c.idle) < quietPeriod/2 || now.Sub(c.checked) < quietPeriod/2 {
			return false
		}
		c.checked = now
		if now.Sub(c.idle) < p.limits.CheckInterval {
			if pending, err := c.peek(); err == nil && !pending {
				return false
			}
		}
		stale = append(stale, c)
		return true
	})
	return stale
}

// check looks whether an idle connection still stands: at its socket, and from time to time with a statement. It puts the
// connection back.
func (p *pool) check(c *conn) {
	if c.checked.Sub(c.idle) >= p.limits.CheckInterval {
		p.workers.Go(func() {
			c.run(p.limits.ConnectTimeout, nil, healthCheck) //nolint:errcheck // because release sees a broken connection
			p.release(c)
		})
		return
	}
	usable := p.usable(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !usable || p.queue.n > 0 || p.closed || c.at != p.primary {
		p.pass(c)
		return
	}
	p.idle = slices.Insert(p.idle, 0, c) // it was not used: idle times stay as they are
}

var healthCheck = &query.Statement{SQL: `SELECT now() AS "when"`}

// cancel asks the server to end the statement that a connection was given up with. It must not be one that can commit: the
// caller would be told that it failed while it may have been done.
func (p *pool) cancel(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.workers.Go(func() {
		ctx, stop := context.WithTimeout(context.Background(), cancelTimeout)
		defer stop()
		if err := cancelRequest(ctx, c); err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, net.ErrClosed) {
			p.log.Warn("cancel request failed", "moray_id", c.id, "err", err)
		}
	})
}

func cancelRequest(ctx context.Context, c *conn) error {
	pg, err := pgconn.Construct(c.hijacked)
	if err != nil {
		return err
	}
	return pg.CancelRequest(ctx)
}
