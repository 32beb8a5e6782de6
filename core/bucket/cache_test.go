package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
)

// loader counts how often a definition is loaded. The generation of what it returns is that number.
type loader struct {
	mu      sync.Mutex
	loads   map[string]uint32
	missing bool
	err     error
	during  func() // called while a definition is being loaded
}

func (l *loader) LoadBucket(_ context.Context, name string) (*bucket.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loads == nil {
		l.loads = map[string]uint32{}
	}
	l.loads[name]++
	if l.during != nil {
		l.during()
	}
	if l.err != nil || l.missing {
		return nil, l.err
	}
	r := record()
	r.Name, r.Generation = name, l.loads[name]
	return r, nil
}

// get returns the generation of the definition that the cache answers with.
func get(t *testing.T, c *bucket.Cache, l *loader, name string, fresh bool) uint32 {
	t.Helper()
	b, err := c.Get(context.Background(), l, name, fresh)
	if err != nil {
		t.Fatalf("Get(%q, %t): %v", name, fresh, err)
	}
	return b.Generation
}

func TestCacheAge(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{0, time.Minute} {
		now := time.Unix(0, 0)
		c, l := &bucket.Cache{MaxAge: limit, Now: func() time.Time { return now }}, &loader{}
		age := limit
		if age == 0 {
			age = 300 * time.Second
		}
		for _, step := range []struct {
			pass time.Duration
			want uint32
		}{
			{0, 1}, {age - 1, 1}, {1, 2}, // from loading, not from reading
			{age / 2, 2}, {age - age/2 - 1, 2}, {1, 3}, {10 * age, 4},
		} {
			now = now.Add(step.pass)
			if got := get(t, c, l, "b", false); got != step.want {
				t.Errorf("limit %v, at %v: definition %d, want %d", limit, now.Sub(time.Unix(0, 0)), got, step.want)
			}
		}
	}
}

func TestCacheFresh(t *testing.T) {
	t.Parallel()
	c, l := &bucket.Cache{}, &loader{}
	if got := get(t, c, l, "b", false); got != 1 {
		t.Errorf("first: definition %d", got)
	}
	if got := get(t, c, l, "b", true); got != 2 {
		t.Errorf("fresh: definition %d, want 2", got)
	}
	if got := get(t, c, l, "b", false); got != 2 {
		t.Errorf("after fresh: definition %d, want 2: it renews the entry for everyone", got)
	}
	if got := get(t, c, l, "other", false); got != 1 {
		t.Errorf("another bucket: definition %d, want 1", got)
	}
}

func TestCacheForget(t *testing.T) {
	t.Parallel()
	c, l := &bucket.Cache{}, &loader{}
	get(t, c, l, "b", false)
	get(t, c, l, "other", false)
	c.Forget("b")
	if got := get(t, c, l, "b", false); got != 2 {
		t.Errorf("after Forget: definition %d, want 2", got)
	}
	if got := get(t, c, l, "other", false); got != 1 {
		t.Errorf("another bucket after Forget: definition %d, want 1", got)
	}
	c.Purge()
	if b, other := get(t, c, l, "b", false), get(t, c, l, "other", false); b != 3 || other != 2 {
		t.Errorf("after Purge: definitions %d and %d, want 3 and 2", b, other)
	}
}

// TestCacheLate forgets a definition while it is being loaded: what was loaded may be out of date and must not stay.
func TestCacheLate(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*bucket.Cache){
		"Forget":         func(c *bucket.Cache) { c.Forget("b") },
		"Forget another": func(c *bucket.Cache) { c.Forget("other") },
		"Purge":          (*bucket.Cache).Purge,
	} {
		c := &bucket.Cache{}
		l := &loader{during: func() { forget(c) }}
		if got := get(t, c, l, "b", false); got != 1 {
			t.Errorf("%s: definition %d, want 1", name, got)
		}
		l.during = nil
		if got := get(t, c, l, "b", false); got != 2 {
			t.Errorf("%s: definition %d was kept", name, got)
		}
		if got := get(t, c, l, "b", false); got != 2 {
			t.Errorf("%s: definition %d, want 2: loads are kept again", name, got)
		}
	}
}

func TestCacheMissing(t *testing.T) {
	t.Parallel()
	c, l := &bucket.Cache{}, &loader{}
	get(t, c, l, "b", false)
	l.missing = true
	if got := get(t, c, l, "b", false); got != 1 {
		t.Errorf("definition %d, want the one in the cache", got)
	}
	for range 2 { // that the bucket is gone is noticed once, and not remembered
		_, err := c.Get(context.Background(), l, "b", true)
		if f := fault.From(err); f == nil || f.Name != fault.BucketNotFound || f.Message != "b does not exist" {
			t.Errorf("a bucket that is gone: %v", err)
		}
	}
	if _, err := c.Get(context.Background(), l, "b", false); !errors.Is(err, fault.BucketNotFound) {
		t.Errorf("a bucket that is known to be gone: %v", err)
	}
	l.missing = false
	if got := get(t, c, l, "b", false); got != 5 {
		t.Errorf("definition %d, want 5", got)
	}
}

func TestCacheErrors(t *testing.T) {
	t.Parallel()
	c, l := &bucket.Cache{}, &loader{err: errors.New("no connection")}
	if _, err := c.Get(context.Background(), l, "b", false); !errors.Is(err, l.err) {
		t.Errorf("got %v, want %v", err, l.err)
	}
	l.err = nil
	get(t, c, l, "b", false)
	l.err = errors.New("no connection")
	if _, err := c.Get(context.Background(), l, "b", true); !errors.Is(err, l.err) {
		t.Errorf("fresh: got %v, want %v", err, l.err)
	}
	if got := get(t, c, l, "b", false); got != 2 {
		t.Errorf("definition %d, want 2: an error of a load does not change what is cached", got)
	}
	broken := brokenLoader{}
	if b, err := c.Get(context.Background(), broken, "broken", false); err == nil {
		t.Errorf("a broken definition was loaded as %+v", b)
	}
}

type brokenLoader struct{}

func (brokenLoader) LoadBucket(context.Context, string) (*bucket.Record, error) {
	r := record()
	r.Index = []byte("x")
	return r, nil
}

// TestCacheCapacity fills the cache beyond its bound: it stays bounded, and the last definition is in it.
func TestCacheCapacity(t *testing.T) {
	t.Parallel()
	const capacity = 10000
	c, l := &bucket.Cache{}, &loader{}
	for i := range capacity + 100 {
		name := fmt.Sprint("b", i)
		if got := get(t, c, l, name, false); got != 1 {
			t.Fatalf("%s: definition %d, want 1", name, got)
		}
		if got := get(t, c, l, name, false); got != 1 {
			t.Fatalf("%s was not kept", name)
		}
	}
	again := &loader{loads: map[string]uint32{}}
	for i := range capacity + 100 {
		// Only what is not in the cache asks the loader. A hit keeps the entry, so the first misses push others out: count once.
		if _, err := c.Get(context.Background(), missing{again}, fmt.Sprint("b", i), false); err != nil && !errors.Is(err, fault.BucketNotFound) {
			t.Fatal(err)
		}
	}
	if got := len(again.loads); got != 100 {
		t.Errorf("%d of %d definitions are not in a cache of %d, want 100", got, capacity+100, capacity)
	}
}

// missing notes what it is asked for and has nothing.
type missing struct{ *loader }

func (m missing) LoadBucket(ctx context.Context, name string) (*bucket.Record, error) {
	_, err := m.loader.LoadBucket(ctx, name)
	return nil, err
}

// TestCacheConcurrent uses one cache from many goroutines. A definition that was current before Forget is never answered after
// it.
func TestCacheConcurrent(t *testing.T) {
	t.Parallel()
	c := &bucket.Cache{}
	var current generation
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 500 {
				known := current.load()
				b, err := c.Get(context.Background(), &current, "b", false)
				if err != nil {
					t.Error(err)
				} else if b.Generation < known {
					t.Errorf("definition %d after the change to %d", b.Generation, known)
				}
			}
		})
	}
	for range 200 {
		current.change(c)
	}
	readers.Wait()
}

// generation is a stored definition that changes.
type generation struct {
	mu     sync.Mutex
	stored uint32 // what a load sees
	known  uint32 // what requests may rely on: Forget has returned
}

func (g *generation) load() uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known
}

func (g *generation) change(c *bucket.Cache) {
	g.mu.Lock()
	g.stored++
	stored := g.stored
	g.mu.Unlock()
	c.Forget("b")
	g.mu.Lock()
	g.known = stored
	g.mu.Unlock()
}

func (g *generation) LoadBucket(context.Context, string) (*bucket.Record, error) {
	r := record()
	g.mu.Lock()
	defer g.mu.Unlock()
	r.Generation = g.stored
	return r, nil
}
