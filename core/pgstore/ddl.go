package pgstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// alter changes a table, for which it takes a lock on it.
func (t *tx) alter(ctx context.Context, table, lock, sql string) error {
	return t.change(ctx, bucket.Step{SQL: sql, Table: table, Lock: lock})
}

// create makes a relation, for which nobody has to wait.
func (t *tx) create(ctx context.Context, sql string) error {
	return t.change(ctx, bucket.Step{SQL: sql})
}

// CreateTable implements bucket.Tx. The relations and their order are the original's.
func (t *tx) CreateTable(ctx context.Context, table *bucket.Table) error {
	name := query.Quote(table.Name)
	if err := t.create(ctx, `CREATE SEQUENCE `+query.Quote(table.Sequence)); err != nil {
		return err
	}
	if table.Ordered {
		if err := t.CreateLockTable(ctx, table.LockTable); err != nil {
			return err
		}
	}
	if err := t.refuseReserved(ctx, table); err != nil {
		return err
	}
	columns := []string{
		`_id BIGINT DEFAULT nextval(` + literal(query.Quote(table.Sequence)) + `)`,
		`_txn_snap INTEGER`,
		`_key TEXT PRIMARY KEY`,
		`_value TEXT NOT NULL`,
		`_etag CHAR(8) NOT NULL`,
		`_mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT)`,
		`_vnode BIGINT`,
	}
	for _, c := range table.Columns {
		definition := query.Quote(c.Ident) + ` ` + c.Type.Column()
		if c.Unique {
			definition += ` UNIQUE`
		}
		columns = append(columns, definition)
	}
	if err := t.create(ctx, `CREATE TABLE `+name+` (`+strings.Join(columns, `, `)+`)`); err != nil {
		return err
	}
	for _, i := range table.Indexes {
		if err := t.create(ctx, createIndex(table.Name, i, ``)); err != nil {
			return err
		}
	}
	return nil
}

// refuseReserved refuses names that the original could not use, because it writes them without quotes.
func (t *tx) refuseReserved(ctx context.Context, table *bucket.Table) error {
	written := []string{table.Name}
	for _, c := range table.Columns {
		written = append(written, c.Name)
	}
	reserved, err := t.reserved(ctx, written)
	if err != nil || len(reserved) == 0 {
		return err
	}
	return fault.New(fault.Internal, `Invalid SQL: syntax error at or near "%s"`, reserved[0])
}

// reserved returns those of the names that are words of SQL which cannot name a table or column without quotes.
func (t *tx) reserved(ctx context.Context, written []string) ([]string, error) {
	lower := make([]string, len(written))
	for i, name := range written {
		lower[i] = strings.ToLower(name)
	}
	var words []string
	_, err := t.Do(ctx, &query.Statement{
		SQL:  `SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T') AND word = ANY ($1::text[])`,
		Args: [][]byte{[]byte(textArray(lower))},
	}, func(row object.Row) error {
		words = append(words, string(row[0]))
		return nil
	})
	return slices.DeleteFunc(slices.Clone(written), func(name string) bool {
		return !slices.Contains(words, strings.ToLower(name))
	}), err
}

// CreateLockTable implements bucket.Tx.
func (t *tx) CreateLockTable(ctx context.Context, name string) error {
	if err := t.create(ctx, `CREATE TABLE IF NOT EXISTS `+query.Quote(name)+` (id INTEGER PRIMARY KEY)`); err != nil {
		return err
	}
	return t.create(ctx, `INSERT INTO `+query.Quote(name)+` (id) SELECT 1 WHERE NOT EXISTS (SELECT FROM `+query.Quote(name)+`)`)
}

// DropTable implements bucket.Tx.
func (t *tx) DropTable(ctx context.Context, table *bucket.Table) error {
	for _, sql := range []string{
		`DROP TABLE ` + query.Quote(table.Name),
		`DROP SEQUENCE IF EXISTS ` + query.Quote(table.Sequence),
		`DROP TABLE IF EXISTS ` + query.Quote(table.LockTable),
	} {
		if err := t.alter(ctx, table.Name, accessExclusive, sql); err != nil {
			return err
		}
	}
	return nil
}

// Indexes implements bucket.Tx.
func (t *tx) Indexes(ctx context.Context, table string) ([]bucket.Index, error) {
	var indexes []bucket.Index
	_, err := t.Do(ctx, &query.Statement{
		SQL: `SELECT r.relname, a.attname, upper(m.amname), i.indisunique, c.oid IS NOT NULL, i.indisvalid
 FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid JOIN pg_am m ON m.oid = r.relam
 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('u', 'p')
 WHERE i.indrelid = to_regclass($1) AND i.indnatts = 1 ORDER BY r.relname`,
		Args: [][]byte{[]byte(query.Quote(table))},
	}, func(row object.Row) error {
		indexes = append(indexes, bucket.Index{
			Name: string(row[0]), Column: string(row[1]), Method: string(row[2]),
			Unique: string(row[3]) == "t", Constraint: string(row[4]) == "t", Valid: string(row[5]) == "t",
		})
		return nil
	})
	if t.rehearsal != nil {
		indexes = t.rehearsal.indexes(table, indexes)
	}
	return indexes, err
}

// AddRowVersion implements bucket.Tx.
func (t *tx) AddRowVersion(ctx context.Context, table string) error {
	return t.alter(ctx, table, accessExclusive, `ALTER TABLE `+query.Quote(table)+` ADD COLUMN IF NOT EXISTS _rver INTEGER`)
}

// Empty implements bucket.Tx.
func (t *tx) Empty(ctx context.Context, table string) (empty bool, err error) {
	_, err = t.Do(ctx, &query.Statement{SQL: `SELECT NOT EXISTS (SELECT FROM ` + query.Quote(table) + `)`, Once: true}, func(row object.Row) error {
		empty = string(row[0]) == "t"
		return nil
	})
	return empty, err
}

// CreateIndex implements bucket.Tx.
func (t *tx) CreateIndex(ctx context.Context, table string, i bucket.Index) error {
	if t.rehearsal != nil {
		t.rehearsal.build(table, i)
	}
	return t.alter(ctx, table, share, createIndex(table, i, ``))
}

// createIndex is the statement that builds an index; how is empty or concurrently.
func createIndex(table string, i bucket.Index, how string) string {
	unique := ``
	if i.Unique {
		unique = `UNIQUE `
	}
	column := query.Quote(i.Column)
	return `CREATE ` + unique + `INDEX ` + how + query.Quote(i.Name) + ` ON ` + query.Quote(table) +
		` USING ` + i.Method + ` (` + column + `) WHERE ` + column + ` IS NOT NULL`
}

// concurrently makes an index be built while others write.
const concurrently = `CONCURRENTLY `

// dropIndex is the statement that removes an index, if it is there, while others write.
func dropIndex(name string) string {
	return `DROP INDEX ` + concurrently + `IF EXISTS ` + query.Quote(name)
}

// RenameIndex implements bucket.Tx.
func (t *tx) RenameIndex(ctx context.Context, from, to string) error {
	return t.change(ctx, bucket.Step{SQL: `ALTER INDEX ` + query.Quote(from) + ` RENAME TO ` + query.Quote(to)})
}

// DropIndex implements bucket.Tx.
func (t *tx) DropIndex(ctx context.Context, table string, i bucket.Index) error {
	if i.Constraint {
		return t.alter(ctx, table, accessExclusive, `ALTER TABLE `+query.Quote(table)+` DROP CONSTRAINT `+query.Quote(i.Name))
	}
	return t.alter(ctx, table, accessExclusive, `DROP INDEX `+query.Quote(i.Name))
}

// RenameColumn implements bucket.Tx.
func (t *tx) RenameColumn(ctx context.Context, table, from, to string) error {
	return t.alter(ctx, table, accessExclusive, `ALTER TABLE `+query.Quote(table)+` RENAME COLUMN `+query.Quote(from)+` TO `+query.Quote(to))
}

// DropColumns implements bucket.Tx.
func (t *tx) DropColumns(ctx context.Context, table string, columns []bucket.Column) error {
	return t.alterColumns(ctx, table, columns, func(c bucket.Column) string { return `DROP COLUMN ` + query.Quote(c.Ident) })
}

// AddColumns implements bucket.Tx.
func (t *tx) AddColumns(ctx context.Context, table string, columns []bucket.Column) error {
	return t.alterColumns(ctx, table, columns, func(c bucket.Column) string {
		return `ADD COLUMN ` + query.Quote(c.Ident) + ` ` + c.Type.Column()
	})
}

// alterColumns changes one column after the other. The original tries all of them and counts those that fail; those behind
// the first failure fail with it.
func (t *tx) alterColumns(ctx context.Context, table string, columns []bucket.Column, change func(bucket.Column) string) error {
	if len(columns) == 0 {
		return nil
	}
	written := make([]string, len(columns))
	for i, c := range columns {
		written[i] = c.Name
	}
	reserved, err := t.reserved(ctx, written)
	if err != nil {
		return err
	}
	var failures []*pgconn.PgError
	for _, c := range columns {
		var pg *pgconn.PgError
		switch {
		case slices.Contains(reserved, c.Name):
			failures = append(failures, &pgconn.PgError{
				Severity: "ERROR", Code: "42601", Message: fmt.Sprintf(`syntax error at or near "%s"`, c.Name),
			})
			continue
		case len(failures) > 0:
			failures = append(failures, &pgconn.PgError{
				Severity: "ERROR", Code: "25P02",
				Message: "current transaction is aborted, commands ignored until end of transaction block",
			})
			continue
		}
		err := t.alter(ctx, table, accessExclusive, `ALTER TABLE `+query.Quote(table)+` `+change(c))
		if errors.As(err, &pg) {
			failures = append(failures, pg)
		} else if err != nil {
			return err
		}
	}
	return firstOf(failures)
}

// firstOf is the error that stands for several, in the form of the original's library.
func firstOf(failures []*pgconn.PgError) error {
	if len(failures) == 0 {
		return nil
	}
	plural := "s"
	if len(failures) == 1 {
		plural = ""
	}
	f := fault.New(fault.Multi, "first of %d error%s: %s", len(failures), plural, failures[0].Message).Because(failures[0])
	for _, pg := range failures {
		member := []byte(`{"name":"error","severity":`)
		member = append(jsvalue.AppendString(member, pg.Severity), `,"code":`...)
		f.Members = append(f.Members, append(jsvalue.AppendString(member, pg.Code), '}'))
	}
	return f
}

// literal quotes a string constant.
func literal(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// textArray is the literal of an array of texts.
func textArray(elements []string) string {
	all := make([][]byte, len(elements))
	for i, e := range elements {
		all[i] = []byte(e)
	}
	return string(query.TextArray(all))
}
