package bucket

import (
	"context"
	"errors"
	"slices"
)

// An update that has to build something over rows goes in steps, with the definition last, so that a definition that anybody
// sees has its columns and valid indexes, also for servers that know nothing of this:
//
//	1  a lock that keeps other such updates of the bucket away; what an earlier one left behind is removed
//	2  a short transaction adds the columns; nobody writes them yet, so they are NULL everywhere
//	3  indexes are built beside the writers. A unique one on a column without values cannot fail; one on a column with
//	   duplicates fails, and is removed
//	4  one transaction: the definition, if it is still the one that 2 began with; columns and indexes that go or take the
//	   place of others; and the news for other servers
//
// What 2 and 3 make is recorded before it is made, and forgotten in 4. An update that does not come to 4 is cleaned up after
// by the next one, or by the next server that starts.

// ErrInterrupted says that another change of the bucket came between the steps of an update.
var ErrInterrupted = errors.New("the bucket changed meanwhile")

// maxPlans is how often an update begins anew because others come between.
const maxPlans = 10

func (s *Service) updateOnline(ctx context.Context, r *request) error {
	return s.Store.InBucketSession(ctx, r.name, func(session Session) error {
		var err error
		for range maxPlans {
			err = s.updateInSteps(ctx, session, r)
			if err != nil {
				err = errors.Join(err, cleanUp(ctx, session, r.name))
			}
			if !errors.Is(err, ErrInterrupted) {
				break
			}
		}
		return err
	})
}

// updateInSteps makes one attempt.
func (s *Service) updateInSteps(ctx context.Context, session Session, r *request) error {
	if err := cleanUp(ctx, session, r.name); err != nil {
		return err
	}
	var u *update
	var build []Index
	err := session.InTx(ctx, func(tx Tx) (err error) {
		if u, err = plan(ctx, tx, r); err != nil {
			return err
		}
		build = u.buildIndexes()
		return u.prepare(ctx, tx, build)
	})
	if err != nil {
		return err
	}
	for _, c := range u.diff.Retype {
		if err := s.fillOnline(ctx, session, u, c); err != nil {
			return err
		}
	}
	for _, index := range build {
		if err := session.BuildIndex(ctx, u.bucket.Table, index); err != nil {
			return err
		}
	}
	return session.InTx(ctx, func(tx Tx) error {
		now, err := plan(ctx, tx, r)
		if err != nil {
			return err
		}
		if now.bucket.Generation != u.bucket.Generation {
			return ErrInterrupted
		}
		return u.complete(ctx, tx, now.indexes)
	})
}

// buildIndexes are the indexes that have to be built, under the names that they have until they take their place: that of a
// column that changes its type is built on the shadow.
func (u *update) buildIndexes() []Index {
	var build []Index
	if u.reindex && !u.rowVersion {
		build = append(build, u.rowVersionIndex())
	}
	for _, index := range u.newIndexes() {
		for _, c := range u.diff.Retype {
			if c.Ident == index.Column {
				index.Column = Shadow{Column: c.Ident}.Ident()
			}
		}
		build = append(build, index)
	}
	return build
}

// prepare adds the columns, and records all that is going to be made.
func (u *update) prepare(ctx context.Context, tx Tx, build []Index) error {
	name, table := u.bucket.Name, u.bucket.Table
	for _, index := range build {
		if err := tx.Note(ctx, name, Leftover{Index: true, Name: index.Name}); err != nil {
			return err
		}
	}
	for _, c := range u.diff.Add {
		if err := tx.Note(ctx, name, Leftover{Name: c.Ident}); err != nil {
			return err
		}
	}
	for _, c := range u.diff.Retype {
		shadow := Shadow{Column: c.Ident, Type: c.Type}
		for _, ident := range []string{shadow.Ident(), shadow.MarkIdent()} {
			if err := tx.Note(ctx, name, Leftover{Name: ident}); err != nil {
				return err
			}
		}
		if err := tx.AddShadow(ctx, table, shadow); err != nil {
			return err
		}
	}
	if u.reindex && !u.rowVersion {
		if err := tx.AddRowVersion(ctx, table); err != nil { // harmless if it stays
			return err
		}
	}
	return tx.AddColumns(ctx, table, u.diff.Add)
}

// fillOnline fills a shadow page by page, each in a transaction of its own, until all but the rows of the last moment are
// filled.
func (s *Service) fillOnline(ctx context.Context, session Session, u *update, c Column) error {
	const sweeps = 5 // writers may be faster than we are: the rest is for the last transaction
	total := int64(0)
	for range sweeps {
		filled := 0
		for last, more := "", true; more; {
			next, n := "", 0
			err := session.InTx(ctx, func(tx Tx) (err error) { // which may run it more than once
				next, n, err = u.fillPage(ctx, tx, c, last)
				return err
			})
			if err != nil {
				return err
			}
			last, more = next, n == fillPage
			filled += n
			if total += int64(n); s.Progress != nil {
				s.Progress(u.bucket.Name, Progress{What: "converting index " + c.Name, Done: total, Unit: "rows"})
			}
		}
		if filled < fillPage {
			break
		}
	}
	return nil
}

// complete makes the update visible. indexes are those of the table now.
func (u *update) complete(ctx context.Context, tx Tx, indexes []Index) error {
	table := u.bucket.Table
	if len(u.diff.Retype) > 0 {
		if err := tx.LockWriters(ctx, table); err != nil {
			return err
		}
	}
	for _, c := range u.diff.Retype {
		if err := u.fill(ctx, tx, c); err != nil {
			return err
		}
		if err := tx.Replace(ctx, table, Shadow{Column: c.Ident, Type: c.Type}); err != nil {
			return err
		}
	}
	if err := u.store(ctx, tx); err != nil {
		return err
	}
	u.release(u.diff.Retype)
	if err := u.dropIndexes(ctx, tx); err != nil {
		return err
	}
	if err := u.renameIndexes(ctx, tx, indexes); err != nil {
		return err
	}
	return tx.Settle(ctx, u.bucket.Name)
}

// renameIndexes gives new indexes the names that others had until now.
func (u *update) renameIndexes(ctx context.Context, tx Tx, indexes []Index) error {
	for _, c := range slices.Concat(u.diff.Retype, u.diff.Unique, u.diff.NotUnique) {
		for _, built := range indexes {
			old := slices.ContainsFunc(u.indexes, func(i Index) bool { return i.Name == built.Name })
			if old || built.Column != c.Ident && built.Column != (Shadow{Column: c.Ident}).Ident() {
				continue
			}
			u.names.Release(built.Name)
			if name := u.names.Index(c.Ident); name != built.Name {
				if err := tx.RenameIndex(ctx, built.Name, name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cleanUp removes what an earlier update of a bucket left behind. The context's end does not keep it from doing so, unless the
// connection is gone as well.
func cleanUp(ctx context.Context, session Session, name string) error {
	var indexes, columns []Leftover
	err := session.InTx(ctx, func(tx Tx) error {
		noted, err := tx.Noted(ctx, name)
		indexes, columns = nil, nil
		for _, l := range noted {
			if l.Index {
				indexes = append(indexes, l)
			} else {
				columns = append(columns, l)
			}
		}
		return err
	})
	if err != nil || indexes == nil && columns == nil {
		return err
	}
	for _, l := range indexes {
		if err := session.DropIndex(ctx, l.Name); err != nil {
			return err
		}
	}
	return session.InTx(ctx, func(tx Tx) error {
		record, err := tx.LockConfig(ctx, name)
		if err != nil {
			return err
		}
		var gone []Column
		for _, l := range columns {
			if record != nil && slices.Contains(record.Attributes, l.Name) {
				gone = append(gone, Column{Name: l.Name, Ident: l.Name})
			}
		}
		if err := tx.DropColumns(ctx, TableName(name), gone); err != nil {
			return err
		}
		return tx.Settle(ctx, name)
	})
}

// CleanUp removes what updates left behind that did not come to their end, because their server or its connection ended. It
// waits for updates that are under way.
func (s *Service) CleanUp(ctx context.Context) error {
	names, err := s.Store.Leftovers(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := s.Store.InBucketSession(ctx, name, func(session Session) error { return cleanUp(ctx, session, name) })
		if err != nil {
			return err
		}
	}
	return nil
}
