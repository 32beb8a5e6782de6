package pgstore

import (
	"context"
	"encoding/json"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// Relation is what PostgreSQL's catalogue says of a table.
type Relation struct {
	Table   string
	Columns []string
	Rows    int64 // about; negative if nobody has counted them yet
	Bytes   int64 // with indexes, as of the last vacuum or analyze
}

// catalogueSQL takes no locks on the tables, so a change of one does not hold it up.
const catalogueSQL = `SELECT c.relname,
 (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
 greatest(c.reltuples, s.n_live_tup)::bigint,
 (c.relpages + coalesce(t.relpages, 0) + coalesce((SELECT sum(ic.relpages) FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
  WHERE i.indrelid = c.oid), 0))::bigint * current_setting('block_size')::bigint
 FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
 WHERE c.relkind = 'r' AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('buckets_config'))`

// Catalogue passes what the catalogue says of each table beside that of the bucket definitions to each.
func (s *Store) Catalogue(ctx context.Context, each func(Relation)) error {
	var failed error // must not cost the connection
	err := s.Do(ctx, &query.Statement{SQL: catalogueSQL}, func(row object.Row) error {
		r := Relation{Table: string(row[0])}
		err := integers(row[2:], &r.Rows, &r.Bytes)
		if err == nil && row[1] != nil {
			err = json.Unmarshal(row[1], &r.Columns)
		}
		if err != nil {
			failed = err
			return nil
		}
		each(r)
		return nil
	})
	if err == nil {
		err = failed
	}
	return err
}
