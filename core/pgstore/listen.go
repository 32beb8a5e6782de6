package pgstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/query"
)

// Listen passes the notifications of a channel to notify, on a connection of its own that counts for nothing else, until ctx
// ends; then it returns nil. notify may block. The name of the channel is that under which PostgreSQL reports it: it cuts long
// names.
func (s *Store) Listen(ctx context.Context, channel string, notify func(channel, payload string) error) error {
	s.listens.Inc()
	defer s.listens.Dec()
	return s.listen(ctx, channel, func() {}, notify)
}

// listen calls ready once nothing is missed any more.
func (s *Store) listen(ctx context.Context, channel string, ready func(), notify func(channel, payload string) error) error {
	c, err := s.openOwn(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, errNoPrimary):
		return fault.New(fault.NoDatabasePeers, "no database backends are available").Because(err)
	case err != nil:
		return fault.New(fault.Multi, "Postgres client failed: %s", s.connectReason(err)).Because(err)
	}
	defer s.closeOwn(c)
	hangUp := func() { c.net.Close() } //nolint:errcheck // because closing is all that it is for
	defer context.AfterFunc(ctx, hangUp)()
	// At a change of the primary it ends at once, so that the listener knows of the gap.
	defer context.AfterFunc(c.at.over, hangUp)()

	// LISTEN takes no parameter.
	if _, err = c.run(s.limits.ConnectTimeout, nil, &query.Statement{SQL: `LISTEN ` + query.Quote(channel), Once: true}); err == nil {
		ready()
		err = c.notifications(notify)
	}
	if ctx.Err() != nil {
		return nil
	}
	return explain(err, "LISTEN")
}

// Reach opens a connection and closes it again. Its error says why it could not.
func (s *Store) Reach(ctx context.Context) error {
	c, err := s.openOwn(ctx)
	if err != nil {
		return errors.New(s.connectReason(err))
	}
	s.closeOwn(c)
	return nil
}

// errNoPrimary says that it is not known yet which server to use.
var errNoPrimary = errors.New("no primary is known")

// openOwn opens a connection that is not one of the pool's. Whoever opens it closes it, with closeOwn.
func (s *Store) openOwn(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.ConnectTimeout)
	defer cancel()
	p := s.pool
	p.mu.Lock()
	p.serial++
	id, closed, at := p.serial, p.closed, p.primary
	p.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case at == nil:
		return nil, errNoPrimary
	}
	defer context.AfterFunc(at.over, cancel)()
	c, err := open(ctx, at, id, p.readOnly)
	if err != nil {
		return nil, err
	}
	c.metrics = p.metrics
	p.mu.Lock()
	defer p.mu.Unlock()
	if at == p.primary {
		p.own[c] = struct{}{}
	}
	return c, nil // if there is another primary now, the first use of the connection tells
}

// closeOwn closes a connection that openOwn opened.
func (s *Store) closeOwn(c *conn) {
	s.pool.mu.Lock()
	delete(s.pool.own, c)
	delete(s.pool.retired, c)
	s.pool.mu.Unlock()
	c.close()
}

// notifications reads until the connection ends or notify fails.
func (c *conn) notifications(notify func(channel, payload string) error) error {
	for {
		m, err := c.receive()
		if err != nil {
			return c.fail(err)
		}
		if c.fatal != nil {
			return c.fail(c.fatal)
		}
		if n, ok := m.(*pgproto3.NotificationResponse); ok {
			if err := notify(n.Channel, n.Payload); err != nil {
				return err
			}
		}
	}
}

// connectReason words why a connection could not be opened as the original's driver did.
func (s *Store) connectReason(err error) string {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		return pg.Message
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connect ECONNREFUSED " + s.address()
	case errors.Is(err, syscall.ENOENT):
		return "connect ENOENT " + s.address()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("timed out after %d milliseconds", s.limits.ConnectTimeout.Milliseconds())
	}
	return err.Error()
}

func (s *Store) address() string {
	server, _ := s.Primary()
	if host, port, err := net.SplitHostPort(server); err == nil && strings.HasPrefix(host, "/") {
		return host + "/.s.PGSQL." + port
	}
	return server
}
