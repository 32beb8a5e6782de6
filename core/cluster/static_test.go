package cluster_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/cluster"
)

// servers answer for PostgreSQL servers, which core/pgstore's own test asks.
type servers struct {
	mu  sync.Mutex
	say map[string]cluster.Probed // absent: no answer
}

func (s *servers) set(server string, p cluster.Probed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say[server] = p
}

func (s *servers) remove(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.say, server)
}

func (s *servers) probe(_ context.Context, server string) (cluster.Probed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.say[server]
	if !ok {
		return p, errors.New("connection refused")
	}
	return p, nil
}

func (s *servers) follow(t *testing.T, period time.Duration, names ...string) *follower {
	t.Helper()
	return follow(t, func(log *slog.Logger) cluster.Resolver {
		return &cluster.Static{Servers: names, Probe: s.probe, Period: period, Log: log}
	})
}

func TestStaticOne(t *testing.T) {
	t.Parallel()
	f := (&servers{}).follow(t, 0, "/var/run/postgresql:5432")
	f.want(t, "/var/run/postgresql:5432", 0)
	f.Doubt()
	f.none(t)
	if s := f.Status(); s.Kind != "static" || s.Since.IsZero() || s.Problem != "" {
		t.Errorf("status %+v", s)
	}
}

func TestStaticSeveral(t *testing.T) {
	t.Parallel()
	s := &servers{say: map[string]cluster.Probed{}}
	f := s.follow(t, 10*time.Millisecond, "a:1", "b:1", "c:1")
	f.await(t, "the lack of a primary is told", func(s cluster.Status) bool {
		return s.Problem == "none of the servers can be written to: a:1: connection refused; b:1: connection refused; c:1: connection refused"
	})
	s.set("a:1", cluster.Probed{Timeline: 1})
	f.await(t, "a is told to be read-only", func(s cluster.Status) bool {
		return strings.Contains(s.Problem, "a:1: it is read-only; b:1: connection refused")
	})
	s.set("b:1", cluster.Probed{Writable: true, Timeline: 1})
	f.want(t, "b:1", 1)

	s.remove("b:1") // it fails: until another is promoted nothing changes
	f.await(t, "the failure is told", func(s cluster.Status) bool { return s.Problem != "" })
	f.none(t)
	s.set("a:1", cluster.Probed{Writable: true, Timeline: 2})
	f.want(t, "a:1", 2)

	s.set("b:1", cluster.Probed{Writable: true, Timeline: 1}) // the old one comes back and does not know
	s.set("c:1", cluster.Probed{Writable: true, Timeline: 2})
	before := f.Status()
	s.remove("a:1")
	f.want(t, "c:1", 2) // not b, which is of the past
	if before.Topology.Primary != "a:1" {
		t.Errorf("%+v while two could be written to, want to stay", before)
	}
	s.remove("c:1")
	f.ignored(t, 1, "generation 1 is lower than 2")
	f.none(t)
}

// A doubt makes it look at once.
func TestStaticDoubt(t *testing.T) {
	t.Parallel()
	s := &servers{say: map[string]cluster.Probed{"a:1": {Writable: true, Timeline: 1}}}
	f := s.follow(t, time.Hour, "a:1", "b:1")
	f.want(t, "a:1", 1)
	s.set("a:1", cluster.Probed{Timeline: 1})
	s.set("b:1", cluster.Probed{Writable: true, Timeline: 2})
	f.Doubt()
	f.want(t, "b:1", 2)
}

// Servers that do not tell their timeline are followed as they are.
func TestStaticNoTimeline(t *testing.T) {
	t.Parallel()
	s := &servers{say: map[string]cluster.Probed{"a:1": {Writable: true}}}
	f := s.follow(t, 10*time.Millisecond, "a:1", "b:1")
	f.want(t, "a:1", 0)
	s.remove("a:1")
	s.set("b:1", cluster.Probed{Writable: true})
	f.want(t, "b:1", 0)
}
