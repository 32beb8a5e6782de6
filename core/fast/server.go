package fast

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kaizengarden/moray/core/strand"
)

// Server serves requests over the connections of a listener. Its exported fields must not change once it runs. The zero
// Server with a Handler is ready to run.
type Server struct {
	Handler Handler
	Limits  Limits
	// Log gets the records of component "fast"; nil is silence.
	Log   *slog.Logger
	Trace *Trace // optional
	// Admit says whether to serve a connection; nil serves all. Nothing was read from it.
	Admit func(remote net.Addr) bool
	// Identify says who the client of a connection is, once, before its first request; nil for nobody. If the connection is
	// encrypted the handshake is done.
	Identify func(nc net.Conn) any
	// Inline says whether a request is served by the goroutine that reads from its connection. Its handler must not wait but by
	// parking, or after [strand.Strand.Detach]. nil says so of none.
	Inline func(r *Request) bool

	once sync.Once
	room *semaphore.Weighted // for large payloads; set by the first Run

	mu     sync.Mutex // guards what follows; taken before the mu of a conn
	conns  map[uint64]*conn
	lastID uint64
	past   Stats // of connections that are gone
}

// Limits bound what clients can make a server hold. Zero stands for the default.
type Limits struct {
	// FrameBytes is the longest payload of a message; default 64 MiB. A longer one ends the connection.
	FrameBytes int
	// InFlight is the number of requests of one connection that may be pending, standing ones apart; default 4096. Beyond
	// it, and beyond the next two, the server does not read from the connection.
	InFlight int
	// InFlightBytes is the number of bytes that the payloads of one connection's pending requests may have together;
	// default FrameBytes. A single request is always taken.
	InFlightBytes int
	// LargeBytes is the number of bytes that the payloads of all pending requests of all connections may have together, each
	// counted that is longer than 64 KiB; default twice FrameBytes, and never less than FrameBytes. For one that is too many
	// the server waits before it reads it, and does not wait longer than a minute for its end.
	LargeBytes int
	// UnsentBytes is the number of bytes of answers that may wait for one connection; default 1 MiB. Beyond it sending
	// waits. One answer more is always taken.
	UnsentBytes int
	// WriteTimeout is how long a client may accept nothing of what is sent to it; default 30 s. Then, and at the latest
	// after twice that time, it is disconnected.
	WriteTimeout time.Duration
	// Grace is how long requests may go on when the server stops; default 10 s.
	Grace time.Duration
}

func (l Limits) withDefaults() Limits {
	l.FrameBytes = cmp.Or(l.FrameBytes, 64<<20)
	l.InFlight = cmp.Or(l.InFlight, 4096)
	l.InFlightBytes = cmp.Or(l.InFlightBytes, l.FrameBytes)
	l.LargeBytes = cmp.Or(l.LargeBytes, 2*l.FrameBytes)
	l.UnsentBytes = cmp.Or(l.UnsentBytes, 1<<20)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 30*time.Second)
	l.Grace = cmp.Or(l.Grace, 10*time.Second)
	return l
}

// ErrCutOff says that requests were still running at the end of the grace period.
var ErrCutOff = errors.New("requests were cut off at the end of the grace period")

var errShutdown = errors.New("the server shuts down")

// Run accepts connections from ln and serves them until ctx ends. Then it closes ln at once, lets the requests that it has
// received finish, up to the grace period, sends their answers, and closes the connections. It returns when everything
// that it started has ended, which takes a handler that does not heed its context as long as that takes.
//
// The error is nil after a clean stop, [ErrCutOff] if requests did not finish, or says that ln was closed by someone else.
// Run may be called for several listeners.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	limits := s.Limits.withDefaults()
	s.once.Do(func() { s.room = newRoom(&limits) })
	log := s.logger()
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()

	var conns sync.WaitGroup
	strands := new(strand.Pool)
	defer strands.Close() // after the connections, which wait for their requests
	err := s.accept(ctx, ln, log, func(nc net.Conn) {
		if s.Admit != nil && !s.Admit(nc.RemoteAddr()) {
			log.Warn("connection refused: its network is not admitted", "client", nc.RemoteAddr().String())
			nc.Close() //nolint:errcheck // because nothing was sent
			return
		}
		c := s.open(nc, limits, log, work)
		c.strands = strands
		conns.Go(func() {
			defer s.forget(c)
			c.run()
		})
	})

	log.Info("shutting down")
	s.each(work, (*conn).stop)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conns.Wait()
	}()
	grace := time.NewTimer(limits.Grace)
	defer grace.Stop()
	select {
	case <-ended:
		return err
	case <-grace.C:
	}
	cut()
	s.each(work, func(c *conn) { c.drop(errShutdown) })
	<-ended
	return errors.Join(err, ErrCutOff)
}

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log.With("component", "fast")
}

// accept passes the connections of ln to serve until ctx ends, and closes ln.
func (s *Server) accept(ctx context.Context, ln net.Listener, log *slog.Logger, serve func(net.Conn)) error {
	open, done := context.WithCancel(ctx)
	var closer sync.WaitGroup
	closer.Go(func() {
		<-open.Done()
		ln.Close()
	})
	defer closer.Wait()
	defer done()

	const longest = time.Second
	for delay := time.Duration(0); ; {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			delay = 0
			keepAlive(nc)
			serve(nc)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept a connection: %w", err)
		default: // most likely out of file descriptors
			delay = min(max(2*delay, 5*time.Millisecond), longest)
			log.Warn("cannot accept a connection", "err", err, "retry_in", delay)
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
		}
	}
}

// keepAlive makes the system notice within a minute that a client has vanished.
func keepAlive(nc net.Conn) {
	if tcp, ok := socketOf(nc).(*net.TCPConn); ok {
		// An error means that the connection has ended, which reading from it will tell.
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 3})
	}
}

// maxConnID is the number at which the original starts again.
const maxConnID = 1 << 30

// open makes a connection of nc and lists it.
func (s *Server) open(nc net.Conn, limits Limits, log *slog.Logger, work context.Context) *conn {
	c := &conn{
		server:   s,
		limits:   limits,
		remote:   nc.RemoteAddr().String(),
		work:     work,
		accepted: time.Now(),
		gone:     make(chan struct{}),
		pending:  map[uint32]*Request{},
	}
	c.init(nc, limits.WriteTimeout)

	s.mu.Lock()
	defer s.mu.Unlock()
	for taken := true; taken; _, taken = s.conns[s.lastID] {
		s.lastID = s.lastID%maxConnID + 1
	}
	c.id = s.lastID
	c.log = log.With("connId", c.id, "client", c.remote)
	if s.conns == nil {
		s.conns = map[uint64]*conn{}
	}
	s.conns[c.id] = c
	return c
}

// forget removes a connection that has ended from the list.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c.id)
	s.past.add(c.counts())
	s.past.ConnectionsCreated++
}

// each calls f for the connections of one Run.
func (s *Server) each(work context.Context, f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.work == work {
			f(c)
		}
	}
}
