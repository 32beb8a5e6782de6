package object

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Put is a request to write one object.
type Put struct {
	Bucket  string
	Key     string
	Value   *jsvalue.Object
	Expects Precondition
	Fresh   bool          // load the bucket's definition anew
	Headers jsvalue.Value // for the bucket's hooks: an object; nil for none
}

// Put writes an object and returns its etag. The faults are BucketNotFound, EtagConflict, InvalidIndexType, UniqueAttribute,
// InvalidObject, what hooks say, and what PostgreSQL says about the values.
func (s *Service) Put(ctx context.Context, p *Put) (etag string, err error) {
	w := newWriting(p, s.mtime())
	b, err := s.Buckets.Get(ctx, s.Store, p.Bucket, p.Fresh)
	if err != nil {
		return "", err
	}
	if pure := s.pure(b); pure || b.Plain() {
		if pure {
			err = s.prePure(ctx, b, w)
		}
		switch {
		case errors.Is(err, ErrNeedsTx):
		case err != nil:
			// In a transaction the definition would have been looked at before the hooks ran.
			current, reloaded := s.Buckets.Get(ctx, s.Store, p.Bucket, true)
			if reloaded != nil || current.Generation == b.Generation {
				return "", cmp.Or(reloaded, err)
			}
		default:
			done, err := w.atOnce(b, func(st *query.Statement, row func(Row) error) error { return s.Store.Do(ctx, st, row) })
			if done {
				return w.etag, err
			}
			s.Buckets.Forget(p.Bucket) // for all that is known it is out of date
		}
	}
	err = s.inTx(ctx, p.Bucket, func(tx Tx) error {
		b, err := s.Buckets.Get(ctx, tx, p.Bucket, false)
		if err != nil {
			return err
		}
		w = newWriting(p, w.mtime) // hooks may have changed it in an attempt before
		w.alone = true
		return s.put(ctx, tx, b, w)
	})
	return w.etag, err
}

// writing is a put under way.
type writing struct {
	*Put
	mtime int64
	alone bool // nothing else is done in its transaction

	// What is to be written: as the request says, or as the hooks left it.
	key   string
	value *jsvalue.Object
	text  jsvalue.Value // of value
	etag  string
}

func newWriting(p *Put, mtime int64) *writing {
	return &writing{Put: p, mtime: mtime, key: p.Key, value: p.Value, text: p.Value.Text(), etag: jsvalue.Etag(p.Value.Text())}
}

// row returns what is to be stored.
func (w *writing) row(b *bucket.Bucket) (*query.Put, error) {
	if err := b.Schema.Check(b.Name, w.key, w.text); err != nil {
		return nil, err
	}
	texts, err := columns(b, w.value)
	if err != nil {
		return nil, err
	}
	return &query.Put{
		Key: w.key, Value: jsvalue.Sanitize(w.text), Etag: w.etag, Mtime: w.mtime,
		Vnode: vnode(w.value), Columns: texts,
	}, nil
}

// atOnce writes with one statement that commits itself. done is false if nothing was written and the steps have to tell why, or
// to try again: the definition is not current, another request was at the object at the same moment, or the value does not fit
// the definition, which may not be current, while the precondition comes first.
func (w *writing) atOnce(b *bucket.Bucket, do doFunc) (done bool, err error) {
	row, err := w.row(b)
	if err != nil {
		return false, nil
	}
	var answer putAnswer
	switch statements := query.For(b); w.Expects.kind {
	case anything:
		answer, err = putAny(statements, row, do)
	case nothing:
		answer, err = runPut(statements.PutNew(row), do)
	case exactly:
		answer, err = runPut(statements.PutIf(row, w.Expects.etag), do)
	}
	switch {
	case isStale(err), errors.Is(err, ErrRefused):
		return false, nil
	case err != nil:
		return true, explain(err, b, w.key)
	case answer.written:
		return true, nil
	case !answer.came:
		return false, nil
	}
	// The object that was there when it was looked at does not fit, unless it was changed back just then.
	err = w.Expects.check(b, w.key, answer.actual)
	return err != nil, err
}

// putAnswer is the row with which a put that commits itself answers.
type putAnswer struct {
	came        bool // there was a row
	written     bool
	overwritten bool   // it was an update
	actual      []byte // if it was not written: the etag of the object that is there, nil if there is none
}

func runPut(st *query.Statement, do doFunc) (a putAnswer, err error) {
	err = do(st, func(r Row) error {
		a = putAnswer{came: true, written: r[0] != nil, overwritten: isTrue(r[0]), actual: bytes.Clone(r[1])}
		return nil
	})
	return a, err
}

// putAny writes an object whatever is there: with the cheaper statement, which only overwrites, if that is likely to do.
func putAny(statements *query.Objects, row *query.Put, do doFunc) (a putAnswer, err error) {
	if statements.Habit.Overwrites() {
		if a, err = runPut(statements.Overwrite(row), do); err != nil || a.written {
			return a, err
		}
	}
	if a, err = runPut(statements.PutAny(row), do); a.written {
		statements.Habit.Note(a.overwritten)
	}
	return a, err
}

// put writes step by step in tx. The error is ErrStale if hooks would have to run again: what they did has to be undone first.
func (s *Service) put(ctx context.Context, tx Tx, b *bucket.Bucket, w *writing) error {
	statements := query.For(b)
	for range maxAttempts {
		actual, err := lock(ctx, tx, b, statements.Lock(w.key))
		if err != nil {
			return err
		}
		if len(b.Pre) > 0 {
			if err := s.pre(ctx, tx, b, w, actual != nil); err != nil {
				return err
			}
			if w.key != w.Key {
				if actual, err = lock(ctx, tx, b, statements.Lock(w.key)); err != nil {
					return err
				}
			}
		}
		written, err := s.write(ctx, tx, b, w, actual)
		if err != nil || written {
			return err
		}
		// The row or the definition changed since it was locked: look again.
		if len(b.Pre) > 0 {
			return ErrStale
		}
	}
	return errBusy
}

// write writes what was locked: actual is the etag of the object there, nil if there is none. It reports false if another
// request inserted the object, or changed the definition, since then.
func (s *Service) write(ctx context.Context, tx Tx, b *bucket.Bucket, w *writing, actual []byte) (written bool, err error) {
	if err := w.Expects.check(b, w.key, actual); err != nil {
		return false, err
	}
	row, err := w.row(b)
	if err != nil {
		return false, err
	}
	var previous jsvalue.Value
	if len(b.Post) > 0 && actual != nil {
		if previous, err = s.previous(ctx, tx, b, w.key); err != nil {
			return false, err
		}
	}
	statements := query.For(b)
	if b.Ordered {
		if row.Serial, err = serial(ctx, tx, statements.Serial()); err != nil {
			return false, err
		}
	}
	st := statements.Insert(row)
	if actual != nil {
		st = statements.Update(row)
	}
	run := tx.Do
	if w.alone && len(b.Post) == 0 && !b.Ordered {
		run = tx.Last // if it writes nothing, there was nothing before it to be undone
	}
	var id []byte
	_, err = run(ctx, st, func(r Row) error {
		written, id = true, bytes.Clone(r[0])
		return nil
	})
	if err != nil || !written {
		return false, explain(err, b, w.key)
	}
	if len(b.Post) > 0 {
		err = s.post(ctx, tx, b, w, row, id, previous, actual != nil)
	}
	return true, err
}

func isStale(err error) bool { return errors.Is(err, ErrStale) }

// lock locks a row and returns its etag, nil if there is none. It fails with ErrStale if b is not the stored definition.
func lock(ctx context.Context, tx Tx, b *bucket.Bucket, st *query.Statement) (etag []byte, err error) {
	current := false
	_, err = tx.Do(ctx, st, func(r Row) error {
		if r[0] != nil {
			etag = append([]byte{}, r[0]...)
		}
		current = string(r[1]) == strconv.FormatUint(uint64(b.Generation), 10)
		return nil
	})
	if err == nil && !current {
		err = ErrStale
	}
	return etag, err
}

// serial draws the next number of an ordered bucket.
func serial(ctx context.Context, tx Tx, st *query.Statement) (number []byte, err error) {
	_, err = tx.Do(ctx, st, func(r Row) error {
		number = append([]byte{}, r[0]...)
		return nil
	})
	if err == nil && number == nil {
		err = fault.New(fault.Internal, "the lock table of the ordered bucket is empty")
	}
	return number, err
}
