package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/pgstore"
)

// What /readyz asks, besides the database and the cluster.

// serving is the check of the server itself: a load balancer is to send nobody to a server that stops.
func (s *Server) serving(context.Context) error {
	if s.stopping.Load() {
		return errors.New("it is stopping: only requests in flight are finished")
	}
	return nil
}

// longWait is how long a request may wait for a connection before the check of the pool says so.
const longWait = time.Second

// poolReady is the check of the pool. One with a queue is a server that is busy, not one that is out of use.
func (s *Server) poolReady(context.Context) error {
	p := s.store.PoolStatus()
	switch {
	case p.State == pgstore.PoolFailed:
		return errors.New("requests are refused at once, because there is no connection to PostgreSQL")
	case p.MaxQueue > 0 && p.Waiting() >= p.MaxQueue:
		return monitor.Impaired(fmt.Sprintf("the queue is full: %d requests wait", p.Waiting()))
	case p.OldestWait > longWait:
		return monitor.Impaired(fmt.Sprintf("%d requests wait for a connection, the oldest for %v", p.Waiting(), p.OldestWait.Round(time.Millisecond)))
	}
	return nil
}

// hooksReady is the readiness check. A plugin that is down does not take the server out of use.
func (s *Server) hooksReady(ctx context.Context) error {
	if err := s.hooks.Ready(ctx); err != nil {
		return err
	}
	if text := s.hooks.Impaired(); text != "" {
		return monitor.Impaired(text)
	}
	return nil
}
