// Package server joins the parts of moray to a server: configuration in, [Server.Run] until the context ends. It can be used by
// other programs; cmd/moray is one of them.
//
// Parts start in the order monitor, cluster, hooks, database, definitions, reindexing, listener, and stop in the reverse order: what is used stops
// after its users.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/reconcile"
	"github.com/kaizengarden/moray/core/rpc"
	"github.com/kaizengarden/moray/core/tracing"
)

// Server is one moray server. Make it with [New].
type Server struct {
	config  *config.Config
	options Options
	log     *slog.Logger
	store   *Database
	buckets *bucket.Service
	hooks   Hooks // nil if there are none
	fast    *fast.Server
	monitor *monitor.Monitor
	journal *rpc.Journal
	tracer  *tracing.Tracer // nil if there are no traces
	gate    access.Gate     // of the RPC server
	watcher access.Gate     // of the monitor

	overview *overview
	stopping atomic.Bool // it was told to end

	cleanUpAgain chan struct{} // capacity 1

	reconciler *reconcile.Reconciler
	reindexer  *reconcile.Reindexer
}

// Options are what a configuration file does not say. All are optional.
type Options struct {
	Log      *slog.Logger
	LogLevel monitor.LogLevel // of Log, if the monitor is to show and change it
	Version  string           // of the program; "devel" without one
	Profiles bool             // whether the monitor serves profiles of the process
	// RPC and Monitor are listeners to use instead of opening the configured ports. Run closes them.
	RPC, Monitor net.Listener
	// Hooks makes what runs the hooks of buckets. Without it the server refuses buckets that have any.
	Hooks func(HookSettings) (Hooks, error)
	// Ready is called once clients can connect. PostgreSQL need not be reachable then: see the readiness check of the monitor.
	Ready func(Addresses)
}

// Addresses are where a server listens.
type Addresses struct {
	RPC     net.Addr
	Monitor net.Addr // nil if there is no monitor
}

// New makes a server. Nothing is opened before Run.
func New(c *config.Config, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find out the host's name: %w", err)
	}
	registerer, gatherer := monitor.NewRegistry(monitor.Labels{
		Datacenter: c.Datacenter, Server: c.ServerUUID, Zonename: host, PID: os.Getpid(), Service: c.ServiceName,
	})
	limits := poolLimits(c)
	store, err := NewDatabase(c, pgstore.Config{Limits: limits, Log: o.Log, Metrics: registerer})
	if err != nil {
		return nil, err
	}
	buckets := &bucket.Service{Store: store, Cache: &bucket.Cache{}}
	objects := &object.Service{Store: store, Buckets: buckets.Cache}
	handler := &rpc.Handler{
		Buckets:  buckets,
		Objects:  objects,
		Database: store,
		Log:      o.Log,
	}
	s := &Server{config: c, options: o, log: o.Log, store: store, buckets: buckets, cleanUpAgain: make(chan struct{}, 1)}
	checks := []monitor.Check{
		{Name: "server", Run: s.serving}, {Name: "postgresql", Run: store.Check}, {Name: "pool", Run: s.poolReady},
	}
	s.journal = &rpc.Journal{Log: o.Log, Audit: o.Log.With("component", "audit")}
	handler.Journal = s.journal
	if err := s.Reconfigure(c); err != nil {
		return nil, err
	}
	if c.Tracing != nil {
		s.tracer, err = tracing.New(tracing.Config{
			Endpoint: c.Tracing.Endpoint, Sample: c.Tracing.Sample, Version: o.Version, Instance: c.ServerUUID, Host: host,
			Datacenter: c.Datacenter, Log: o.Log,
		})
		if err != nil {
			return nil, err
		}
		s.journal.Tracer = s.tracer
	}
	if store.Follows {
		checks = append(checks, monitor.Check{Name: "cluster", Run: store.check})
	}
	if o.Hooks != nil {
		if s.hooks, err = o.Hooks(HookSettings{MessageBytes: c.Fast.MaxFrameBytes, Log: o.Log, Metrics: registerer}); err != nil {
			return nil, fmt.Errorf("hooks: %w", err)
		}
		buckets.Triggers, objects.Triggers = s.hooks, s.hooks
		checks = append(checks, monitor.Check{Name: "hooks", Run: s.hooksReady})
	}
	s.reconciler = s.newReconciler(host, registerer)
	s.reindexer = s.newReindexer(host, registerer)
	if c.Reconcile.Mode != reconcile.ModeOff {
		checks = append(checks, monitor.Check{Name: "buckets", Run: s.definitionsReady})
	}
	s.fast = &fast.Server{
		Handler:  handler,
		Limits:   fastLimits(c, limits),
		Log:      o.Log,
		Admit:    s.gate.Admits,
		Identify: func(nc net.Conn) any { return s.gate.Identify(nc) },
		Trace:    &fast.Trace{RequestDone: rpc.NewMetrics(registerer, monitor.LatencyBounds()).RequestDone},
		Inline:   rpc.Inline,
	}
	s.overview = newOverview(store)
	build := monitor.ReadBuild(cmp.Or(o.Version, "devel"))
	s.register(registerer, build)
	s.monitor = &monitor.Monitor{
		Hostname: host, PID: os.Getpid(), Started: time.Now(), Metrics: gatherer, Kang: s.kang, Log: o.Log,
		Checks: checks, Profiles: o.Profiles, LogLevel: o.LogLevel, Slow: s.slowRequests,
	}
	return s, nil
}

func poolLimits(c *config.Config) pgstore.Limits {
	l := pgstore.Limits{
		MaxConnections: c.Pool.MaxConnections,
		MinSpare:       c.Pool.MinSpareConnections,
		MaxQueue:       c.Pool.MaxQueueLength,
		ClaimDelay:     c.Pool.TargetClaimDelay,
		ConnectTimeout: c.Pool.ConnectTimeout,
		CheckInterval:  c.Pool.CheckInterval,
		QueryTimeout:   c.Pool.QueryTimeout,
	}
	if l.MaxQueue == 0 {
		l.MaxQueue = -1
	}
	return l
}

// fastLimits lets one connection have more requests in flight than the pool has places for: a client with too many is told so
// by the pool, not held back by its connection.
func fastLimits(c *config.Config, pool pgstore.Limits) fast.Limits {
	const beyond = 64
	return fast.Limits{
		FrameBytes:   c.Fast.MaxFrameBytes,
		InFlight:     max(c.Fast.MaxInFlight, pool.MaxQueue+pool.MaxConnections+beyond),
		UnsentBytes:  c.Fast.UnsentBytes,
		WriteTimeout: c.Fast.WriteTimeout,
		Grace:        c.Grace,
	}
}

// Run serves until ctx ends; then it lets the requests in flight finish, up to the grace period. It returns when everything
// that it started has ended. The error is nil after such an end.
func (s *Server) Run(ctx context.Context) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	for _, method := range rpc.Methods() {
		s.log.Info("registered RPC method", "component", "fast", "rpcmethod", method)
	}
	return s.serve(ctx, l)
}

// serve runs the parts. A part that ends by itself ends the server.
func (s *Server) serve(ctx context.Context, l listeners) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	defer context.AfterFunc(ctx, func() { s.stopping.Store(true) })()

	var addresses Addresses
	var stops []func() error
	begin := func(part string, run func(context.Context) error) { stops = append(stops, start(ctx, fail, part, run)) }
	if l.monitor != nil {
		addresses.Monitor = l.monitor.Addr()
		begin("monitor", func(ctx context.Context) error { return s.monitor.Run(ctx, l.monitor) })
	}
	if s.tracer != nil {
		begin("tracing", s.tracer.Run)
	}
	begin("cluster", func(ctx context.Context) error { return s.store.Watch(ctx, s.primaryChanged) })
	if s.hooks != nil {
		begin("hooks", s.hooks.Run)
	}
	stopStore := sync.OnceValue(start(ctx, fail, "database", s.store.Run))
	stops = append(stops, stopStore)
	begin("watch of bucket definitions", func(ctx context.Context) error {
		return s.store.WatchBuckets(ctx, func(name string) {
			s.buckets.Cache.Forget(name)
			s.noticeDefinitions()
		}, s.buckets.Cache.Purge)
	})
	begin("clean-up after unfinished updates", s.cleanUp)
	begin("definitions of buckets", s.reconciler.Run)
	begin("reindexing", s.reindexer.Run)
	begin("overview of buckets", s.overview.run)

	addresses.RPC = l.rpc.Addr()
	s.log.Info("Moray listening on port "+portOf(l.rpc), "address", addressOf(l.rpc))
	if s.options.Ready != nil {
		s.options.Ready(addresses)
	}
	served := make(chan struct{})
	var cut sync.WaitGroup
	cut.Go(func() { s.cutOff(ctx, served, stopStore) })
	err := s.serveClients(ctx, fail, l)
	close(served)
	cut.Wait()
	for _, stop := range slices.Backward(stops) {
		err = errors.Join(err, stop())
	}
	return err
}

// cutOff stops the database when the grace period is over, unless all is served by then: requests that are at PostgreSQL end only with
// their connections.
func (s *Server) cutOff(ctx context.Context, served <-chan struct{}, stopStore func() error) {
	<-ctx.Done() // which also comes when the listeners fail
	select {
	case <-served:
	case <-time.After(s.config.Grace):
		stopStore() //nolint:errcheck // because it is asked again, and says the same
	}
}

// serveClients answers requests until ctx ends, or a listener fails.
func (s *Server) serveClients(ctx context.Context, fail func(error), l listeners) error {
	var socket sync.WaitGroup
	var socketErr error
	if l.socket != nil {
		s.log.Info("Moray listening on socket " + s.config.Access.Socket)
		socket.Go(func() {
			if socketErr = s.serveFast(ctx, l.socket); socketErr != nil {
				fail(socketErr)
			}
		})
	}
	err := s.serveFast(ctx, l.rpc)
	if err != nil {
		fail(err)
	}
	socket.Wait()
	return errors.Join(err, socketErr)
}

// serveFast answers requests over the connections of a listener until ctx ends.
func (s *Server) serveFast(ctx context.Context, ln net.Listener) error {
	err := s.fast.Run(ctx, ln)
	if errors.Is(err, fast.ErrCutOff) {
		s.log.Warn("shutdown: " + err.Error())
		return nil
	}
	return err
}

// primaryChanged forgets what was read from another primary: what tells a definition's generation may mean something else on this
// one. What was left unfinished there is looked for here.
func (s *Server) primaryChanged() {
	s.buckets.Cache.Purge()
	s.noticeDefinitions()
	select {
	case s.cleanUpAgain <- struct{}{}:
	default:
	}
}

// cleanUpPause is how long the clean-up waits for a database that is not there.
const cleanUpPause = 5 * time.Second

// cleanUp removes, at the start and after each change of the primary, what updates of buckets left behind that ended before they
// were done.
func (s *Server) cleanUp(ctx context.Context) error {
	for {
		again := (<-chan time.Time)(nil)
		if err := s.buckets.CleanUp(ctx); err != nil {
			s.log.Debug("clean-up after unfinished updates has to wait", "err", err)
			again = time.After(cleanUpPause)
		}
		select {
		case <-again:
		case <-s.cleanUpAgain:
		case <-ctx.Done():
			return nil
		}
	}
}

// start runs a part until the function that it returns is called, which waits for the part's end. It outlives ctx, because the
// parts that use it may; if it ends by itself, fail tells the others.
func start(ctx context.Context, fail func(error), name string, run func(context.Context) error) (stop func() error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		err := run(own)
		if own.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			fail(fmt.Errorf("%s: %w", name, err))
		}
		ended <- err
	}()
	return func() error {
		cancel()
		if err := <-ended; err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
}

func portOf(ln net.Listener) string {
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return ln.Addr().String()
	}
	return port
}

// addressOf is the listener's address as the original logs it.
func addressOf(ln net.Listener) slog.Value {
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return slog.StringValue(ln.Addr().String())
	}
	family := "IPv4"
	if tcp.IP.To4() == nil {
		family = "IPv6"
	}
	return slog.GroupValue(slog.String("address", tcp.IP.String()), slog.String("family", family), slog.Int("port", tcp.Port))
}
