package pgstore

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// Check returns nil if the primary can be read, and otherwise why not: also why it cannot be connected to, which requests are not
// told.
func (s *Store) Check(ctx context.Context) error {
	if err := s.unreachable(); err != nil {
		return err
	}
	err := s.Ping(ctx)
	if reason := s.unreachable(); err != nil && reason != nil {
		return reason
	}
	return err
}

// unreachable returns why the primary cannot be connected to, as far as that is known.
func (s *Store) unreachable() error {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	switch {
	case s.pool.primary == nil:
		return errNoPrimary
	case s.pool.failure != nil:
		return fmt.Errorf("connect to %s: %w", s.pool.primary.address, s.pool.failure)
	}
	return nil
}

// Servers returns the addresses of the servers that the URL names, host:port.
func (s *Store) Servers() []string {
	servers := []string{addressOf(s.config.Host, s.config.Port)}
	for _, f := range s.config.Fallbacks {
		if a := addressOf(f.Host, f.Port); !slices.Contains(servers, a) {
			servers = append(servers, a)
		}
	}
	return servers
}

func addressOf(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Probe looks at a server, with a connection of its own: whether it can be written to, and on which timeline it writes. Servers that
// do not tell their timeline are on timeline 0.
func (s *Store) Probe(ctx context.Context, address string) (canWrite bool, timeline uint64, err error) {
	config, err := s.configFor(address)
	if err != nil {
		return false, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.ConnectTimeout)
	defer cancel()
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return false, 0, err
	}
	defer pg.Close(ctx) //nolint:errcheck // because nothing is left to be done with it
	if writable(ctx, pg) != nil {
		return false, 0, nil
	}
	results, err := pg.Exec(ctx, `SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		return true, 0, nil // compatible databases have no such functions
	}
	if timeline, err = strconv.ParseUint(string(results[0].Rows[0][0]), 16, 32); err != nil {
		return true, 0, fmt.Errorf("timeline of %s: %w", address, err)
	}
	return true, timeline, nil
}
