package bucket

import (
	"context"
	"fmt"
	"slices"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Update replaces the definition of a bucket and changes its table to fit. With noReindex, or without a version, added
// columns count as usable at once. The faults are those of [ParseConfig], BucketNotFound, BucketVersion, InvalidBucketConfig
// for a change of type without a version, and what PostgreSQL says about the changes.
//
// The cached definition is gone when Update returns, so the caller's next request sees the new one.
func (s *Service) Update(ctx context.Context, name string, config jsvalue.Value, noReindex bool) error {
	err := s.Store.InBucketTx(ctx, func(tx Tx) error {
		next, err := ParseConfig(name, config)
		if err != nil {
			return err
		}
		record, err := tx.LockConfig(ctx, name)
		if err != nil {
			return err
		}
		if record == nil {
			return notFound(name)
		}
		current, err := Load(record)
		if err != nil {
			return err
		}
		if err := checkVersion(current, next); err != nil {
			return err
		}
		u := update{
			tx: tx, bucket: current, next: next, stored: record.Reindexing,
			diff:    Compare(current.Columns, next.Columns),
			reindex: next.Version != 0 && !noReindex,
		}
		return u.run(ctx)
	})
	s.Cache.Forget(name)
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

// update is one updateBucket under way, after its checks.
type update struct {
	tx      Tx
	bucket  *Bucket // the definition to replace
	next    *Config
	stored  []byte // reindex_active as stored
	diff    Diff
	reindex bool // note the added columns as being reindexed
	names   *Namer
	indexes []Index // of the table
}

func (u *update) run(ctx context.Context) error {
	if err := u.checkRetype(); err != nil {
		return err
	}
	var err error
	if u.indexes, err = u.tx.Indexes(ctx, u.bucket.Table); err != nil {
		return err
	}
	taken := make([]string, len(u.indexes))
	for i, index := range u.indexes {
		taken[i] = index.Name
	}
	u.names = NewNamer(u.bucket.Table, taken...)

	if u.reindex {
		if err := u.tx.AddRowVersion(ctx, u.bucket.Table, u.rowVersionIndex()); err != nil {
			return err
		}
	}
	if err := u.tx.UpdateConfig(ctx, u.bucket.Name, u.next, u.reindexing()); err != nil {
		return err
	}
	if u.next.Ordered && !u.bucket.Ordered {
		if err := u.tx.CreateLockTable(ctx, LockTable(u.bucket.Name)); err != nil {
			return err
		}
	}
	return u.changeTable(ctx)
}

// changeTable makes the columns and indexes fit, in the original's order: drop, add, then indexes, unique ones last.
func (u *update) changeTable(ctx context.Context) error {
	table := u.bucket.Table
	if err := u.tx.DropColumns(ctx, table, u.diff.Drop); err != nil {
		return err
	}
	u.release(u.diff.Drop)
	if err := u.tx.AddColumns(ctx, table, u.diff.Add); err != nil {
		return err
	}
	for _, c := range u.diff.Retype {
		if err := u.retype(ctx, c); err != nil {
			return err
		}
	}
	u.release(u.diff.Retype)
	for _, c := range slices.Concat(u.diff.Unique, u.diff.NotUnique) {
		if err := u.dropIndexes(ctx, c.Ident); err != nil {
			return err
		}
	}
	for _, unique := range []bool{false, true} {
		for _, c := range slices.Concat(u.diff.Add, u.diff.Retype, u.diff.Unique, u.diff.NotUnique) {
			if c.Unique != unique {
				continue
			}
			index := Index{Name: u.names.Index(c.Ident), Column: c.Ident, Method: c.Type.IndexMethod(), Unique: unique}
			if err := u.tx.CreateIndex(ctx, table, index); err != nil {
				return err
			}
		}
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

// rowVersionIndex returns the name of the index on _rver, which may exist.
func (u *update) rowVersionIndex() string {
	for _, i := range u.indexes {
		if i.Column == "_rver" {
			return i.Name
		}
	}
	return u.names.Index("_rver")
}

func (u *update) dropIndexes(ctx context.Context, column string) error {
	for _, i := range u.indexes {
		if i.Column != column {
			continue
		}
		if err := u.tx.DropIndex(ctx, u.bucket.Table, i); err != nil {
			return err
		}
		u.names.Release(i.Name)
	}
	return nil
}

// release gives the names of the indexes free that went with their columns.
func (u *update) release(columns []Column) {
	for _, c := range columns {
		for _, i := range u.indexes {
			if i.Column == c.Ident {
				u.names.Release(i.Name)
			}
		}
	}
}

// reindexing returns the text of reindex_active after the update, or nil if it stays NULL. Names of columns that are gone, or
// filled by the update itself, leave it.
func (u *update) reindexing() []byte {
	if u.stored == nil && !u.reindex {
		return nil
	}
	settled := map[string]bool{}
	for _, c := range slices.Concat(u.diff.Drop, u.diff.Retype) {
		settled[c.Name] = true
	}
	version := string(jsvalue.AppendNumber(nil, u.next.Version))
	lists := map[string][]string{}
	var versions []string
	if active, err := jsvalue.ParseObject(u.stored); err == nil {
		for i := range active.Len() {
			v, names := active.At(i)
			versions = append(versions, v)
			if names.Kind() != jsvalue.KindArray {
				continue
			}
			for name := range names.Elements() {
				if name.Kind() == jsvalue.KindString && !settled[name.Text()] {
					lists[v] = append(lists[v], name.Text())
				}
			}
		}
	}
	if u.reindex {
		if !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
		for _, c := range u.diff.Add {
			if !slices.Contains(lists[version], c.Name) {
				lists[version] = append(lists[version], c.Name)
			}
		}
	}
	return printReindexing(versions, lists)
}

func printReindexing(versions []string, lists map[string][]string) []byte {
	text := []byte{'{'}
	for i, v := range versions {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(jsvalue.AppendString(text, v), ":["...)
		for j, name := range lists[v] {
			if j > 0 {
				text = append(text, ',')
			}
			text = jsvalue.AppendString(text, name)
		}
		text = append(text, ']')
	}
	return jsvalue.AppendPrinted(nil, append(text, '}')) // versions are numbers: a JavaScript object sorts them
}

// retypePage is how many rows are converted at a time.
const retypePage = 1000

// retype replaces a column by one of another type that is filled from the objects' values. A value that is not of the new
// type is InvalidIndexType.
func (u *update) retype(ctx context.Context, c Column) error {
	shadow := c
	shadow.Ident = fold("_moray_" + c.Ident) // no user can name an index so
	if err := u.tx.AddColumns(ctx, u.bucket.Table, []Column{shadow}); err != nil {
		return err
	}
	for last, more := "", true; more; {
		var keys []string
		var texts [][]byte
		rows := 0
		err := u.tx.Values(ctx, u.bucket.Table, last, retypePage, func(key string, value []byte) error {
			rows++
			last = key
			text, err := columnText(c, value)
			if err != nil || text == nil {
				return err
			}
			keys, texts = append(keys, key), append(texts, text)
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill index %s of %s with its new type: %w", c.Name, u.bucket.Name, err)
		}
		if err := u.tx.FillColumn(ctx, u.bucket.Table, shadow.Ident, c.Type, keys, texts); err != nil {
			return err
		}
		more = rows == retypePage
	}
	if err := u.tx.DropColumns(ctx, u.bucket.Table, []Column{c}); err != nil {
		return err
	}
	return u.tx.RenameColumn(ctx, u.bucket.Table, shadow.Ident, c.Ident)
}

// columnText returns the text for c that an object's value asks for, or nil for NULL.
func columnText(c Column, value []byte) ([]byte, error) {
	object, err := jsvalue.ParseObject(value)
	if err != nil {
		return nil, nil //nolint:nilerr // because a value that is not an object has no members, as for the original
	}
	member := object.Get(c.Name)
	if k := member.Kind(); k == jsvalue.KindUndefined || k == jsvalue.KindNull {
		return nil, nil
	}
	text, err := c.Type.AppendColumn([]byte{}, member)
	if err != nil {
		return nil, fault.New(fault.InvalidIndexType, "index(%s) is of type %s", c.Name, c.Type.Elem())
	}
	return text, nil
}
