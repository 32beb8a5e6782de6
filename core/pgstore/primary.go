package pgstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// drainTime is how long statements that were sent to a server may go on after it has stopped being the primary. A server that is
// told so ends them itself; one that is not told, or frozen, would never.
const drainTime = 900 * time.Millisecond

var (
	// errSuperseded is why a connection cannot be used after another server has become the primary.
	errSuperseded = errors.New("another server is the primary now")
	// errUnsent is in the chain of an error after which it is certain that nothing was sent, so nothing was done.
	errUnsent = errors.New("nothing was sent")
	// errNotWritable is why a server is not used that is in recovery, or that refuses writes.
	errNotWritable = errors.New("the server cannot be written to")
)

// primary is a server, and the time that it is the primary. Each connection has the one that it was made for; one that has ended
// never begins again, even if the server becomes the primary once more.
type primary struct {
	address string // host:port
	config  *pgconn.Config

	// over ends when another one begins, and attempts to connect with it.
	over context.Context
	end  context.CancelFunc
	// gone is set when over ends. Nothing is sent from then on.
	gone atomic.Bool

	// These are guarded by the pool's lock.
	generation uint64
	connecting int
}

func newPrimary(address string, generation uint64, config *pgconn.Config) *primary {
	over, end := context.WithCancel(context.Background())
	return &primary{address: address, generation: generation, config: config, over: over, end: end}
}

// SetPrimary says which server is to be used: its address, host:port, and a number that grows with each change. Connections to
// another one are not used any more: idle ones are closed; statements that were sent are waited for, for a second at most, and
// nothing more is sent. A lower generation than one before is ignored. It does not block.
func (s *Store) SetPrimary(address string, generation uint64) error {
	config, err := s.configFor(address)
	if err != nil {
		return fmt.Errorf("address of the primary %q: %w", address, err)
	}
	s.pool.setPrimary(newPrimary(address, generation, config))
	return nil
}

// Primary returns which server is used, "" for none, and its generation.
func (s *Store) Primary() (address string, generation uint64) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.pool.primary == nil {
		return "", 0
	}
	return s.pool.primary.address, s.pool.primary.generation
}

// setPrimary makes next the primary.
func (p *pool) setPrimary(next *primary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.primary
	switch {
	case was == nil:
	case next.generation < was.generation:
		return
	case next.address == was.address:
		was.generation = next.generation
		return
	}
	p.replace(next)
}

// replace puts next in the place of the primary. The caller holds the lock.
func (p *pool) replace(next *primary) {
	if was := p.primary; was != nil {
		was.gone.Store(true)
		was.end()
	}
	p.primary = next
	for _, c := range p.idle {
		delete(p.conns, c)
		p.workers.Go(c.close)
	}
	p.idle = nil
	until := time.Now().Add(drainTime)
	for c := range p.conns {
		p.retired[c] = until
	}
	for c := range p.own {
		p.retired[c] = until
	}
	clear(p.conns)
	clear(p.own)
	// What the retired connections are used for does not count any more.
	clear(p.held)
	p.finds, p.quickConns = 0, 0
	p.failures, p.failed, p.nextAttempt = 0, false, time.Time{}
	p.notify()
}

// poison gives up all connections to a server that turned out not to be writable: it has stopped being the primary, or is not yet.
// New ones are made once it is writable, or another one is named. The caller holds the lock.
func (p *pool) poison(at *primary) {
	if at != p.primary {
		return
	}
	p.log.Warn("the primary cannot be written to", "primary", at.address, "generation", at.generation)
	p.metrics.event(notWritable)
	p.replace(newPrimary(at.address, at.generation, at.config))
	p.doubt()
}

// connecting returns how many attempts to connect are under way. The caller holds the lock.
func (p *pool) connecting() int {
	if p.primary == nil {
		return 0
	}
	return p.primary.connecting
}

// cutRetired closes the connections whose time to end is up. The caller holds the lock.
func (p *pool) cutRetired(now time.Time) {
	for c, until := range p.retired {
		if now.After(until) {
			c.net.Close() //nolint:errcheck // because its user notices and releases it
			delete(p.retired, c)
		}
	}
}

// configFor returns what it takes to connect to a server: what the URL says, but for the host.
func (s *Store) configFor(address string) (*pgconn.Config, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	config := s.config.Copy()
	config.Host, config.Port = host, uint16(number)
	setServerName(config.TLSConfig, host)
	// Another attempt at the same server, with TLS or without, is the only kind of fallback.
	var fallbacks []*pgconn.FallbackConfig
	for _, f := range config.Fallbacks {
		if f.Host == s.config.Host && f.Port == s.config.Port {
			setServerName(f.TLSConfig, host)
			fallbacks = append(fallbacks, &pgconn.FallbackConfig{Host: host, Port: config.Port, TLSConfig: f.TLSConfig})
		}
	}
	config.Fallbacks = fallbacks
	return config, nil
}

// setServerName makes TLS expect the host's certificate, as libpq does: addresses are not sent to the server, but checked.
func setServerName(c *tls.Config, host string) {
	if c == nil {
		return
	}
	c.ServerName = host
	if c.InsecureSkipVerify && net.ParseIP(host) != nil {
		c.ServerName = ""
	}
}

// writable returns an error unless the server of a new connection takes writes.
func writable(ctx context.Context, pg *pgconn.PgConn) error {
	for _, name := range []string{"in_hot_standby", "default_transaction_read_only"} {
		switch pg.ParameterStatus(name) {
		case "on":
			return fmt.Errorf("%w: %s is on", errNotWritable, name)
		case "": // it does so from version 14 on
			return askWritable(ctx, pg)
		}
	}
	return nil
}

func askWritable(ctx context.Context, pg *pgconn.PgConn) error {
	results, err := pg.Exec(ctx, `SHOW transaction_read_only`).ReadAll()
	switch {
	case err != nil:
		return fmt.Errorf("ask whether the server can be written to: %w", err)
	case len(results) == 1 && len(results[0].Rows) == 1 && string(results[0].Rows[0][0]) == "on":
		return errNotWritable
	}
	return nil
}
