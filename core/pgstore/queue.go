package pgstore

import (
	"context"
	"math"
	"time"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/core/strand"
)

// use says for whom and for what a connection is wanted.
type use struct {
	client uint64
	bucket string
	find   bool
	trail  *object.Trail
	strand *strand.Strand // of object.Caller
}

func useOf(c *object.Caller) use { return use{c.Client, c.Bucket, c.Find, c.Trail, c.Strand} }

// waiter is one request that waits for a connection, or for its statement to be run by somebody else's.
type waiter struct {
	use
	since time.Time
	until time.Time
	began time.Time // when its statement was taken along
	// noBackend says that the pool had hardly a connection when the wait began: a timeout means that there is no database,
	// otherwise that there is too much work.
	noBackend bool

	// For a short statement, which may share a round trip; nil if the waiter wants a connection.
	statement *query.Statement
	row       func(object.Row) error
	rounds    int          // how often its group was rolled back because of another member
	held      []object.Row // the answer of a write, until its group is committed

	// It gets one grant: a connection, or why there is none; for a statement, how it ended. If parked is nil, done gets it.
	done   chan grant
	parked *strand.Strand // waits for it
	grant  grant          // for parked
	ctx    context.Context

	lane       *lane // nil if it is not in the queue
	next, prev *waiter
}

func (w *waiter) kind() kind {
	if w.statement != nil {
		return short
	}
	return claim
}

type grant struct {
	conn *conn
	err  error
}

// give gives w what it waits for. A parked request is run on by the caller, who must not hold the lock, and has to flush what
// is returned, if anything. w must not be used afterwards.
func (w *waiter) give(g grant) strand.Outlet {
	if w.parked == nil {
		w.done <- g
		return nil
	}
	w.grant = g
	return w.parked.Resume()
}

// kind is what is waited for.
type kind int

const (
	claim kind = iota // a connection
	short             // a short statement to be run
	kinds
)

// quantum is how many waiters of a client are served before it is the next one's turn. A client's short statements come in
// bundles, because their answers then leave in one write.
var quantum = [kinds]int{claim: 1, short: 16}

// lane holds the waiters of one client, oldest first.
type lane struct {
	client     uint64
	waiters    [kinds]fifo
	n          int
	next, prev *lane // in the ring of lanes
}

// fifo is a list of waiters.
type fifo struct{ first, last *waiter }

// queue holds waiters. They are served round robin over clients, so that one with many requests delays the others by a
// quantum of requests at a time. It is not safe for concurrent use.
type queue struct {
	clients map[uint64]*lane
	turns   [kinds]turn
	n       int        // of them
	waits   [kinds]int // of each kind
	free    *lane      // one to be used again
}

// turn says whose turn it is.
type turn struct {
	lane   *lane
	served int // of its quantum
}

func newQueue() queue { return queue{clients: map[uint64]*lane{}} }

func (q *queue) push(w *waiter) {
	l := q.clients[w.client]
	if l == nil {
		l = q.addLane(w.client)
	}
	f := &l.waiters[w.kind()]
	w.lane, w.prev, w.next = l, f.last, nil
	if f.last == nil {
		f.first = w
	} else {
		f.last.next = w
	}
	f.last = w
	l.n++
	q.n++
	q.waits[w.kind()]++
}

// addLane adds an empty lane at the end: in front of the one whose turn it is.
func (q *queue) addLane(client uint64) *lane {
	l := q.free
	if l == nil {
		l = new(lane)
	}
	q.free = nil
	l.client, l.next, l.prev = client, l, l
	if at := q.turns[claim].lane; at != nil {
		l.next, l.prev = at, at.prev
		l.prev.next, l.next.prev = l, l
	} else {
		for k := range q.turns {
			q.turns[k] = turn{lane: l}
		}
	}
	q.clients[client] = l
	return l
}

// remove takes a waiter out; it reports false if the waiter is not in the queue any more.
func (q *queue) remove(w *waiter) bool {
	l := w.lane
	if l == nil {
		return false
	}
	f := &l.waiters[w.kind()]
	if w.prev == nil {
		f.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		f.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.lane, w.next, w.prev = nil, nil, nil
	q.n--
	q.waits[w.kind()]--
	if l.n--; l.n == 0 {
		q.removeLane(l)
	}
	return true
}

func (q *queue) removeLane(l *lane) {
	for k := range q.turns {
		switch {
		case l.next == l:
			q.turns[k] = turn{}
		case q.turns[k].lane == l:
			q.turns[k] = turn{lane: l.next}
		}
	}
	l.prev.next, l.next.prev = l.next, l.prev
	delete(q.clients, l.client)
	q.free = l
}

// pop takes out the oldest waiter of a kind that fits, of the client whose turn it is; nil if none fits.
func (q *queue) pop(k kind, fits func(*waiter) bool) *waiter {
	t := &q.turns[k]
	for l, start := t.lane, t.lane; l != nil; {
		for w := l.waiters[k].first; w != nil; w = w.next {
			if !fits(w) {
				continue
			}
			if l != t.lane {
				*t = turn{lane: l}
			}
			if t.served++; t.served >= quantum[k] {
				*t = turn{lane: l.next}
			}
			q.remove(w)
			return w
		}
		if l = l.next; l == start {
			break
		}
	}
	return nil
}

// youngestOfLongest returns the waiter that came last of the client that has most of them.
func (q *queue) youngestOfLongest() *waiter {
	var longest *lane
	for _, l := range q.clients {
		if longest == nil || l.n > longest.n {
			longest = l
		}
	}
	if longest == nil {
		return nil
	}
	youngest := longest.waiters[claim].last
	if s := longest.waiters[short].last; youngest == nil || s != nil && s.since.After(youngest.since) {
		youngest = s
	}
	return youngest
}

// waiting returns how many waiters a client has.
func (q *queue) waiting(client uint64) int {
	if l := q.clients[client]; l != nil {
		return l.n
	}
	return 0
}

// oldest returns how long the waiter has waited that has waited longest; 0 if there is none.
func (q *queue) oldest(now time.Time) (age time.Duration) {
	for _, l := range q.clients {
		for _, k := range l.waiters {
			if k.first != nil {
				age = max(age, now.Sub(k.first.since))
			}
		}
	}
	return age
}

// each calls f with every waiter; f may remove it.
func (q *queue) each(f func(*waiter)) {
	for _, l := range q.clients {
		for _, k := range l.waiters {
			for w := k.first; w != nil; {
				next := w.next
				f(w)
				w = next
			}
		}
	}
}

// codel decides which waiters to turn away so that the others wait no longer than a target: the controlled-delay rule. While
// the oldest waiter has waited longer than the target for an interval, one is dropped, then more and more often.
type codel struct {
	target   time.Duration
	above    time.Time // since when, plus the interval, waits are above the target; zero if they are not
	dropping bool
	next     time.Time // of the drops
	count    int
}

const codelInterval = 100 * time.Millisecond

// drop reports whether to turn away a waiter that has waited for age.
func (c *codel) drop(now time.Time, age time.Duration) bool {
	if age < c.target {
		c.above, c.dropping = time.Time{}, false
		return false
	}
	if c.above.IsZero() {
		c.above = now.Add(codelInterval)
		return false
	}
	switch {
	case c.dropping && now.Before(c.next), !c.dropping && now.Before(c.above):
		return false
	case c.dropping:
		c.count++
	default:
		c.dropping = true
		if now.Sub(c.next) < codelInterval && c.count > 2 { // it was dropping a moment ago: go on where it stood
			c.count -= 2
		} else {
			c.count = 1
		}
		c.next = now
	}
	c.next = c.next.Add(time.Duration(float64(codelInterval) / math.Sqrt(float64(c.count))))
	return true
}
