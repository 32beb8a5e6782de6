package bucket

import (
	"context"
	"errors"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Owner says which document a bucket was defined by, and how it is managed. It is kept beside the definition, not in it:
// nothing of it concerns clients, but for Protect.
type Owner struct {
	Bucket   string
	Source   string // the file
	Revision string // of the files; may be empty
	Document []byte // what was applied, a JSON text
	Hash     string // of the document
	// Fingerprint is that of the definition as it was applied: a bucket that has another one was changed by a client since.
	Fingerprint string
	// Superseded are the hashes of documents that were applied before and are out of date.
	Superseded []string
	Protect    bool  // refuse clients that want to change or delete the bucket
	Pace       *Pace // how servers fill new indexes; nil: they do not
	By         string
	Applied    time.Time // set by the database
}

// Pace says how fast new indexes are filled behind the clients' requests.
type Pace struct {
	Rate  int // rows a second; 0 is no bound
	Batch int // rows a transaction
}

// Live is a bucket as it is in the database.
type Live struct {
	Record *Record // nil if there is no such bucket; without what the catalogue knows
	Owner  *Owner  // nil if no document defines it
	// Fingerprint is that of the record, empty without one.
	Fingerprint string
}

// Name is the name of the bucket.
func (l Live) Name() string {
	if l.Record != nil {
		return l.Record.Name
	}
	return l.Owner.Bucket
}

// Application is what a document asks for.
type Application struct {
	// Definition is what createBucket would be asked for.
	Definition jsvalue.Value
	Owner      *Owner
	// Generation is that of the definition that Definition is to replace; 0 if there is no such bucket.
	Generation uint32
	// Keep says that the definition is to stay as it is: only the owner is noted.
	Keep bool
}

// ErrMoved says that a bucket is no longer as it was when the change was planned. Nothing was changed.
var ErrMoved = errors.New("the bucket changed since this was planned")

// ErrBusy says that another one is doing what only one at a time may do.
var ErrBusy = errors.New("another one is at it")

// Apply creates a bucket, or changes its definition, as a document asks, and notes its owner in the same transaction. It does
// so as Create and Update do. The faults are theirs; ErrMoved says that there is another definition than the one to replace.
func (s *Service) Apply(ctx context.Context, name string, a *Application) error {
	switch {
	case a.Keep:
		return s.note(ctx, name, a)
	case a.Generation == 0:
		return s.create(ctx, name, a.Definition, a.Owner)
	}
	return s.update(ctx, &request{name: name, config: a.Definition, owner: a.Owner, generation: a.Generation})
}

// note notes the owner of a bucket that is as it should be.
func (s *Service) note(ctx context.Context, name string, a *Application) error {
	return s.Store.InBucketTx(ctx, func(tx Tx) error {
		if err := lockUnmoved(ctx, tx, name, a.Generation); err != nil {
			return err
		}
		return tx.Own(ctx, a.Owner)
	})
}

// Release forgets the owner of a bucket, and leaves the bucket as it is.
func (s *Service) Release(ctx context.Context, name string) error {
	return s.Store.InBucketTx(ctx, func(tx Tx) error { return tx.Disown(ctx, name) })
}

// Remove deletes a bucket with all its objects, and forgets its owner, if it has still the definition of a generation, else it
// is ErrMoved.
func (s *Service) Remove(ctx context.Context, name string, generation uint32) error {
	err := s.Store.InBucketTx(ctx, func(tx Tx) error {
		if err := lockUnmoved(ctx, tx, name, generation); err != nil {
			return err
		}
		if err := tx.Disown(ctx, name); err != nil {
			return err
		}
		return remove(ctx, tx, name)
	})
	s.Cache.Forget(name)
	return err
}

// lockUnmoved locks the definition of a bucket. It is ErrMoved if that is not of the generation.
func lockUnmoved(ctx context.Context, tx Tx, name string, generation uint32) error {
	record, err := tx.LockConfig(ctx, name)
	if err == nil && (record == nil || record.Generation != generation) {
		err = ErrMoved
	}
	return err
}

// refuseProtected refuses what a client wants to do to a bucket that only its document may change.
func refuseProtected(ctx context.Context, tx Tx, name string) error {
	owner, err := tx.Owner(ctx, name)
	if err != nil || owner == nil || !owner.Protect {
		return err
	}
	return fault.New(fault.BucketProtected, "%s is protected: it can be changed only in %s", name, owner.Source).
		With("bucket", name, "source", owner.Source)
}
