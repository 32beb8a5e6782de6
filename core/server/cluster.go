package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/pgstore"
)

// Database is the store of a configuration, and what tells it which server is the primary.
type Database struct {
	*pgstore.Store
	Resolver cluster.Resolver
	// Follows says that the primary may change: there are several servers to choose from.
	Follows bool

	log *slog.Logger
}

// NewDatabase makes the database that a configuration names. The limits and metrics are those of p.
func NewDatabase(c *config.Config, p pgstore.Config) (*Database, error) {
	d := &Database{log: p.Log}
	p.URL, p.ReadOnly = login(c)
	p.Follow = c.Standalone == nil || len(c.Standalone.More) > 0
	p.Doubt = func() { d.Resolver.Doubt() }
	store, err := pgstore.New(p)
	if err != nil {
		return nil, err
	}
	d.Store, d.Follows = store, p.Follow
	switch {
	case c.Manatee != nil:
		d.Resolver = &cluster.Manatee{ZooKeeper: zooKeeper(c.Manatee), Path: c.Manatee.Path, Log: p.Log}
	case c.Patroni != nil:
		d.Resolver = &cluster.Patroni{ZooKeeper: zooKeeper(c.Patroni), Path: c.Patroni.Path, Log: p.Log}
	default:
		servers := store.Servers()
		if !d.Follows { // PGHOST may name several, but the original knows one
			servers = servers[:1]
		}
		d.Resolver = &cluster.Static{Servers: servers, Probe: d.probe, Log: p.Log}
	}
	if p.Metrics != nil && d.Follows {
		p.Metrics.MustRegister(cluster.Collector(d.Resolver))
	}
	return d, nil
}

// login returns how to log in, and whether a server will do that cannot be written to.
func login(c *config.Config) (connString string, readOnly bool) {
	if c.Standalone != nil {
		return c.Standalone.ConnString(), c.Standalone.ReadOnly
	}
	found := c.Manatee
	if found == nil {
		found = c.Patroni
	}
	u := *found.Login
	u.Host = "primary.invalid" // stands for a server that is not known yet; with a directory of sockets there would be no TLS
	return u.ConnString(), u.ReadOnly
}

func zooKeeper(c *config.Cluster) cluster.ZooKeeper {
	return cluster.ZooKeeper{Servers: c.Servers, SessionTimeout: c.SessionTimeout, RetryDelay: c.SpinDelay}
}

func (d *Database) probe(ctx context.Context, server string) (cluster.Probed, error) {
	writable, timeline, err := d.Probe(ctx, server)
	return cluster.Probed{Writable: writable, Timeline: timeline}, err
}

// Watch follows the primary until ctx ends. changed is called before and after each change.
func (d *Database) Watch(ctx context.Context, changed func()) error {
	return d.Resolver.Watch(ctx, func(t cluster.Topology) {
		changed()
		if err := d.SetPrimary(t.Primary, t.Generation); err != nil {
			d.log.Error("the primary cannot be used", "err", err)
		}
		changed()
	})
}

// check returns why there is no primary, or nil.
func (d *Database) check(context.Context) error {
	s := d.Resolver.Status()
	switch {
	case s.Primary != "":
		return nil
	case s.Problem != "":
		return fmt.Errorf("no primary is known: %s: %s", s.Source, s.Problem)
	}
	return fmt.Errorf("no primary is known: no answer from %s yet", s.Source)
}

// object is the status of the resolver for kang.
func (d *Database) object() monitor.Objects {
	return monitor.Objects{Type: "cluster", ByID: map[string]jsvalue.Value{"primary": printed(d.Resolver.Status())}}
}

// Connect runs the database of a configuration for a command: it returns when the primary is known, and can be connected to. stop
// ends it.
func Connect(ctx context.Context, c *config.Config, p pgstore.Config) (d *Database, stop func(), err error) {
	if d, err = NewDatabase(c, p); err != nil {
		return nil, nil, err
	}
	known := make(chan struct{}, 1)
	stopResolver := start(ctx, func(error) {}, "cluster", func(ctx context.Context) error {
		return d.Watch(ctx, func() {
			select {
			case known <- struct{}{}:
			default:
			}
		})
	})
	stopStore := start(ctx, func(error) {}, "database", d.Run)
	stop = func() { errors.Join(stopStore(), stopResolver()) } //nolint:errcheck // because a command has its result then
	for err := d.check(ctx); err != nil; err = d.check(ctx) {
		select {
		case <-known:
		case <-ctx.Done():
			stop()
			return nil, nil, err
		}
	}
	if err := d.Reach(ctx); err != nil {
		stop()
		return nil, nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return d, stop, nil
}
