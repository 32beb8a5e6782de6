package pgstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// jobColumns are the columns of a reindexing job, in the order in which readJob reads them.
const jobColumns = `r.version, r.after_key, r.pass, r.total, r.done, r.missed, r.unfit, array_to_json(r.examples), r.problem, r.rate,
 r.paused, r.swept, r.worker, extract(epoch FROM r.began), extract(epoch FROM r.noted), extract(epoch FROM r.finished),
 extract(epoch FROM r.due - clock_timestamp()), extract(epoch FROM clock_timestamp() - r.noted)`

// readJob reads the columns above into a job of which it is known whether it is pending.
func readJob(j *bucket.ReindexJob, row object.Row) error {
	j.Version, j.After, j.Examples, j.Problem = string(row[0]), string(row[1]), query.Names(row[7]), string(row[8])
	j.Paused, j.Swept, j.By = string(row[10]) == "t", string(row[11]) == "t", string(row[12])
	var pass int64
	if err := integers(row[2:], &pass, &j.Total, &j.Done, &j.Missed, &j.Unfit); err != nil {
		return err
	}
	j.Pass = int(pass)
	var numbers [6]float64
	for i, text := range slices.Concat(row[9:10], row[13:18]) {
		if text == nil {
			continue
		}
		var err error
		if numbers[i], err = strconv.ParseFloat(string(text), 64); err != nil {
			return err
		}
	}
	j.Rate, j.Began, j.Noted = numbers[0], at(numbers[1]), at(numbers[2])
	if numbers[3] != 0 {
		j.Finished = at(numbers[3])
	}
	j.Wait, j.Since = seconds(numbers[4]), seconds(numbers[5])
	if j.Pending && !j.Finished.IsZero() { // the definition changed since: what was done is about another one
		*j = bucket.ReindexJob{Bucket: j.Bucket, Pending: true, Pace: j.Pace, Paused: j.Paused}
	}
	return nil
}

// at is a moment in seconds since the epoch, to the millisecond.
func at(epoch float64) time.Time { return time.UnixMilli(int64(math.Round(epoch * 1000))).UTC() }

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// ReindexJobs implements reconcile.ReindexStore.
func (s *Store) ReindexJobs(ctx context.Context) (jobs []*bucket.ReindexJob, err error) {
	err = s.inTx(ctx, waitBriefly, func(t *tx) error {
		jobs = nil
		managed, err := t.hasTable(ctx, managedTable)
		if err != nil {
			return err
		}
		begun, err := t.hasTable(ctx, reindexingTable)
		if err != nil {
			return err
		}
		pace, rest := `NULL, NULL`, ``
		if managed {
			pace, rest = `m.rate, m.batch`, ` LEFT JOIN _moray.managed m ON m.bucket = c.name`
		}
		columns, known := ``, `false`
		if begun {
			columns, known = `, `+jobColumns, `r.bucket IS NOT NULL`
			rest += ` LEFT JOIN _moray.reindexing r ON r.bucket = c.name`
		}
		_, err = t.Do(ctx, &query.Statement{
			SQL: `SELECT c.name, ` + pending + `, ` + pace + `, ` + known + columns + ` FROM buckets_config c` + rest +
				` WHERE ` + pending + ` OR ` + known + ` ORDER BY c.name`,
		}, func(row object.Row) error {
			j := &bucket.ReindexJob{Bucket: string(row[0]), Pending: string(row[1]) == "t"}
			jobs = append(jobs, j)
			if j.Pace, err = readPace(row[2], row[3]); err != nil || string(row[4]) != "t" {
				return err
			}
			return readJob(j, row[5:])
		})
		return err
	})
	return jobs, err
}

// pending tells buckets that are to be reindexed. The column is missing in databases where no bucket was ever updated.
const pending = `coalesce(to_jsonb(c) ->> '` + reindexActive + `', '') NOT IN ('', '{}')`

// InReindexing implements reconcile.ReindexStore.
func (s *Store) InReindexing(ctx context.Context, name string, hurry bool, fn func(object.Tx, *bucket.ReindexJob) error) error {
	if err := s.needTable(ctx, reindexingTable); err != nil {
		return err
	}
	return s.inTx(ctx, waitBriefly, func(t *tx) error {
		j := &bucket.ReindexJob{Bucket: name} // anew each time that this runs
		mine, err := t.lockJob(ctx, j)
		if err == nil && !mine {
			if err = t.addJob(ctx, name); err == nil {
				mine, err = t.lockJob(ctx, j)
			}
		}
		switch {
		case err != nil:
			return err
		case !mine, !hurry && (j.Paused || j.Wait > 0):
			return bucket.ErrBusy
		}
		j.Wait = 0
		if err := fn(t, j); err != nil {
			return err
		}
		return t.keepJob(ctx, j)
	})
}

// needTable creates one of our tables unless it exists, in a transaction of its own.
func (s *Store) needTable(ctx context.Context, table string) error {
	return retryLocks(ctx, func() error {
		return s.inTx(ctx, waitBriefly, func(t *tx) error { return t.needTable(ctx, table) })
	})
}

// lockJob locks a job and reads it. It is false if there is none, or somebody else has it.
func (t *tx) lockJob(ctx context.Context, j *bucket.ReindexJob) (mine bool, err error) {
	_, err = t.Do(ctx, &query.Statement{
		SQL: `SELECT (SELECT ` + pending + ` FROM buckets_config c WHERE c.name = r.bucket), ` + jobColumns +
			` FROM _moray.reindexing r WHERE bucket = $1 FOR UPDATE SKIP LOCKED`,
		Args: [][]byte{[]byte(j.Bucket)},
	}, func(row object.Row) error {
		mine = true
		j.Pending = string(row[0]) == "t"
		return readJob(j, row[1:])
	})
	return mine, err
}

func (t *tx) addJob(ctx context.Context, name string) error {
	_, err := t.Do(ctx, &query.Statement{
		SQL:  `INSERT INTO _moray.reindexing (bucket) VALUES ($1) ON CONFLICT DO NOTHING`,
		Args: [][]byte{[]byte(name)},
	}, nil)
	return err
}

// keepJob stores how far a job is. Whether it is paused is not for those who work on it to say.
func (t *tx) keepJob(ctx context.Context, j *bucket.ReindexJob) error {
	began, finished := any(nil), any(nil)
	if !j.Began.IsZero() {
		began = j.Began.UTC().Format(time.RFC3339Nano)
	}
	if !j.Finished.IsZero() {
		finished = j.Finished.UTC().Format(time.RFC3339Nano)
	}
	st := &query.Statement{SQL: `UPDATE _moray.reindexing SET version = $2, after_key = $3, pass = $4, total = $5, done = $6, missed = $7, unfit = $8,
 examples = $9, problem = $10, rate = $11, swept = $12, worker = $13, began = coalesce($14, now()), noted = clock_timestamp(), finished = $15,
 due = clock_timestamp() + $16 * interval '1 microsecond' WHERE bucket = $1`}
	for _, a := range []any{
		j.Bucket, j.Version, j.After, j.Pass, j.Total, j.Done, j.Missed, j.Unfit, textArray(j.Examples), j.Problem, j.Rate, j.Swept, j.By,
		began, finished, j.Wait.Microseconds(),
	} {
		var text []byte
		if a != nil {
			text = fmt.Append([]byte{}, a)
		}
		st.Args = append(st.Args, text)
	}
	_, err := t.Do(ctx, st, nil)
	return err
}

// PauseReindexing implements reconcile.ReindexStore.
func (s *Store) PauseReindexing(ctx context.Context, name string, paused bool) error {
	if err := s.needTable(ctx, reindexingTable); err != nil {
		return err
	}
	return s.inTx(ctx, waitBriefly, func(t *tx) error {
		return t.keep(ctx, `INSERT INTO _moray.reindexing (bucket, paused) VALUES ($1, $2::boolean)
 ON CONFLICT (bucket) DO UPDATE SET paused = excluded.paused`, name, paused)
	})
}

// forgetJob forgets the job of a bucket that goes.
func (t *tx) forgetJob(ctx context.Context, name string) error {
	exists, err := t.hasTable(ctx, reindexingTable)
	if err != nil || !exists {
		return err
	}
	return t.keep(ctx, `DELETE FROM _moray.reindexing WHERE bucket = $1`, name)
}
