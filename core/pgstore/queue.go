package pgstore

import (
	"container/list"
	"math"
	"time"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// use says for whom and for what a connection is wanted.
type use struct {
	client uint64
	bucket string
	find   bool
}

// waiter is one request that waits for a connection, or for its statement to be run by somebody else's.
type waiter struct {
	use
	since time.Time
	until time.Time
	// alone says that the pool had hardly a connection when the wait began: a timeout means that there is no database,
	// otherwise that there is too much work.
	noBackend bool

	// For a statement that may share a round trip; nil if the waiter wants a connection.
	statement *query.Statement
	row       func(object.Row) error
	rounds    int // how often its group was rolled back because of another member

	// done gets one value: a connection, or why there is none; for a statement, how it ended.
	done chan grant
	lane *lane
	at   *list.Element // in lane.waiters
}

type grant struct {
	conn *conn
	err  error
}

// lane holds the waiters of one client, oldest first.
type lane struct {
	waiters *list.List
	at      *list.Element // in queue.lanes
	client  uint64
}

// queue holds waiters. They are served round robin over clients, so that one with many requests delays the others by one
// request at a time. It is not safe for concurrent use.
type queue struct {
	lanes   *list.List // of *lane, the one to serve next first
	clients map[uint64]*lane
	n       int
}

func newQueue() queue {
	return queue{lanes: list.New(), clients: map[uint64]*lane{}}
}

func (q *queue) push(w *waiter) {
	l := q.clients[w.client]
	if l == nil {
		l = &lane{waiters: list.New(), client: w.client}
		l.at = q.lanes.PushBack(l)
		q.clients[w.client] = l
	}
	w.lane = l
	w.at = l.waiters.PushBack(w)
	q.n++
}

// remove takes a waiter out; it reports false if the waiter is not in the queue any more.
func (q *queue) remove(w *waiter) bool {
	if w.at == nil {
		return false
	}
	w.lane.waiters.Remove(w.at)
	w.at = nil
	q.n--
	if w.lane.waiters.Len() == 0 {
		q.lanes.Remove(w.lane.at)
		delete(q.clients, w.lane.client)
	}
	return true
}

// pop takes out the oldest waiter that fits of the client whose turn it is; nil if none fits.
func (q *queue) pop(fits func(*waiter) bool) *waiter {
	for l := q.lanes.Front(); l != nil; l = l.Next() {
		lane := l.Value.(*lane)
		for e := lane.waiters.Front(); e != nil; e = e.Next() {
			if w := e.Value.(*waiter); fits(w) {
				q.lanes.MoveToBack(l)
				q.remove(w)
				return w
			}
		}
	}
	return nil
}

// youngestOfLongest returns the waiter that came last of the client that has most of them.
func (q *queue) youngestOfLongest() *waiter {
	var longest *lane
	for l := q.lanes.Front(); l != nil; l = l.Next() {
		if lane := l.Value.(*lane); longest == nil || lane.waiters.Len() > longest.waiters.Len() {
			longest = lane
		}
	}
	if longest == nil {
		return nil
	}
	return longest.waiters.Back().Value.(*waiter)
}

// waiting returns how many waiters a client has.
func (q *queue) waiting(client uint64) int {
	if l := q.clients[client]; l != nil {
		return l.waiters.Len()
	}
	return 0
}

// each calls f with every waiter; f may remove it.
func (q *queue) each(f func(*waiter)) {
	for l := q.lanes.Front(); l != nil; {
		next := l.Next()
		for e := l.Value.(*lane).waiters.Front(); e != nil; {
			following := e.Next()
			f(e.Value.(*waiter))
			e = following
		}
		l = next
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
