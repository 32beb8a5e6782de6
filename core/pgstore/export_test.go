package pgstore

// Waiting returns how many requests wait for a connection.
func (s *Store) Waiting() int {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.pool.queue.n
}

// Open returns how many connections are open, and how many of them are idle.
func (s *Store) Open() (open, idle int) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return len(s.pool.conns), len(s.pool.idle)
}

// Brief reports whether statements with a text share round trips.
func (s *Store) Brief(text string) bool { return s.manners.brief(text) }
