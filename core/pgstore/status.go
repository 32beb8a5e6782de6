package pgstore

import (
	"maps"
	"time"
)

// PoolStatus is what the pool of connections is like at one moment.
type PoolStatus struct {
	ID      string // a UUID, another one at each start
	State   string
	Primary string // host:port, or the directory of a socket; "" while it is not known
	// Problem is why the last attempt to connect failed; "" if none did since the last that succeeded.
	Problem string

	MaxConnections, MinSpare int
	MaxQueue                 int // negative for no limit
	Idle, Busy, Connecting   int
	Retired                  int // in use still, to servers that were the primary before
	Own                      int // not the pool's to hand out: listens, and changes of buckets

	WaitingClaims     int // requests that wait for a connection
	WaitingStatements int // requests that wait for a round trip that carries their statement
	WaitingClients    int
	OldestWait        time.Duration

	Held   map[string]int    // connections in use for a bucket, by its name
	Events map[string]uint64 // what went wrong with connections, by the original's names
}

// Waiting returns how many requests wait.
func (s *PoolStatus) Waiting() int { return s.WaitingClaims + s.WaitingStatements }

// The states of the pool.
const (
	PoolConnecting = "connecting" // there is no connection, and requests wait for one
	PoolRunning    = "running"
	PoolFailed     = "failed" // there is no database: requests are refused at once
	PoolStopped    = "stopped"
)

// PoolStatus returns what the pool is like. It does not wait for anything.
func (s *Store) PoolStatus() PoolStatus {
	status := s.pool.status(time.Now())
	status.ID = s.pool.metrics.pool
	status.Events = make(map[string]uint64, events)
	for i, name := range eventNames {
		status.Events[name] = s.pool.metrics.events[i].Load()
	}
	return status
}

func (p *pool) status(now time.Time) PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PoolStatus{
		State:          PoolRunning,
		MaxConnections: p.limits.MaxConnections, MinSpare: p.limits.MinSpare, MaxQueue: p.limits.MaxQueue,
		Idle: len(p.idle), Busy: len(p.conns) - len(p.idle), Connecting: p.connecting(), Retired: len(p.retired), Own: len(p.own),
		WaitingClaims: p.queue.waits[claim], WaitingStatements: p.queue.waits[short], WaitingClients: len(p.queue.clients),
		OldestWait: p.queue.oldest(now),
		Held:       maps.Clone(p.held),
	}
	switch {
	case p.closed:
		s.State = PoolStopped
	case p.failed:
		s.State = PoolFailed
	case len(p.conns) == 0:
		s.State = PoolConnecting
	}
	if p.primary != nil {
		s.Primary = p.primary.address
	}
	if p.failure != nil {
		s.Problem = p.failure.Error()
	}
	return s
}
