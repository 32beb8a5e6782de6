package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	moray "github.com/kaizengarden/moray/core/client"
)

// act is one request about an object of a bucket that has so many.
type act func(ctx context.Context, c *moray.Client, bucket string, object int) error

// acts are what is measured.
var acts = []struct {
	name string
	do   act
	news bool // about objects that are not there yet
}{
	{"get", func(ctx context.Context, c *moray.Client, bucket string, i int) error {
		_, err := c.GetObject(ctx, bucket, key(i), nil)
		return err
	}, false},
	{"find by index", func(ctx context.Context, c *moray.Client, bucket string, i int) error {
		for _, err := range c.FindObjects(ctx, bucket, "(name="+key(i)+")", nil) {
			if err != nil {
				return err
			}
		}
		return nil
	}, false},
	{"put, overwrite", put, false},
	{"put, new", put, true},
}

func put(ctx context.Context, c *moray.Client, bucket string, i int) error {
	_, err := c.PutObject(ctx, bucket, key(i), appendValue(nil, i, 1, grownValue), nil)
	return err
}

// operations measures each act in the buckets that choose names, of which there are so many, each with so many objects.
func (g *growing) operations(ctx context.Context, x, buckets, objects int, choose func(*rand.Rand) string) (all []grown, err error) {
	for _, a := range acts {
		// The first request about a bucket on a connection costs many times as much as the next ones.
		warm := 3 * buckets * g.config.connections
		r, err := g.work(ctx, grownInFlight, warm, func(r *rand.Rand) error {
			i := r.IntN(objects)
			if a.news {
				i = pgbenchKeys + int(fresh.Add(1))
			}
			return a.do(ctx, g.client, choose(r), i)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, grown{a.name, x, r})
	}
	return all, nil
}

// fresh counts the objects that were put anew.
var fresh atomic.Int64

// work repeats an operation in several goroutines for the window, after so many of them, and some time, for warming up.
func (g *growing) work(ctx context.Context, inFlight, warm int, do func(*rand.Rand) error) (record, error) {
	var (
		tasks  sync.WaitGroup
		phase  atomic.Int32
		mu     sync.Mutex
		failed error
		took   []time.Duration
		done   atomic.Int64
		once   sync.Once
		warmed = make(chan struct{}) // also closed when an operation failed
	)
	for i := range inFlight {
		tasks.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(i)))
			var own []time.Duration
			var err error
			for phase.Load() != ending && err == nil {
				begin := time.Now()
				if err = do(random); err != nil || done.Add(1) >= int64(warm) {
					once.Do(func() { close(warmed) })
				}
				if phase.Load() == measuring {
					own = append(own, time.Since(begin))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			if failed == nil {
				failed = err
			}
		})
	}
	var marks [2]usage
	select {
	case <-warmed:
	case <-ctx.Done():
	}
	err := sleep(ctx, warmUp)
	for i := range marks {
		if err == nil {
			marks[i], err = g.usage()
		}
		if i == 0 && err == nil {
			phase.Store(measuring)
			err = sleep(ctx, g.window)
		}
	}
	phase.Store(ending)
	tasks.Wait()
	if err == nil {
		err = failed
	}
	if err != nil {
		return record{}, err
	}
	slices.Sort(took)
	r := record{Count: max(len(took), 1), Seconds: marks[1].at.Sub(marks[0].at).Seconds()}
	took = append(took, 0)
	r.Rate = float64(r.Count) / r.Seconds
	r.P50, r.P99 = milliseconds(took[r.Count/2]), milliseconds(took[r.Count*99/100])
	r.setUsage(marks[1].sub(marks[0]))
	return r, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bucketName is the name of a bucket of so many objects.
func bucketName(objects int) string { return "rows_" + strconv.Itoa(objects) }
