package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
)

// Reindexer fills new indexes for the rows that are there, behind the clients' requests, and makes the indexes usable when it is
// done: of buckets whose documents say that servers do. Clients may ask for the same meanwhile, with reindexObjects.
//
// Any number of servers may run one. Of one bucket they do one page at a time in turns, so what a document says about the pace holds
// for all of them together. How far they are is kept beside the rows, so nothing is lost with a server. Set the fields before Run.
type Reindexer struct {
	Off     bool // only wait: others do it
	Store   ReindexStore
	Cache   *bucket.Cache
	By      string // who notes what it does
	Log     *slog.Logger
	Metrics *ReindexMetrics

	once   sync.Once
	wake   chan struct{} // that there may be something to do
	mu     sync.Mutex    // guards jobs
	jobs   []*bucket.ReindexJob
	warned map[string]string // what the log says of a bucket; of the goroutine of Run
}

// ReindexStore keeps the jobs of a [Reindexer]. core/pgstore implements it.
type ReindexStore interface {
	// ReindexJobs returns the jobs of all buckets that wait for one, or had one, by name.
	ReindexJobs(ctx context.Context) ([]*bucket.ReindexJob, error)
	// InReindexing runs fn in a transaction in which nobody else is at the job of a bucket, and stores what fn makes of it. If
	// somebody is, or it is paused or has to wait, it is bucket.ErrBusy at once; with hurry only if somebody is.
	InReindexing(ctx context.Context, bucket string, hurry bool, fn func(object.Tx, *bucket.ReindexJob) error) error
	// PauseReindexing makes servers leave a bucket alone, or go on with it.
	PauseReindexing(ctx context.Context, bucket string, paused bool) error
}

const (
	// relistPeriod is how often a server that reindexes looks for other jobs, idlePeriod how often one that does not: it is told
	// when a definition changes.
	relistPeriod = time.Second
	idlePeriod   = 10 * time.Second
	// busyPause is how long a server leaves a job alone that another one is at.
	busyPause = 500 * time.Millisecond
	// failedPause is how long a job waits that failed.
	failedPause = 10 * time.Second
)

func (r *Reindexer) init() {
	r.once.Do(func() { r.wake, r.warned = make(chan struct{}, 1), map[string]string{} })
}

// Notice tells that a definition changed. It does not wait.
func (r *Reindexer) Notice() {
	r.init()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Jobs returns the jobs as they were of late. They must not be changed.
func (r *Reindexer) Jobs() []*bucket.ReindexJob {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.jobs
}

// Run reindexes until ctx ends; then it returns nil.
func (r *Reindexer) Run(ctx context.Context) error {
	r.init()
	if r.Off {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		pause := idlePeriod
		jobs, err := r.Store.ReindexJobs(ctx)
		if err != nil {
			r.Log.DebugContext(ctx, "reindexing has to wait", "err", err)
		} else {
			r.note(ctx, jobs)
			pause = r.round(ctx, jobs)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.wake:
		}
		timer.Stop()
	}
	return nil
}

// note keeps the jobs for those who ask, and warns of rows that stay behind.
func (r *Reindexer) note(ctx context.Context, jobs []*bucket.ReindexJob) {
	r.mu.Lock()
	r.jobs = jobs
	r.mu.Unlock()
	r.Metrics.jobs(jobs)
	for _, j := range jobs {
		text := j.Problem
		if text == "" && len(j.Examples) > 0 {
			text = "rows cannot be reindexed as they are, such as " + j.Examples[0]
		}
		if text != "" && mine(j) && r.warned[j.Bucket] != text {
			r.Log.WarnContext(ctx, "reindexing does not come to its end", "bucket", j.Bucket, "rows", j.Unfit, "reason", text)
		}
		r.warned[j.Bucket] = text
	}
}

// mine reports whether a job is for servers to do.
func mine(j *bucket.ReindexJob) bool {
	return j.Pace != nil && !j.Paused && (j.Pending || j.Version != "" && !j.Swept)
}

// round does what there is to do for a while, and returns how long to wait until there may be something again.
func (r *Reindexer) round(ctx context.Context, jobs []*bucket.ReindexJob) time.Duration {
	begin := time.Now()
	pace, due := map[string]bucket.Pace{}, map[string]time.Time{}
	for _, j := range jobs {
		if mine(j) {
			pace[j.Bucket], due[j.Bucket] = *j.Pace, begin.Add(j.Wait)
		}
	}
	for len(due) > 0 && ctx.Err() == nil {
		next := slices.MinFunc(slices.Collect(maps.Keys(due)), func(a, b string) int { return due[a].Compare(due[b]) })
		wait := time.Until(due[next])
		if left := relistPeriod - time.Since(begin); wait > left {
			return min(wait, max(left, 0)+idlePeriod)
		}
		if !pauseFor(ctx, wait) {
			break
		}
		again, ok := r.turn(ctx, next, pace[next])
		if due[next] = time.Now().Add(again); !ok {
			delete(due, next)
		}
	}
	return idlePeriod
}

// turn does one step of a job. It returns how long the job has to wait then; it is false if that is for the next look to say.
func (r *Reindexer) turn(ctx context.Context, name string, pace bucket.Pace) (wait time.Duration, ok bool) {
	job, err := r.Step(ctx, name, pace, false)
	switch {
	case ctx.Err() != nil:
		return 0, false
	case errors.Is(err, bucket.ErrBusy):
		return busyPause, true
	case errors.Is(err, errNothing):
		return 0, false
	case err != nil:
		r.Log.WarnContext(ctx, "reindexing failed, and is tried again", "bucket", name, "err", err.Error())
		r.complain(ctx, name, err)
		return failedPause, true
	case !job.Finished.IsZero() && job.Pending:
		r.Log.InfoContext(ctx, "bucket reindexed", "bucket", name, "rows", job.Done, "took", time.Since(job.Began).Round(time.Millisecond))
		return 0, false
	}
	return job.Wait, !job.Swept
}

// complain keeps with a job why it does not go on, for those who look.
func (r *Reindexer) complain(ctx context.Context, name string, cause error) {
	if fault.From(cause) == nil {
		return
	}
	err := r.Store.InReindexing(ctx, name, true, func(_ object.Tx, j *bucket.ReindexJob) error {
		j.Problem, j.By, j.Wait = cause.Error(), r.By, failedPause
		return nil
	})
	if err != nil {
		r.Log.DebugContext(ctx, "why reindexing failed could not be kept", "bucket", name, "err", err)
	}
}

// pauseFor waits; it reports false if ctx ends before.
func pauseFor(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pauseAfter is how long a job waits after a step: so long that it is not faster than its pace, and, if it has one, not at it for
// more than half of the time.
func pauseAfter(rows int, took time.Duration, pace bucket.Pace) time.Duration {
	if pace.Rate == 0 {
		return 0
	}
	return max(time.Duration(math.Round(float64(rows)/float64(pace.Rate)*float64(time.Second)))-took, took)
}
