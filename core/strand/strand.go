// Package strand runs tasks as coroutines. A task that waits for something gives the goroutine that runs it back, and whoever
// brings what it waits for runs it on: no scheduler and no hand-off is between the two, which for a task that waits once
// are most of its cost.
//
// A goroutine that runs a task is kept by it. So a task parks where it would wait for what a goroutine of ours brings, and
// detaches before it waits for anything else.
package strand

import (
	"iter"
	"sync"
	"sync/atomic"
)

// Task is what is run.
type Task interface {
	// Run does the work. s is for it alone, and not valid after Run has returned.
	Run(s *Strand)
}

// Outlet is where a task's results gather. Whoever has run one or several tasks to their ends flushes what they left.
type Outlet interface {
	// Flush sends what has gathered. It does not wait, and may be called at any time.
	Flush()
}

// Strand is the thread of control of a task.
type Strand struct {
	pool  *Pool
	next  func() (step, bool)
	stop  func()
	yield func(step) bool // of next

	task     Task
	outlet   Outlet
	detached bool // it has a goroutine of its own; for the task
	state    atomic.Int32
}

// step is why a task stopped running.
type step uint8

const (
	ended step = iota
	parked
	detached
)

// What Strand.state says.
const (
	running int32 = iota
	waiting       // it has parked
	woken         // it runs, and Resume was called for when it parks
)

// Park waits until [Strand.Resume] is called, or was already. It is for the task.
func (s *Strand) Park() {
	s.yield(parked)
	s.detached = false
}

// Detach makes a goroutine of its own run the task from here on, until it parks: the task may wait. It is for the task.
func (s *Strand) Detach() {
	if !s.detached {
		s.detached = true
		s.yield(detached)
	}
}

// Resume runs a task that has parked, or is about to, until it parks again, detaches or ends. It is called once for each
// time that the task parks, by any goroutine, which must hold no lock that the task takes. If the task has ended, its outlet
// is returned, to be flushed by the caller.
func (s *Strand) Resume() Outlet {
	if s.state.CompareAndSwap(running, woken) {
		return nil // it has not parked yet: who runs it goes on
	}
	return s.run()
}

// run runs the task on.
func (s *Strand) run() Outlet {
	pool, outlet := s.pool, s.outlet
	for {
		s.state.Store(running)
		switch why, _ := s.next(); why {
		case ended:
			pool.put(s)
			return outlet
		case detached:
			pool.running.Go(func() { s.finish() })
			return nil
		}
		if s.state.CompareAndSwap(running, waiting) {
			return nil
		}
	}
}

// finish runs the task on in a goroutine of its own.
func (s *Strand) finish() {
	if out := s.run(); out != nil {
		out.Flush()
	}
}

// loop is the coroutine: it runs one task after the other.
func (s *Strand) loop(yield func(step) bool) {
	for s.yield = yield; ; {
		s.task.Run(s)
		s.task, s.outlet = nil, nil
		if !yield(ended) {
			return
		}
	}
}

// Pool keeps strands for later tasks: one that is used again has a stack that is large enough already, which a new one
// gets by copying it several times. The zero Pool is ready for use.
type Pool struct {
	running sync.WaitGroup // goroutines of detached tasks

	mu     sync.Mutex // guards what follows
	idle   []*Strand
	closed bool
}

// maxIdle is how many strands are kept.
const maxIdle = 256

// Run runs t until it parks, detaches or ends. What it leaves in outlet is for the caller to flush, whether t has ended or not.
func (p *Pool) Run(t Task, outlet Outlet) {
	p.take(t, outlet).run()
}

// Go runs t in a goroutine of its own.
func (p *Pool) Go(t Task, outlet Outlet) {
	s := p.take(t, outlet)
	s.detached = true
	p.running.Go(func() { s.finish() })
}

func (p *Pool) take(t Task, outlet Outlet) *Strand {
	p.mu.Lock()
	var s *Strand
	if last := len(p.idle) - 1; last >= 0 {
		s = p.idle[last] // the one whose stack was used last
		p.idle = p.idle[:last]
	}
	p.mu.Unlock()
	if s == nil {
		s = &Strand{pool: p}
		s.next, s.stop = iter.Pull(s.loop)
	}
	s.task, s.outlet, s.detached = t, outlet, false
	return s
}

// put keeps a strand that has nothing to do.
func (p *Pool) put(s *Strand) {
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < maxIdle
	if keep {
		p.idle = append(p.idle, s)
	}
	p.mu.Unlock()
	if !keep {
		s.stop()
	}
}

// Close waits for the goroutines of the pool's tasks and ends the strands. All tasks must have ended, or be about to, and no new
// ones come.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, s := range idle {
		s.stop()
	}
	p.running.Wait()
}
