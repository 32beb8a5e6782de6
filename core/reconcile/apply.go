package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
)

// Applier carries out plans. Several of them, on one machine or on many, take turns.
type Applier struct {
	*Planner
	// Cache is told of the buckets that change; nil if there is none.
	Cache *bucket.Cache
	// Wait bounds the wait for others who apply definitions; negative for no bound.
	Wait time.Duration
	// MaxChanges is how many buckets may be changed at most; 0 for any number.
	MaxChanges int
	// Partly says that what is not allowed is left out; otherwise nothing is done if anything is not allowed.
	Partly bool
	// Harmless says that nothing is done that has to be allowed, whoever allows it, and no document is applied that another
	// one has replaced.
	Harmless bool
	// Planned is told of the plan before it is carried out, Applied of each change after it, Progress of what takes long; each
	// may be nil.
	Planned  func(*Plan)
	Applied  func(*Change, time.Duration)
	Progress func(bucket string, p bucket.Progress)
}

// The errors of [Applier.Apply], besides those of the database and bucket.ErrBusy.
var (
	// ErrStale says that something changed since a plan was made.
	ErrStale = errors.New("the plan is out of date: something changed since it was made")
	// ErrForbidden says that a change is refused or has to be allowed. Nothing was done.
	ErrForbidden = errors.New("nothing was done: a change is refused, or has to be allowed")
)

// PartialError says that a plan was carried out in part. To apply again is safe, and does the rest.
type PartialError struct {
	Applied []string // buckets that are done
	Failed  string   // the bucket at which it ended
	Err     error
}

// Error says what is done and what is not.
func (e *PartialError) Error() string {
	return fmt.Sprintf("bucket %s: %v (%d done before it)", e.Failed, e.Err, len(e.Applied))
}

func (e *PartialError) Unwrap() error { return e.Err }

// Result is what was done.
type Result struct {
	Plan    *Plan    // what was to be done
	Applied []string // buckets that were changed
	Adopted []string // buckets that are managed now, and were as they should be
	Skipped []*Change
}

// Apply brings the buckets in line with documents. It makes the plan anew when it is its turn; with a saved plan it does nothing
// if that would no longer be the same.
func (a *Applier) Apply(ctx context.Context, documents []*Document, saved *Plan) (*Result, error) {
	var result *Result
	err := a.Store.Exclusively(ctx, a.Wait, func(alive func() error) error {
		plan, err := a.Make(ctx, documents)
		if err != nil {
			return err
		}
		result = &Result{Plan: plan}
		if saved != nil && !plan.same(saved) {
			return ErrStale
		}
		if a.Planned != nil {
			a.Planned(plan)
		}
		if err := a.check(plan); err != nil {
			return err
		}
		for _, c := range slices.Concat(plan.Changes, plan.quiet) {
			if a.skips(c) {
				result.Skipped = append(result.Skipped, c)
				continue
			}
			err := alive()
			if err == nil {
				err = a.carryOut(ctx, c)
			}
			delete(plan.drifts, c.Bucket)
			switch {
			case err != nil:
				return &PartialError{Applied: result.Applied, Failed: c.Bucket, Err: err}
			case slices.Contains(plan.Adopt, c.Bucket):
				result.Adopted = append(result.Adopted, c.Bucket)
			case !c.quiet():
				result.Applied = append(result.Applied, c.Bucket)
			}
		}
		return nil
	})
	return result, err
}

// check looks whether the plan may be carried out at all.
func (a *Applier) check(plan *Plan) error {
	if a.MaxChanges > 0 && len(plan.Changes) > a.MaxChanges {
		return fmt.Errorf("%d buckets would be changed, more than %d", len(plan.Changes), a.MaxChanges)
	}
	if !a.Partly && slices.ContainsFunc(plan.Changes, a.skips) {
		return ErrForbidden
	}
	return nil
}

// skips reports whether a change is not to be made.
func (a *Applier) skips(c *Change) bool {
	return c.Blocked() || a.Harmless && (len(c.Guards) > 0 || c.Superseded)
}

// carryOut makes one change. If the bucket changed since it was planned, it is planned again, and made if that comes to the
// same.
func (a *Applier) carryOut(ctx context.Context, c *Change) error {
	begin := time.Now()
	for range maxAttempts {
		err := a.do(ctx, c)
		if err == nil && a.Applied != nil && !c.quiet() {
			a.Applied(c, time.Since(begin))
		}
		if !errors.Is(err, bucket.ErrMoved) {
			return err
		}
		again, err := a.replan(ctx, c)
		switch {
		case err != nil:
			return err
		case again == nil:
			return nil // somebody else did it
		case !again.same(c):
			return ErrStale
		}
		c = again
	}
	return bucket.ErrMoved
}

// replan plans one change anew.
func (a *Applier) replan(ctx context.Context, c *Change) (*Change, error) {
	p := *a.Planner
	p.Only = []string{c.Bucket}
	var documents []*Document
	if c.document != nil {
		documents = append(documents, c.document)
	}
	plan, err := p.Make(ctx, documents)
	if err != nil {
		return nil, err
	}
	for _, again := range slices.Concat(plan.Changes, plan.quiet) {
		return again, nil
	}
	return nil, nil
}

// do asks for what a change is. Progress is told meanwhile.
func (a *Applier) do(ctx context.Context, c *Change) error {
	s := &bucket.Service{Store: a.Store, Cache: a.Cache, Triggers: a.Triggers, Progress: a.Progress}
	if s.Cache == nil {
		s.Cache = &bucket.Cache{}
	}
	if slices.ContainsFunc(c.Steps, func(s Step) bool { return s.AllRows }) && a.Progress != nil {
		defer a.watch(ctx, c)()
	}
	switch c.action {
	case apply, note:
		return s.Apply(ctx, c.Bucket, a.application(c))
	case remove:
		return s.Remove(ctx, c.Bucket, c.generation)
	case release:
		return s.Release(ctx, c.Bucket)
	}
	panic("reconcile: a change that is refused was to be made")
}

// watchPeriod is how often somebody is told how far an index is.
const watchPeriod = 500 * time.Millisecond

// watch tells how far PostgreSQL is with the indexes of a bucket, until the function that it returns is called.
func (a *Applier) watch(ctx context.Context, c *Change) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(watchPeriod)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			// An error is no news: what is watched says what is wrong.
			if p, err := a.Store.Building(ctx, bucket.TableName(c.Bucket)); err == nil && p != nil {
				a.Progress(c.Bucket, *p)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
