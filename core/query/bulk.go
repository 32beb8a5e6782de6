package query

import "strings"

// Dump returns the text that reads the objects of a bucket in the order of their ids: key, stored value, etag, mtime and id,
// with the arguments "above this id" and "so many", NULL for all. It is for the sql call: a find answers values with the columns
// laid over them and without some members, this reads what is stored. extended says that the table has a column _idx, whose ids
// go on where those of _id end.
func Dump(bucket string, extended bool) string {
	from := func(id, more string) string {
		return `SELECT _key, _value, _etag, _mtime, ` + id + ` AS _id FROM ` + tableOf(bucket) + ` WHERE ` + id + ` > $1::bigint` + more + ` ORDER BY ` + id
	}
	if !extended {
		return from(`_id`, ``) + ` LIMIT $2::bigint`
	}
	return `SELECT * FROM ((` + from(`_id`, ``) + `) UNION ALL (` + from(`_idx`, ` AND _id IS NULL`) + `)) objects LIMIT $2::bigint`
}

// HasExtendedID returns the text that tells, in a row if so, that the table of a bucket has a column _idx, and its argument.
func HasExtendedID(bucket string) (sql, arg string) {
	return `SELECT true AS yes FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = '_idx' AND NOT attisdropped`, tableOf(bucket)
}

// Count returns the text that counts the objects of a bucket above an id.
func Count(bucket string) string {
	return `SELECT count(*) AS n FROM ` + tableOf(bucket) + ` WHERE coalesce(_id, 9223372036854775807) > $1::bigint`
}

// KeepEtag returns the text that gives an object an etag, with the arguments etag, key, and the etag that it has.
func KeepEtag(bucket string) string {
	return `UPDATE ` + tableOf(bucket) + ` SET _etag = $1 WHERE _key = $2 AND _etag = $3`
}

// tableOf returns the table of a bucket that nothing but the name is known of.
func tableOf(bucket string) string { return Quote(strings.ToLower(bucket)) }
