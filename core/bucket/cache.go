package bucket

import (
	"context"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/fault"
)

// Cache keeps the definitions that were loaded lately. It is safe for concurrent use.
//
// Nothing needs a definition to be current: writes prove it by its generation, and readers accept a second of delay, or the
// age limit after a change made by a server that does not send notifications.
type Cache struct {
	// MaxAge is how long a definition is used; 0 means 300 seconds, the original's limit.
	MaxAge time.Duration
	// Now tells the time; nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex // guards what follows; no call leaves the package under it
	entries map[string]cached
	// epoch counts what was forgotten: a load that began in an earlier epoch may have read what is out of date, and is not kept.
	epoch uint64
}

type cached struct {
	bucket *Bucket
	loaded time.Time
}

// maxCached bounds the cache. Beyond it definitions go in no particular order.
const maxCached = 10000

// Loader reads the record of a bucket: nil if there is none.
type Loader interface {
	LoadBucket(ctx context.Context, name string) (*Record, error)
}

// Get returns the definition of a bucket, from the cache if it is there, else through l, which may be the caller's
// transaction. With fresh it is always loaded, and the cache renewed. A bucket that does not exist is BucketNotFound.
func (c *Cache) Get(ctx context.Context, l Loader, name string, fresh bool) (*Bucket, error) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	maxAge := c.MaxAge
	if maxAge == 0 {
		maxAge = 300 * time.Second
	}
	c.mu.Lock()
	entry, ok := c.entries[name]
	epoch := c.epoch
	c.mu.Unlock()
	start := now()
	if ok && !fresh && start.Sub(entry.loaded) < maxAge {
		return entry.bucket, nil
	}

	record, err := l.LoadBucket(ctx, name)
	if err != nil {
		return nil, err
	}
	if record == nil {
		if ok {
			c.Forget(name)
		}
		return nil, fault.New(fault.BucketNotFound, "%s does not exist", name)
	}
	b, err := Load(record)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		c.put(name, cached{b, start})
	}
	return b, nil
}

func (c *Cache) put(name string, entry cached) {
	if c.entries == nil {
		c.entries = map[string]cached{}
	}
	if _, ok := c.entries[name]; !ok && len(c.entries) >= maxCached {
		for other := range c.entries {
			delete(c.entries, other)
			break
		}
	}
	c.entries[name] = entry
}

// Forget drops the definition of a bucket, and keeps loads that are under way from bringing it back.
func (c *Cache) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	delete(c.entries, name)
}

// Len returns how many definitions are kept.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Purge drops all definitions.
func (c *Cache) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	clear(c.entries)
}
