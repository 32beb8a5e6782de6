package bulk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// job is an object to be stored.
type job struct {
	line   int64
	bucket string
	object
}

// workers start those who store objects. All objects of a key go to the same one.
func (l *Load) workers(ctx context.Context) ([]chan job, *sync.WaitGroup) {
	all := new(sync.WaitGroup)
	jobs := make([]chan job, max(l.Concurrency, 1))
	for i := range jobs {
		jobs[i] = make(chan job, 4)
		all.Go(func() {
			for j := range jobs[i] {
				if l.stopped() {
					continue
				}
				note, err := l.store(ctx, &j)
				if err = l.bad(j.line, j.bucket, j.key, err); err != nil {
					l.fail(err)
					continue
				}
				l.ledger.end(j.line, note)
			}
		})
	}
	return jobs, all
}

// bad returns the error of a line, or nil after telling it if such lines are skipped.
func (l *Load) bad(line int64, bucket, key string, err error) error {
	if err == nil {
		return nil
	}
	err = &LineError{line, bucket, key, err}
	if !l.SkipErrors || passing(errors.Unwrap(err)) {
		return err
	}
	failed := l.ledger.failed()
	if failed <= shownErrors {
		l.notice("%v", err)
	}
	return nil
}

// store stores one object.
func (l *Load) store(ctx context.Context, j *job) (note func(*Result), err error) {
	o := client.WriteOptions{}
	if l.KeepExisting {
		o.Etag = client.IfAbsent
	}
	var etag string
	err = persist(ctx, l.Patience, l.lost, func() (bool, error) {
		etag, err = l.Client.PutObject(ctx, j.bucket, j.key, []byte(j.value), &o)
		return false, err
	})
	switch {
	case l.KeepExisting && named(err, "EtagConflictError"):
		return func(r *Result) { r.Existing++ }, nil
	case err != nil:
		return nil, err
	case j.etag == "" || j.etag == etag || l.NewEtags:
		return nil, nil
	case etag != checksum(j.value):
		return func(r *Result) { r.Changed++ }, nil
	}
	err = persist(ctx, l.Patience, l.lost, func() (bool, error) { return false, l.keepEtag(ctx, j, etag) })
	return func(r *Result) { r.Etags++ }, err
}

// checksum is the etag that the server gives a value.
func checksum(value jsvalue.Value) string {
	v, printed, err := jsvalue.ParsePrinted(value)
	if err == nil && !printed {
		v = jsvalue.AppendPrinted(nil, v)
	}
	return jsvalue.Etag(v)
}

// keepEtag gives an object the etag of its line: updateObjects and reindexObjects leave etags that are not checksums.
func (l *Load) keepEtag(ctx context.Context, j *job, has string) error {
	for _, err := range l.Client.SQL(ctx, query.KeepEtag(j.bucket), []any{j.etag, j.key, has}, nil) {
		if named(err, "AccessDeniedError") {
			return fmt.Errorf("%w; etags that are no checksums are kept with sql, --new-etags does without", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lost tells of an outage, once for all workers.
func (l *Load) lost(err error) {
	l.outage.Lock()
	defer l.outage.Unlock()
	if errors.Is(err, fast.ErrDetached) || time.Since(l.told) < 10*time.Second {
		return
	}
	l.told = time.Now()
	l.notice("%v; trying again", err)
}
