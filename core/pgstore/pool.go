package pgstore

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
)

// Limits are the sizes and times of a pool. A zero field stands for the original's default.
type Limits struct {
	MaxConnections int           // hard ceiling; 5
	MinSpare       int           // connections to keep ready beyond those in use; MaxConnections
	MaxQueue       int           // waiting requests beyond which others are refused; 2000, negative for no limit
	ClaimDelay     time.Duration // target for the wait in the queue; 500 ms. Requests are refused after 3 or 10 times as long
	ConnectTimeout time.Duration // of one attempt; 1 s
	CheckInterval  time.Duration // how long a connection is idle before a statement checks it; 60 s
	QueryTimeout   time.Duration // of statements whose request brings no timeout; 0 is none
}

func (l *Limits) fill() {
	if l.MaxConnections == 0 {
		l.MaxConnections = 5
	}
	if l.MinSpare == 0 || l.MinSpare > l.MaxConnections {
		l.MinSpare = l.MaxConnections
	}
	if l.MaxQueue == 0 {
		l.MaxQueue = 2000
	}
	if l.ClaimDelay == 0 {
		l.ClaimDelay = 500 * time.Millisecond
	}
	if l.ConnectTimeout == 0 {
		l.ConnectTimeout = time.Second
	}
	if l.CheckInterval == 0 {
		l.CheckInterval = time.Minute
	}
}

// pool holds the connections, those who wait for one, and the rules of who gets one. Connections are opened and watched by
// run; they are claimed and released by the goroutines that use them.
type pool struct {
	limits   Limits
	readOnly bool // servers that cannot be written to will do
	log      *slog.Logger
	metrics  *metrics
	doubt    func() // called when the primary does not behave like one; must not block

	wake    chan struct{} // tells run to look at the pool again; capacity 1
	workers sync.WaitGroup

	mu         sync.Mutex // guards what follows; nothing under it waits
	queue      queue
	codel      codel
	primary    *primary            // nil before it is known
	conns      map[*conn]struct{}  // established, to the primary
	idle       []*conn             // the one used last at the end
	own        map[*conn]struct{}  // those to the primary that are not the pool's to hand out
	retired    map[*conn]time.Time // in use still, to servers that were the primary before; until when
	held       map[string]int      // connections claimed, by bucket
	finds      int                 // connections claimed by finds
	quickNow   int                 // short statements under way: waiting, or sent
	queued     bool                // somebody has waited since run looked last
	watching   bool                // run will look again soon
	quickConns int                 // connections that short statements are sent over
	progress   time.Time           // when one of them was last taken or given back
	turn       kind                // what is looked at first when a connection comes free
	serial     uint64              // of the last connection
	idleAt     time.Time           // when a connection last became idle; zero before the first time
	closed     bool

	// What is known of attempts to connect since the last that succeeded.
	failures     int
	failure      error // the last one
	failingSince time.Time
	nextAttempt  time.Time
	failed       bool // there is no database: requests are refused at once
}

func newPool(limits Limits, log *slog.Logger, m *metrics) *pool {
	return &pool{
		limits: limits, log: log, metrics: m, doubt: func() {},
		wake:    make(chan struct{}, 1),
		queue:   newQueue(),
		codel:   codel{target: limits.ClaimDelay},
		conns:   map[*conn]struct{}{},
		own:     map[*conn]struct{}{},
		retired: map[*conn]time.Time{},
		held:    map[string]int{},
	}
}

func errNoBackend() error { return fault.New(fault.Generic, "connect ECONNREFUSED") }

func errOverloaded() error {
	return fault.New(fault.NoDatabasePeers, "unable to acquire backend connection due to service being overloaded").
		With("name", "OverloadedError", "message", "maximum moray queue length reached")
}

// claim returns a connection for the caller alone, to be given back with release. It waits for its turn; the faults are the
// two forms of having waited in vain.
func (p *pool) claim(ctx context.Context, u use) (*conn, error) {
	if u.strand != nil {
		u.strand.Detach() // from here on it waits: for its turn, and for what the connection brings
	}
	for {
		p.mu.Lock()
		c, err := p.takeIdle(u)
		if c == nil && err == nil {
			w := p.enqueue(&waiter{use: u, ctx: ctx})
			p.mu.Unlock()
			g := p.wait(w)
			u.trail.Add(object.Queue, w.since, "")
			if g.err == nil {
				p.metrics.waits[claim].Observe(time.Since(w.since).Seconds())
			}
			return g.conn, g.err
		}
		p.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if p.usable(c) {
			return c, nil
		}
		p.release(c)
	}
}

// takeIdle admits a request, and claims an idle connection if there is one that u may have. The caller holds the lock.
func (p *pool) takeIdle(u use) (*conn, error) {
	if err := p.admit(u); err != nil || len(p.idle) == 0 || !p.mayHold(u) {
		return nil, err
	}
	c := p.popIdle()
	p.hold(c, u)
	return c, nil
}

// admit refuses requests that could only wait in vain. The caller holds the lock.
func (p *pool) admit(u use) error {
	switch {
	case p.closed:
		return errNoBackend()
	case p.limits.MaxQueue > 0 && p.queue.n >= p.limits.MaxQueue && !p.displace(u):
		p.metrics.refused[queueFull].Inc()
		return errOverloaded()
	case p.failed:
		p.metrics.refused[noDatabase].Inc()
		return errNoBackend()
	}
	return nil
}

func (p *pool) popIdle() *conn {
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle = p.idle[:last]
	return c
}

// displace makes room in a full queue: the youngest waiter of the client with most of them is refused, unless that would be
// the newcomer itself.
func (p *pool) displace(u use) bool {
	victim := p.queue.youngestOfLongest()
	if victim == nil || p.queue.waiting(u.client)+1 >= p.queue.waiting(victim.client) {
		return false
	}
	p.queue.remove(victim)
	p.metrics.refused[queueFull].Inc()
	p.turnAway(victim, errOverloaded())
	return true
}

// enqueue makes w wait. The caller holds the lock.
func (p *pool) enqueue(w *waiter) *waiter {
	now := time.Now()
	w.since = now
	w.noBackend = len(p.conns) <= 2 && len(p.idle) == 0
	patience := 10 * p.limits.ClaimDelay
	if !p.idleAt.IsZero() && now.Sub(p.idleAt) > patience {
		patience = 3 * p.limits.ClaimDelay // the queue has not been empty for long
	}
	w.until = now.Add(patience)
	if w.done == nil {
		w.done = make(chan grant, 1)
	}
	p.queue.push(w)
	p.kick()
	p.queued = true
	if !p.watching || len(p.conns) < p.limits.MaxConnections {
		p.watching = true
		p.notify()
	}
	return w
}

// wait returns what w gets. If its context ends before its turn has come, that is an error with the context's cause.
func (p *pool) wait(w *waiter) grant {
	if w.parked != nil {
		w.parked.Park()
		return w.grant
	}
	select {
	case g := <-w.done:
		return g
	case <-w.ctx.Done():
	}
	p.mu.Lock()
	removed := p.queue.remove(w)
	if removed && w.kind() == short {
		p.quickNow--
	}
	p.mu.Unlock()
	if removed {
		return grant{err: context.Cause(w.ctx)}
	}
	return <-w.done // its turn came just now
}

// turnAway tells a waiter, who is not in the queue any more, why it waited in vain. The caller holds the lock.
func (p *pool) turnAway(w *waiter, why error) {
	if w.kind() == short {
		p.quickNow--
	}
	if w.parked == nil {
		w.give(grant{err: why})
		return
	}
	p.workers.Go(func() {
		if out := w.give(grant{err: why}); out != nil {
			out.Flush()
		}
	})
}

// mayHold bounds what one bucket, and what finds may hold of all connections. The caller holds the lock.
func (p *pool) mayHold(u use) bool {
	limit := p.limits.MaxConnections
	if u.find && p.finds >= max(1, limit*3/4) {
		return false
	}
	return u.bucket == "" || p.held[u.bucket] < (limit+1)/2
}

func (p *pool) hold(c *conn, u use) {
	c.caller = u
	if u.bucket != "" {
		p.held[u.bucket]++
	}
	if u.find {
		p.finds++
	}
}

// quicken marks a connection that short statements are sent over.
func (p *pool) quicken(c *conn) {
	c.quick = true
	p.quickConns++
	c.began = time.Now()
	p.progress = c.began
}

func (p *pool) unhold(c *conn) {
	u := c.caller
	c.caller = use{}
	if c.at != p.primary { // it does not count any more
		c.quick = false
		return
	}
	if c.quick {
		c.quick = false
		p.quickConns--
		p.progress = time.Now()
	}
	if u.bucket != "" {
		if p.held[u.bucket]--; p.held[u.bucket] == 0 {
			delete(p.held, u.bucket)
		}
	}
	if u.find {
		p.finds--
	}
}

// usable reports whether an idle connection still stands. One that was used a moment ago is taken on trust.
func (p *pool) usable(c *conn) bool {
	if time.Since(c.idle) < time.Millisecond || c.alive() {
		return true
	}
	p.metrics.event(connectionError)
	p.log.Info("idle connection was closed by the server", "moray_id", c.id, "err", c.broken)
	p.notify()
	return false
}

// release gives a connection back: to the next who waits, to a dispatcher if several can share it, or to the idle ones. A
// connection that is broken or in the middle of a transaction is closed instead.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unhold(c)
	p.pass(c)
}

// pass gives c to whoever is next. The caller holds the lock.
func (p *pool) pass(c *conn) {
	if w := p.settle(c); w != nil {
		p.workers.Go(func() { p.dispatch(c, w) })
	}
}

// quickShare is how many short statements there are for each connection that they are sent over. With fewer, more connections
// would carry smaller groups: each group costs PostgreSQL and us about as much as one statement.
const quickShare = 32

// stall is how long the connections that short statements are sent over may all be busy before one more is used: something
// holds them up, such as a lock.
const stall = 3 * time.Millisecond

// mayQuicken reports whether one more connection is worth while for short statements. The caller holds the lock.
func (p *pool) mayQuicken() bool {
	return p.quickConns*quickShare < p.quickNow || time.Since(p.progress) > stall
}

// settle gives c to whoever is next, and returns the waiter whose statement is to be run on c if that is next. The caller
// holds the lock.
func (p *pool) settle(c *conn) *waiter {
	if c.refusesWrites && !p.readOnly {
		p.poison(c.at)
	}
	if c.broken != nil || c.status != 'I' || p.closed || c.at != p.primary {
		p.discard(c)
		return nil
	}
	w := p.next()
	switch {
	case w == nil:
		c.idle = time.Now()
		p.idleAt = c.idle
		p.idle = append(p.idle, c)
		p.kick()
		return nil
	case w.kind() == short:
		p.quicken(c)
		return w
	}
	p.hold(c, w.use)
	w.give(grant{conn: c}) // who claims a connection does not park
	return nil
}

// discard takes c out of the pool and closes it. The caller holds the lock.
func (p *pool) discard(c *conn) {
	delete(p.conns, c)
	delete(p.retired, c)
	switch {
	case p.closed:
		c.fail(errClosed) //nolint:errcheck // because nobody asks any more
	case c.broken == nil:
		p.workers.Go(c.close)
	}
	p.notify()
}

// next takes the next waiter out of the queue whose wish can be fulfilled with one more connection. Those who want a connection
// and those with short statements take turns.
func (p *pool) next() *waiter {
	for {
		p.turn = (p.turn + 1) % kinds
		w := p.popFitting(p.turn)
		if w == nil {
			w = p.popFitting((p.turn + 1) % kinds)
		}
		if w == nil {
			return nil
		}
		if now := time.Now(); !p.codel.drop(now, now.Sub(w.since)) {
			return w
		}
		p.expire(w)
	}
}

func (p *pool) popFitting(k kind) *waiter {
	if k == short {
		if !p.mayQuicken() {
			return nil
		}
		return p.queue.pop(short, always)
	}
	return p.queue.pop(claim, func(w *waiter) bool { return p.mayHold(w.use) })
}

func always(*waiter) bool { return true }

// expire tells a waiter, who is not in the queue any more, that its time is up.
func (p *pool) expire(w *waiter) {
	p.metrics.event(claimTimeout)
	if w.noBackend {
		p.metrics.refused[noDatabase].Inc()
		p.turnAway(w, errNoBackend())
		return
	}
	p.metrics.refused[waitedTooLong].Inc()
	p.turnAway(w, errOverloaded())
}

// kick sets an idle connection to work on short statements that wait, if that is worth while: nobody who uses a connection now
// may come back for them. The caller holds the lock.
func (p *pool) kick() {
	for len(p.idle) > 0 && p.queue.waits[short] > 0 && p.mayQuicken() {
		c := p.popIdle()
		p.quicken(c)
		p.workers.Go(func() { p.begin(c) })
	}
}

// begin sets a connection that was idle to work on short statements.
func (p *pool) begin(c *conn) {
	usable := p.usable(c)
	p.mu.Lock()
	var w *waiter
	if usable {
		w = p.queue.pop(short, always)
	}
	if w == nil {
		p.unhold(c)
		p.pass(c)
		p.kick()
	}
	p.mu.Unlock()
	if w != nil {
		p.dispatch(c, w)
	}
}

func (p *pool) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
