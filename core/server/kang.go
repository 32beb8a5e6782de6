package server

import (
	"errors"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/object"
)

// slowRequests adapts what the journal keeps to what the monitor shows.
func (s *Server) slowRequests() []monitor.SlowRequest {
	var all []monitor.SlowRequest
	for _, d := range s.journal.Slow() {
		spent := d.Trail.Spent
		all = append(all, monitor.SlowRequest{
			Time: d.Began, ID: d.Request, Method: d.Method, Bucket: d.Bucket, Client: d.Client, Duration: d.Took,
			Phases: monitor.Phases{Queue: spent[object.Queue], SQL: spent[object.SQL], Hooks: spent[object.Hooks]},
			SQL:    d.Trail.Slowest.Text, Error: d.ErrorName(),
		})
	}
	return all
}

// kang adapts what the RPC server is doing to what the monitor shows.
func (s *Server) kang() monitor.Snapshot {
	shot := s.fast.Snapshot()
	out := monitor.Snapshot{Stats: monitor.Stats{
		ConnectionsActive:  uint64(shot.Stats.ConnectionsActive),
		IgnoredAborts:      shot.Stats.AbortsIgnored,
		ConnectionsCreated: shot.Stats.ConnectionsCreated,
		RequestsStarted:    shot.Stats.RequestsStarted,
		RequestsCompleted:  shot.Stats.RequestsCompleted,
		RequestsFailed:     shot.Stats.RequestsFailed,
	}}
	for _, c := range shot.Connections {
		conn := monitor.Connection{
			ID: c.ID, Local: c.Local, Remote: c.Remote, Started: c.Started, Completed: c.Completed, Failed: c.Failed,
			Draining: c.Draining, Accepted: c.Accepted,
		}
		if broken := (*fast.ProtocolError)(nil); errors.As(c.Err, &broken) {
			conn.ErrorServer = c.Err
		} else {
			conn.ErrorSocket = c.Err
		}
		out.Connections = append(out.Connections, conn)
	}
	for _, r := range shot.Requests {
		out.Requests = append(out.Requests, monitor.Request{
			Conn: r.Conn, ID: r.ID, Method: r.Method, Args: r.Args, Blackholed: r.Blackholed, Started: r.Started,
		})
	}
	buckets, jobs := s.overview.objects(s.reconciler.Status())
	out.Others = []monitor.Objects{s.store.object(), poolObject(s.store.PoolStatus()), buckets, jobs}
	if s.hooks != nil {
		out.Others = append(out.Others, monitor.Objects{Type: "plugin", ByID: s.hooks.Kang()})
	}
	return out
}
