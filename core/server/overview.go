package server

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/query"
)

const (
	// overviewAge is how old what is shown of buckets may be, if it can be read.
	overviewAge = 2 * time.Second
	// overviewWait is how long somebody who looks waits for it to be read.
	overviewWait = time.Second
	// overviewTimeout bounds each of its statements.
	overviewTimeout = 2 * time.Second
	// countedStale is up to how many rows are counted that wait for a reindexing.
	countedStale = 100_000
)

// overview is what operators see of the buckets of the database. It is read when somebody looks, every few seconds at most, and by one
// goroutine, so that looking at a server that is slow already does not make it slower. The last one stays while the database is not
// there.
type overview struct {
	store *Database
	wake  chan struct{} // capacity 1

	mu    sync.Mutex // guards what follows
	read  time.Time  // when it was last read or tried to
	shown shown
	done  chan struct{} // closed when it was tried to read the next one
}

// shown are the buckets as of a moment, in no order.
type shown struct {
	at      time.Time // zero: they were not read yet
	buckets []shownBucket
	problem string // why they could not be read since
}

type shownBucket struct {
	live       bucket.Live
	definition *bucket.Bucket // nil if there is none, or a broken one
	problem    string         // what is wrong with the definition
	relation   pgstore.Relation
	job        *bucket.ReindexJob // nil if there is none
	stale      int64              // rows that wait for a reindexing, up to countedStale; negative: not known
}

func newOverview(store *Database) *overview {
	return &overview{store: store, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// run reads the overview whenever somebody looks who has to have a newer one, until ctx ends.
func (o *overview) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		}
		buckets, err := o.look(ctx)
		o.mu.Lock()
		o.read = time.Now()
		if err == nil {
			o.shown = shown{at: o.read, buckets: buckets}
		} else {
			o.shown.problem = err.Error()
		}
		close(o.done)
		o.done = make(chan struct{})
		o.mu.Unlock()
	}
}

// latest returns the overview. It waits a moment for a newer one if it is old.
func (o *overview) latest() shown {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.read) < overviewAge {
		return o.shown
	}
	done := o.done
	select {
	case o.wake <- struct{}{}:
	default: // it is being read
	}
	o.mu.Unlock()
	select {
	case <-done:
	case <-time.After(overviewWait):
	}
	o.mu.Lock()
	return o.shown
}

// look reads the overview.
func (o *overview) look(ctx context.Context) ([]shownBucket, error) {
	ctx, cancel := context.WithTimeout(object.WithCaller(ctx, &object.Caller{Timeout: overviewTimeout}), 2*overviewTimeout)
	defer cancel()
	relations := map[string]pgstore.Relation{}
	if err := o.store.Catalogue(ctx, func(r pgstore.Relation) { relations[r.Table] = r }); err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	all, err := o.store.ReindexJobs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the jobs: %w", err)
	}
	jobs := map[string]*bucket.ReindexJob{}
	for _, j := range all {
		jobs[j.Bucket] = j
	}
	var buckets []shownBucket
	err = o.store.Live(ctx, func(live bucket.Live) error {
		b := shownBucket{live: live, relation: relations[bucket.TableName(live.Name())], job: jobs[live.Name()], stale: -1}
		if r := live.Record; r != nil {
			r.Attributes = b.relation.Columns
			var err error
			if b.definition, err = bucket.Load(r); err != nil {
				b.problem = err.Error()
			}
		}
		buckets = append(buckets, b)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the definitions: %w", err)
	}
	for i := range buckets {
		if d := buckets[i].definition; d != nil && d.Pending && ctx.Err() == nil {
			buckets[i].stale = o.countStale(ctx, d)
		}
	}
	return buckets, nil
}

// countStale counts the rows that a reindexing has not reached. The number is negative where that takes too long.
func (o *overview) countStale(ctx context.Context, b *bucket.Bucket) (rows int64) {
	err := o.store.Do(ctx, query.For(b).CountSomeStale(countedStale), func(row object.Row) (err error) {
		rows, err = strconv.ParseInt(string(row[0]), 10, 64)
		return err
	})
	if err != nil {
		return -1
	}
	return rows
}
