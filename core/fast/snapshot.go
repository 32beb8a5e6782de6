package fast

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Snapshot is what a server is doing at one moment, as the kang endpoint shows it.
type Snapshot struct {
	Stats       Stats
	Connections []ConnectionState // by number
	Requests    []RequestState    // pending ones, by connection and id
}

// Stats are counts since the server's start. Messages behind one that ends a connection are never decoded, so nothing is
// counted for them.
type Stats struct {
	ConnectionsActive  int // open ones, and lost ones whose handlers still run
	ConnectionsCreated uint64
	AbortsIgnored      uint64 // messages that asked to abort a request
	RequestsStarted    uint64 // those without a method or with an unknown one included
	RequestsCompleted  uint64 // ended in either way
	RequestsFailed     uint64 // ended with an error
	BytesReceived      uint64
	BytesSent          uint64
}

// ConnectionState is one connection.
type ConnectionState struct {
	ID                         uint64
	Local, Remote              net.Addr
	Started, Completed, Failed uint64 // requests, as in [Stats]
	Draining                   bool   // no more requests come; those pending are answered
	Err                        error  // why the connection was lost, nil while it was not; often a *[ProtocolError]
	Accepted                   time.Time
}

// RequestState is one pending request.
type RequestState struct {
	Conn       uint64
	ID         uint32
	Method     string
	Args       jsvalue.Value // an array; of very long arguments only a remark
	Blackholed bool          // the connection was lost: the answer goes nowhere
	Started    time.Time
}

// maxSnapshotArgs is the length in bytes up to which arguments are shown.
const maxSnapshotArgs = 64 << 10

// Snapshot returns what the server is doing. It may be called at any time.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	shot := Snapshot{Stats: s.past}
	shot.Stats.ConnectionsActive = len(s.conns)
	shot.Stats.ConnectionsCreated += uint64(len(s.conns))
	for _, c := range s.conns {
		c.snapshot(&shot)
	}
	slices.SortFunc(shot.Connections, func(a, b ConnectionState) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(shot.Requests, func(a, b RequestState) int {
		return cmp.Or(cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.ID, b.ID))
	})
	return shot
}

// Stats returns the counts alone. It may be called at any time.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.past
	stats.ConnectionsActive = len(s.conns)
	stats.ConnectionsCreated += uint64(len(s.conns))
	for _, c := range s.conns {
		c.mu.Lock()
		stats.add(c.counts())
		c.mu.Unlock()
	}
	return stats
}

// counts returns what the connection has counted. mu is held, or the connection has ended.
func (c *conn) counts() *Stats {
	stats := c.stats
	stats.BytesReceived, stats.BytesSent = c.received.Load(), c.sent.Load()
	return &stats
}

// snapshot adds the connection to shot.
func (c *conn) snapshot(shot *Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shot.Stats.add(c.counts())
	shot.Connections = append(shot.Connections, ConnectionState{
		ID:        c.id,
		Local:     c.nc.LocalAddr(),
		Remote:    c.nc.RemoteAddr(),
		Started:   c.stats.RequestsStarted,
		Completed: c.stats.RequestsCompleted,
		Failed:    c.stats.RequestsFailed,
		Draining:  c.draining,
		Err:       c.err,
		Accepted:  c.accepted,
	})
	for _, r := range c.pending {
		args := r.envelope.D
		if len(args) <= maxSnapshotArgs {
			args = slices.Clone(args)
		} else {
			args = fmt.Appendf(nil, `["%d bytes"]`, len(args))
		}
		shot.Requests = append(shot.Requests, RequestState{
			Conn:       c.id,
			ID:         r.ID,
			Method:     r.Method,
			Args:       args,
			Blackholed: c.err != nil,
			Started:    r.started,
		})
	}
}

// add adds what one connection has counted.
func (s *Stats) add(c *Stats) {
	s.AbortsIgnored += c.AbortsIgnored
	s.RequestsStarted += c.RequestsStarted
	s.RequestsCompleted += c.RequestsCompleted
	s.RequestsFailed += c.RequestsFailed
	s.BytesReceived += c.BytesReceived
	s.BytesSent += c.BytesSent
}
