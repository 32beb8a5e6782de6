package pgstore

import (
	"context"
	"time"

	"github.com/kaizengarden/moray/core/query"
)

// watchPause is how long the watch waits before it connects again.
const watchPause = 500 * time.Millisecond

// WatchBuckets calls changed with the name of each bucket whose definition a server changed, until ctx ends; then it returns
// nil. It calls reset whenever it may have missed something: each time before it listens.
func (s *Store) WatchBuckets(ctx context.Context, changed func(name string), reset func()) error {
	for ctx.Err() == nil {
		err := s.listen(ctx, query.Channel, reset, func(_, name string) error {
			changed(name)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			s.log.Debug("watch of bucket definitions interrupted", "err", err)
		}
		sleep(ctx, watchPause)
	}
	return nil
}
