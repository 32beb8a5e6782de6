package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

const (
	// sweepAfter is when the rows are looked at once more after the end: until then an original server may write rows by a
	// definition that it has kept, without the columns that are new. It is that server's bound for the age of a definition.
	sweepAfter = 300 * time.Second
	// missedPause is how long a job waits before it looks again for rows that somebody held, unfitPause if all that are left
	// cannot be reindexed until somebody changes them.
	missedPause = time.Second
	unfitPause  = time.Minute
)

// errNothing says that a bucket does not wait for anything.
var errNothing = errors.New("there is nothing to reindex")

// step is one step under way.
type step struct {
	*bucket.ReindexJob
	r     *Reindexer
	tx    object.Tx
	b     *bucket.Bucket
	rows  int  // that it looked at
	ended bool // a pass over the rows
}

// Step does one step of the job of a bucket: it reindexes a page of rows in one transaction, and if they were the last, makes the
// indexes usable. It returns the job as it is then. The error is bucket.ErrBusy if another one is at it, or, without hurry, if the job
// has to wait.
func (r *Reindexer) Step(ctx context.Context, name string, pace bucket.Pace, hurry bool) (*bucket.ReindexJob, error) {
	ctx = object.WithCaller(ctx, &object.Caller{Client: background, Bucket: name})
	s, err := r.step(ctx, name, pace, hurry, nil)
	if object.RowRefused(err) {
		s, err = r.oneByOne(ctx, name, pace)
	}
	if err != nil {
		return nil, err
	}
	r.Metrics.done(name, s.rows)
	if !s.Finished.IsZero() {
		r.Cache.Forget(name)
	}
	return s.ReindexJob, nil
}

// background is the number under which all background work waits for its turn among the clients.
const background = 1<<64 - 1

// oneByOne does a page row by row, and leaves those out that PostgreSQL refuses: of several it says only of one.
func (r *Reindexer) oneByOne(ctx context.Context, name string, pace bucket.Pace) (s *step, err error) {
	single := bucket.Pace{Batch: 1, Rate: pace.Rate}
	for range pace.Batch {
		if s, err = r.step(ctx, name, single, true, nil); object.RowRefused(err) {
			s, err = r.step(ctx, name, single, true, err)
		}
		if err != nil || s.ended {
			break
		}
	}
	return s, err
}

// step does one step. With refused it only passes over the next row, because that is the answer to it.
func (r *Reindexer) step(ctx context.Context, name string, pace bucket.Pace, hurry bool, refused error) (s *step, err error) {
	begin := time.Now()
	err = r.Store.InReindexing(ctx, name, hurry, func(tx object.Tx, j *bucket.ReindexJob) error {
		b, err := r.Cache.Get(ctx, tx, name, true)
		if err != nil {
			return err
		}
		s = &step{ReindexJob: j, r: r, tx: tx, b: b}
		j.By, j.Problem = r.By, ""
		work, err := s.begin(ctx)
		if err != nil || !work {
			return err
		}
		if s.After == "" {
			s.Missed, s.Unfit, s.Examples = 0, 0, nil
		}
		if refused != nil {
			err = s.passOver(ctx, refused)
		} else {
			err = s.page(ctx, pace.Batch)
		}
		if s.Wait == 0 {
			s.Wait = pauseAfter(s.rows, time.Since(begin), pace)
		}
		return err
	})
	return s, err
}

// begin finds out what there is to do: it is false if there are no rows to look at now.
func (s *step) begin(ctx context.Context) (work bool, err error) {
	version := string(jsvalue.AppendNumber(nil, s.b.Version))
	s.Pending = s.b.Pending
	switch same := s.Version == version; {
	case s.Pending && same && s.Finished.IsZero():
		return true, nil
	case s.Pending:
		*s.ReindexJob = bucket.ReindexJob{
			Bucket: s.Bucket, Pending: true, Paused: s.Paused, Version: version, Pass: 1, By: s.By,
			Began: time.Now().Truncate(time.Millisecond), // as it is read
		}
		s.Total, err = object.CountStale(ctx, s.tx, s.b)
		return true, err
	case s.Version == "":
		return false, errNothing
	case !same: // the next definition asked for none
		s.Swept = true
		return false, nil
	case s.Finished.IsZero(): // by a client
		s.finish()
		return false, nil
	}
	return !s.Swept, nil
}

// finish notes that the indexes can be used.
func (s *step) finish() {
	s.Finished, s.After, s.Missed, s.Unfit, s.Examples, s.Wait = time.Now(), "", 0, 0, nil, sweepAfter
}

// page reindexes the next rows.
func (s *step) page(ctx context.Context, limit int) error {
	done, err := object.Refill(ctx, s.tx, s.b, s.After, limit)
	if err != nil {
		return err
	}
	s.rows = done.Written
	s.After = done.Last
	s.Done += int64(done.Written)
	s.Missed += int64(done.Missed)
	for _, u := range done.Unfit {
		s.unfit(u.Key, u.Err)
	}
	s.measure()
	if done.End {
		return s.endPass(ctx)
	}
	return nil
}

// measure averages the rate over the last steps. One that came after a rest says nothing.
func (s *step) measure() {
	const rest, weight = 30 * time.Second, 0.1
	if s.Since <= 0 || s.Since > rest || s.rows == 0 {
		return
	}
	now := float64(s.rows) / s.Since.Seconds()
	if s.Rate == 0 {
		s.Rate = now
	}
	s.Rate += weight * (now - s.Rate)
}

// unfit counts a row that cannot be reindexed as it is.
func (s *step) unfit(key string, why error) {
	if s.Unfit++; s.Unfit <= maxExamples {
		s.Examples = append(s.Examples, fmt.Sprintf("%q: %s", key, said(why)))
	}
}

// passOver leaves out the next row.
func (s *step) passOver(ctx context.Context, why error) error {
	key, found, err := object.NextStale(ctx, s.tx, s.b, s.After)
	switch {
	case err != nil:
		return err
	case !found:
		return s.endPass(ctx)
	}
	s.After = key
	s.unfit(key, why)
	return nil
}

// endPass concludes a pass over the rows: the indexes can be used if none is left, otherwise there is another one.
func (s *step) endPass(ctx context.Context) error {
	s.ended = true
	if !s.Pending {
		s.Swept = true
		return nil
	}
	if s.Missed == 0 && s.Unfit == 0 {
		finished, err := object.FinishReindexing(ctx, s.tx, s.b)
		if err != nil {
			return err
		}
		if finished {
			s.finish()
			return nil
		}
	}
	s.After = ""
	s.Pass++
	s.Wait = missedPause
	if s.Missed == 0 && s.Unfit > 0 {
		s.Wait = unfitPause
	}
	return nil
}
