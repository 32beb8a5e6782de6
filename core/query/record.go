package query

import (
	"slices"
	"strconv"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Channel is where servers tell each other that the definition of a bucket changed.
const Channel = "moray_buckets"

// recordSQL reads a row of buckets_config with what the catalogue knows of the table. The column reindex_active may be
// missing in databases where no bucket was ever updated, so it is read through JSON.
const recordSQL = `SELECT c.name, c.index, c.pre, c.post, c.options, to_jsonb(c) ->> 'reindex_active', c.xmin,
 (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = to_regclass($2) AND a.attnum > 0 AND NOT a.attisdropped),
 EXISTS (SELECT FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid
  WHERE i.indrelid = to_regclass($2) AND r.relname = $3 AND i.indisvalid)
 FROM buckets_config c WHERE c.name = $1`

// Record reads the stored definition of a bucket: a row for [ParseRecord], or none.
func Record(name string) *Statement { return record(recordSQL, name) }

// LockedRecord does the same and locks the definition.
func LockedRecord(name string) *Statement { return record(recordSQL+" FOR UPDATE OF c", name) }

func record(sql, name string) *Statement {
	return &Statement{SQL: sql, Sharing: Read, Args: [][]byte{
		[]byte(name), []byte(Quote(bucket.TableName(name))), []byte(bucket.ExtendedIndexName(name)),
	}}
}

// ParseRecord reads the row of a definition. What it returns does not share memory with the row.
func ParseRecord(row [][]byte) (*bucket.Record, error) {
	generation, err := strconv.ParseUint(string(row[6]), 10, 32)
	if err != nil {
		return nil, err
	}
	return &bucket.Record{
		Name: string(row[0]), Index: slices.Clone(row[1]), Pre: slices.Clone(row[2]), Post: slices.Clone(row[3]), Options: slices.Clone(row[4]),
		Reindexing: slices.Clone(row[5]), Generation: uint32(generation), Attributes: Names(row[7]), ExtendedIndex: string(row[8]) == "t",
	}, nil
}

// Names returns the strings of a JSON array that PostgreSQL made of names; nil for NULL.
func Names(text []byte) []string {
	if text == nil {
		return nil
	}
	v, err := jsvalue.Parse(text)
	if err != nil || v.Kind() != jsvalue.KindArray {
		return nil
	}
	all := []string{}
	for e := range v.Elements() {
		all = append(all, e.Text())
	}
	return all
}
