package js

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// watch looks after all JavaScript that runs in the process. What runs is interrupted when its time is up, and when memory is
// short; where that does not help, the process has to end.
type watch struct {
	limit   uint64        // of bytes in objects of the heap
	grace   time.Duration // until the end of what was interrupted: the engine stops only between two steps of a script
	discard func()        // gives up what is kept between calls

	mu   sync.Mutex // guards runs
	runs map[*run]struct{}
}

// run is JavaScript that runs without a pause.
type run struct {
	engine *engine
	begun  time.Time

	mu          sync.Mutex // guards the rest, and that nothing is interrupted that is over
	over        bool
	interrupted time.Time
}

// errMemory is why a run is interrupted when memory is short.
var errMemory = errors.New("the triggers need too much memory")

// begin says that JavaScript runs in an engine from now on, which is interrupted when ctx ends. The caller calls the function that
// it returns when the run is over.
func (w *watch) begin(ctx context.Context, e *engine) (end func()) {
	r := &run{engine: e, begun: time.Now()}
	w.mu.Lock()
	w.runs[r] = struct{}{}
	w.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { r.interrupt(context.Cause(ctx)) })
	return func() {
		stop()
		r.mu.Lock()
		r.over = true
		e.vm.ClearInterrupt()
		r.mu.Unlock()
		w.mu.Lock()
		delete(w.runs, r)
		w.mu.Unlock()
	}
}

func (r *run) interrupt(reason error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.engine.spend()
	r.engine.vm.Interrupt(reason)
	if r.interrupted.IsZero() {
		r.interrupted = time.Now()
	}
}

// stuck returns for how long the run goes on although it was interrupted.
func (r *run) stuck() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.interrupted.IsZero() {
		return 0
	}
	return time.Since(r.interrupted)
}

// oldest returns the runs, the longest first.
func (w *watch) oldest() []*run {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*run, 0, len(w.runs))
	for r := range w.runs {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *run) int { return a.begun.Compare(b.begun) })
	return all
}

// How often the watch looks, and what it does when it finds memory short again and again.
const (
	watchEvery   = 50 * time.Millisecond
	discardAfter = 4
	endAfter     = 40
)

// Run watches until ctx ends. An error says that the process has to end.
func (w *watch) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for short := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		all := w.oldest()
		for _, r := range all {
			if r.stuck() > w.grace {
				return fmt.Errorf("a trigger that has been running for %v cannot be interrupted", time.Since(r.begun).Round(time.Second))
			}
		}
		if !w.isShort() {
			short = 0
			continue
		}
		switch short++; {
		case short > endAfter:
			return errMemory
		case short%discardAfter == 0 || len(all) == 0:
			w.discard()
		default:
			all[0].interrupt(errMemory)
		}
	}
}

// isShort reports whether more memory is in use than may be.
func (w *watch) isShort() bool {
	if heap() <= w.limit {
		return false
	}
	runtime.GC()
	return heap() > w.limit
}

// heap returns the size of all objects in the heap.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
