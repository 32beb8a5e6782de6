package strand

import (
	"sync"
	"sync/atomic"
	"testing"
)

// taskFunc is a function as a Task.
type taskFunc func(*Strand)

func (f taskFunc) Run(s *Strand) { f(s) }

// flushes counts how often it was flushed.
type flushes struct{ atomic.Int32 }

func (f *flushes) Flush() { f.Add(1) }

// A task runs in the goroutine of whoever starts it, until it parks, and then in that of whoever resumes it.
func TestRunAndResume(t *testing.T) {
	var p Pool
	defer p.Close()
	var out flushes
	var said []string
	var s *Strand
	p.Run(taskFunc(func(own *Strand) {
		s = own
		said = append(said, "begun")
		own.Park()
		said = append(said, "resumed")
		own.Park()
		said = append(said, "ended")
	}), &out)
	if len(said) != 1 {
		t.Fatalf("after Run: %q", said)
	}
	if o := s.Resume(); o != nil || len(said) != 2 {
		t.Fatalf("after the first Resume: %q, outlet %v", said, o)
	}
	if o := s.Resume(); o != &out || len(said) != 3 {
		t.Fatalf("after the second Resume: %q, outlet %v", said, o)
	}
	if out.Load() != 0 {
		t.Error("the outlet was flushed, which is for who resumed")
	}
}

// A task that detaches gives its goroutine back, and may wait; its outlet is flushed when it has ended.
func TestDetach(t *testing.T) {
	var p Pool
	var out flushes
	wait, ended := make(chan struct{}), make(chan struct{})
	p.Run(taskFunc(func(s *Strand) {
		defer close(ended)
		s.Detach()
		s.Detach() // it has done so
		<-wait
	}), &out)
	close(wait) // a task that kept the goroutine would not have let it come here
	<-ended
	p.Close()
	if out.Load() != 1 {
		t.Errorf("flushed %d times", out.Load())
	}
}

// A task that parks after it detached is run on by who resumes it, and has to detach again before it waits.
func TestDetachAgain(t *testing.T) {
	var p Pool
	var out flushes
	strand, wait, ended := make(chan *Strand), make(chan struct{}), make(chan struct{})
	p.Go(taskFunc(func(s *Strand) {
		defer close(ended)
		strand <- s
		s.Park()
		s.Detach()
		<-wait
	}), &out)
	if o := (<-strand).Resume(); o != nil {
		t.Error("a task that goes on has an outlet to be flushed")
	}
	close(wait)
	<-ended
	p.Close()
	if out.Load() != 1 {
		t.Errorf("flushed %d times", out.Load())
	}
}

// Resume may come before the task has parked, and from any goroutine: none is lost, and none runs the task twice at a time.
func TestResumeRaces(t *testing.T) {
	const tasks, parks = 50, 200
	var p Pool
	var out flushes
	parking := make(chan *Strand, tasks)
	var resumers sync.WaitGroup
	var ended atomic.Int32
	for range 4 {
		resumers.Go(func() {
			for s := range parking {
				if o := s.Resume(); o != nil {
					o.Flush()
				}
			}
		})
	}
	var all sync.WaitGroup
	all.Add(tasks)
	for i := range tasks {
		busy := false // unguarded: the race detector sees two at a time
		task := taskFunc(func(s *Strand) {
			defer all.Done()
			for n := range parks {
				busy = !busy
				if n%7 == 3 {
					s.Detach()
				}
				parking <- s
				s.Park()
			}
			ended.Add(1)
		})
		if i%2 == 0 {
			p.Run(task, &out)
		} else {
			p.Go(task, &out)
		}
	}
	all.Wait()
	close(parking)
	resumers.Wait()
	p.Close()
	if ended.Load() != tasks {
		t.Errorf("%d of %d tasks have ended", ended.Load(), tasks)
	}
	if p.running.Wait(); len(p.idle) != 0 {
		t.Errorf("%d strands are left after Close", len(p.idle))
	}
}

// Strands are used again, up to a number, and none is left when the pool has been closed.
func TestPoolKeeps(t *testing.T) {
	var p Pool
	var out flushes
	var first, second *Strand
	p.Run(taskFunc(func(s *Strand) { first = s }), &out)
	p.Run(taskFunc(func(s *Strand) { second = s }), &out)
	if first != second {
		t.Error("the second task has another strand, while the first one's was idle")
	}
	var parked []*Strand
	for range maxIdle + 10 {
		p.Run(taskFunc(func(s *Strand) {
			parked = append(parked, s)
			s.Park()
		}), &out)
	}
	for _, s := range parked {
		s.Resume()
	}
	if len(p.idle) != maxIdle {
		t.Errorf("%d strands are kept, want %d", len(p.idle), maxIdle)
	}
	p.Close()
	if len(p.idle) != 0 {
		t.Errorf("%d strands are left after Close", len(p.idle))
	}
}

func BenchmarkPark(b *testing.B) {
	var p Pool
	defer p.Close()
	var out flushes
	b.ReportAllocs()
	for b.Loop() {
		var s *Strand
		p.Run(taskFunc(func(own *Strand) {
			s = own
			own.Park()
		}), &out)
		s.Resume()
	}
}
