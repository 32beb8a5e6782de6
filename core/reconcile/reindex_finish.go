package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kaizengarden/moray/core/bucket"
)

// ErrUnfit says that a reindexing cannot come to its end, because rows cannot be reindexed as they are.
var ErrUnfit = errors.New("rows cannot be reindexed as they are")

// Finish reindexes a bucket until its indexes can be used, together with the servers that do; with hurry it does so also if they
// have to wait, because of their pace or because somebody told them to. It returns the job at its end, nil if the bucket did not wait
// for any. ErrUnfit is in the chain if rows are left that cannot be reindexed. show is told how far it is.
func (r *Reindexer) Finish(ctx context.Context, name string, pace bucket.Pace, hurry bool, show func(bucket.Progress)) (*bucket.ReindexJob, error) {
	j, err := r.job(ctx, name)
	if err != nil || j == nil || !j.Pending {
		return nil, err
	}
	for {
		wait := busyPause
		if j, err = r.Step(ctx, name, pace, hurry); err == nil {
			wait = j.Wait
		} else if errors.Is(err, bucket.ErrBusy) {
			j, err = r.job(ctx, name)
		}
		switch {
		case errors.Is(err, errNothing):
			return nil, nil
		case err != nil:
			return nil, err
		case j == nil:
			return nil, fmt.Errorf("the bucket %s is gone", name)
		}
		show(bucket.Progress{What: "reindexing", Done: j.Done, Total: max(j.Total, j.Done), Unit: "rows"})
		switch {
		case !j.Finished.IsZero() || !j.Pending:
			return j, nil
		case j.Pass > 1 && j.After == "" && j.Unfit > 0 && j.Missed == 0:
			return j, fmt.Errorf("%s: %d of its %w", name, j.Unfit, ErrUnfit)
		case !pauseFor(ctx, wait):
			return nil, context.Cause(ctx)
		}
	}
}

// job returns the job of a bucket, nil if it has none.
func (r *Reindexer) job(ctx context.Context, name string) (*bucket.ReindexJob, error) {
	jobs, err := r.Store.ReindexJobs(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(jobs, func(j *bucket.ReindexJob) bool { return j.Bucket == name }); i >= 0 {
		return jobs[i], nil
	}
	return nil, nil
}
