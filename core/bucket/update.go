package bucket

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Update replaces the definition of a bucket, as a client asks. With noReindex, or without a version, added columns count as
// usable at once. The faults are those of [ParseConfig], BucketNotFound, BucketVersion, BucketProtected, InvalidBucketConfig
// for a change of type without a version, InvalidIndexType for a value that does not fit a new type, and what PostgreSQL says
// about the changes.
//
// Writers go on while indexes are built: the definition comes last, see online.go. Where there is nothing to build, or no row
// to build it over, one transaction does it all. The cached definition is gone when Update returns, so the caller's next
// request sees the new one.
func (s *Service) Update(ctx context.Context, name string, config jsvalue.Value, noReindex bool) error {
	return s.update(ctx, &request{name: name, config: config, noReindex: noReindex})
}

// request is what an update is asked for.
type request struct {
	name      string
	config    jsvalue.Value
	noReindex bool
	// Of a document only: who owns the bucket from now on, and the generation of the definition that is to be replaced.
	owner      *Owner
	generation uint32

	next *Config // what config says, once it is checked
}

func (s *Service) update(ctx context.Context, r *request) error {
	atOnce := func(tx Tx) (err error) {
		if r.next == nil { // as the original, which says that the database is down before it says what is wrong with config
			if r.next, err = ParseConfig(ctx, s.Triggers, r.name, r.config); err != nil {
				return err
			}
		}
		u, err := plan(ctx, tx, r)
		if err != nil {
			return err
		}
		if u.builds() {
			empty, err := tx.Empty(ctx, u.bucket.Table)
			if err != nil {
				return err
			}
			if !empty {
				return errTakesLong
			}
		}
		return u.atOnce(ctx, tx)
	}
	err := s.Store.InBucketTx(ctx, atOnce)
	if errors.Is(err, errNoReindexing) {
		if err = s.Store.InBucketTx(ctx, func(tx Tx) error { return tx.AddReindexing(ctx) }); err == nil {
			err = s.Store.InBucketTx(ctx, atOnce)
		}
	}
	if errors.Is(err, errTakesLong) {
		err = s.updateOnline(ctx, r)
	}
	s.Cache.Forget(r.name) // also after an error: the commit may have happened all the same
	if errors.Is(err, errSame) {
		return nil
	}
	return err
}

// errSame says that a protected bucket has the definition already that a client wants to give it.
var errSame = errors.New("nothing is to be changed")

var (
	// errTakesLong says that an update is not for one transaction.
	errTakesLong = errors.New("indexes have to be built over rows")
	// errNoReindexing says that an update passed its checks and needs the column reindex_active, which the database lacks. Every
	// request reads buckets_config, so no transaction may change it and then wait for others.
	errNoReindexing = errors.New("buckets_config has no column reindex_active")
)

// update is one updateBucket under way, after its checks.
type update struct {
	bucket     *Bucket // the definition to replace
	next       *Config
	owner      *Owner // nil if a client asks
	diff       Diff
	reindex    bool   // note the added columns as being reindexed
	reindexing []byte // what becomes of reindex_active; nil if it stays NULL
	rowVersion bool   // the column _rver is there, and its index
	names      *Namer
	indexes    []Index // of the table, before
}

// plan finds out what there is to do. It locks the definition.
func plan(ctx context.Context, tx Tx, r *request) (*update, error) {
	record, err := tx.LockConfig(ctx, r.name)
	if err != nil {
		return nil, err
	}
	if record == nil && r.owner != nil {
		return nil, ErrMoved
	}
	if record == nil {
		return nil, notFound(r.name)
	}
	current, err := Load(record)
	if err != nil {
		return nil, err
	}
	next := r.next
	if err := r.check(ctx, tx, current, record); err != nil {
		return nil, err
	}
	u := &update{
		bucket: current, next: next, owner: r.owner,
		diff:    Compare(current.Columns, next.Columns),
		reindex: next.Version != 0 && !r.noReindex,
	}
	if err := u.checkRetype(); err != nil {
		return nil, err
	}
	if has, err := tx.HasReindexing(ctx); err != nil || !has {
		return nil, cmp.Or(err, errNoReindexing)
	}
	u.reindexing = nextReindexing(record.Reindexing, next.Version, u.reindex, u.diff.Add, slices.Concat(u.diff.Drop, u.diff.Retype))
	if u.indexes, err = tx.Indexes(ctx, current.Table); err != nil {
		return nil, err
	}
	relations := newTable(r.name, next)
	taken := []string{relations.Sequence, relations.LockTable}
	for _, index := range u.indexes {
		taken = append(taken, index.Name)
		u.rowVersion = u.rowVersion || index.Column == "_rver" && index.Valid
	}
	u.names = NewNamer(current.Table, taken...)
	return u, nil
}

// check refuses requests that the stored definition does not let pass.
func (r *request) check(ctx context.Context, tx Tx, current *Bucket, record *Record) error {
	if r.owner != nil && current.Generation != r.generation {
		return ErrMoved
	}
	if err := checkVersion(current, r.next); err != nil || r.owner != nil {
		return err
	}
	err := refuseProtected(ctx, tx, r.name)
	if err != nil && record.Fingerprint() == r.next.Fingerprint() {
		return errSame // services that state their definition at every start go on
	}
	return err
}

// checkVersion lets only a higher version take the place of a versioned definition.
func checkVersion(current *Bucket, next *Config) error {
	if current.Version != 0 && current.Version >= next.Version {
		return fault.New(fault.BucketVersion, "%s has a newer version than %s (%s)", current.Name,
			jsvalue.AppendNumber(nil, next.Version), jsvalue.AppendNumber(nil, current.Version))
	}
	return nil
}

// checkRetype refuses changes of type that no version announces: other servers would go on with the old type.
func (u *update) checkRetype() error {
	for _, c := range u.diff.Retype {
		if u.next.Version == 0 {
			return fault.New(fault.InvalidBucketConfig, `index "%s" can change its type from %s to %s only with a higher version`,
				c.Name, u.bucket.Column(c.Name).Type, c.Type)
		}
	}
	return nil
}

// builds reports whether there are columns to fill or indexes to build.
func (u *update) builds() bool {
	return u.reindex && !u.rowVersion || len(u.diff.Add)+len(u.diff.Retype)+len(u.diff.Unique)+len(u.diff.NotUnique) > 0
}

// atOnce makes the whole update in one transaction, in the original's order: the row version, the definition, columns that go,
// columns that come, indexes, unique ones last.
func (u *update) atOnce(ctx context.Context, tx Tx) error {
	table := u.bucket.Table
	if u.reindex && !u.rowVersion {
		if err := tx.AddRowVersion(ctx, table); err != nil {
			return err
		}
		if err := tx.CreateIndex(ctx, table, u.rowVersionIndex()); err != nil {
			return err
		}
	}
	if err := u.store(ctx, tx); err != nil {
		return err
	}
	if err := tx.AddColumns(ctx, table, u.diff.Add); err != nil {
		return err
	}
	for _, c := range u.diff.Retype {
		shadow := Shadow{Column: c.Ident, Type: c.Type}
		if err := tx.AddShadow(ctx, table, shadow); err != nil {
			return err
		}
		if err := u.fill(ctx, tx, c); err != nil {
			return err
		}
		if err := tx.Replace(ctx, table, shadow); err != nil {
			return err
		}
	}
	u.release(u.diff.Retype)
	if err := u.dropIndexes(ctx, tx); err != nil {
		return err
	}
	for _, index := range u.newIndexes() {
		if err := tx.CreateIndex(ctx, table, index); err != nil {
			return err
		}
	}
	return nil
}

// store writes the definition and takes away what it no longer has.
func (u *update) store(ctx context.Context, tx Tx) error {
	if err := tx.UpdateConfig(ctx, u.bucket.Name, u.next, u.reindexing); err != nil {
		return err
	}
	if u.owner != nil {
		if err := tx.Own(ctx, u.owner); err != nil {
			return err
		}
	}
	if u.next.Ordered && !u.bucket.Ordered {
		if err := tx.CreateLockTable(ctx, LockTable(u.bucket.Name)); err != nil {
			return err
		}
	}
	if err := tx.DropColumns(ctx, u.bucket.Table, u.diff.Drop); err != nil {
		return err
	}
	u.release(u.diff.Drop)
	return nil
}

// newIndexes are the indexes to make, with their names, unique ones last.
func (u *update) newIndexes() []Index {
	var plain, unique []Index
	for _, c := range slices.Concat(u.diff.Add, u.diff.Retype, u.diff.Unique, u.diff.NotUnique) {
		index := Index{Name: u.names.Index(c.Ident), Column: c.Ident, Method: c.Type.IndexMethod(), Unique: c.Unique}
		if c.Unique {
			unique = append(unique, index)
		} else {
			plain = append(plain, index)
		}
	}
	return append(plain, unique...)
}

func (u *update) rowVersionIndex() Index {
	return Index{Name: u.names.Index("_rver"), Column: "_rver", Method: "BTREE"}
}

// dropIndexes removes the indexes of columns that became unique, or are not unique any more.
func (u *update) dropIndexes(ctx context.Context, tx Tx) error {
	changed := slices.Concat(u.diff.Unique, u.diff.NotUnique)
	for _, c := range changed {
		for _, i := range u.indexes {
			if i.Column != c.Ident {
				continue
			}
			if err := tx.DropIndex(ctx, u.bucket.Table, i); err != nil {
				return err
			}
		}
	}
	u.release(changed)
	return nil
}

// release gives the names of the indexes of columns free, because the indexes are gone.
func (u *update) release(columns []Column) {
	for _, c := range columns {
		for _, i := range u.indexes {
			if i.Column == c.Ident {
				u.names.Release(i.Name)
			}
		}
	}
}
