package fast

import "sync"

// workers are goroutines that serve requests, one after the other. A goroutine that is used again has a stack that is large
// enough already, which a new one gets by copying it several times.
type workers struct {
	running sync.WaitGroup

	mu    sync.Mutex // guards what follows
	idle  []chan *Request
	ended bool
}

// maxIdleWorkers is how many of them are kept for later requests.
const maxIdleWorkers = 256

// serve makes a worker serve r.
func (w *workers) serve(r *Request) {
	w.mu.Lock()
	if last := len(w.idle) - 1; last >= 0 {
		next := w.idle[last] // the one whose stack was used last
		w.idle = w.idle[:last]
		w.mu.Unlock()
		next <- r
		return
	}
	w.mu.Unlock()
	w.running.Go(func() { w.work(r) })
}

func (w *workers) work(r *Request) {
	next := make(chan *Request, 1)
	for r != nil {
		r.serve()
		w.mu.Lock()
		keep := !w.ended && len(w.idle) < maxIdleWorkers
		if keep {
			w.idle = append(w.idle, next)
		}
		w.mu.Unlock()
		if !keep {
			return
		}
		r = <-next
	}
}

// end ends the idle ones, and the others when they have served their request. It waits for all of them.
func (w *workers) end() {
	w.mu.Lock()
	w.ended = true
	for _, next := range w.idle {
		next <- nil
	}
	w.idle = nil
	w.mu.Unlock()
	w.running.Wait()
}
