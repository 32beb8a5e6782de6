package main

import (
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// The buckets of the test bed. Both have the same indexes; they differ in the size of their values.
const (
	smallBucket = "bench_objects"
	largeBucket = "bench_large"

	smallValue = 500
	largeValue = 16 << 10

	largeRows = 4000

	// Buckets of small values whose puts do something more: a hook of a plugin in Go, a trigger in JavaScript, a JSON Schema.
	hookBucket   = "bench_hook"
	jsBucket     = "bench_js"
	schemaBucket = "bench_schema"

	hookedRows = 10_000
)

// bucketConfig returns the definition of a bucket; more is what it has beside the indexes.
func bucketConfig(more string) string {
	return `{"index":{"name":{"type":"string"},"size":{"type":"number"},"active":{"type":"boolean"}}` + more + `}`
}

// filling is a bucket and what is in it at first.
type filling struct {
	bucket, more string
	rows, size   int
}

func fillings(small int) []filling {
	return []filling{
		{smallBucket, "", small, smallValue},
		{largeBucket, "", largeRows, largeValue},
		{hookBucket, `,"pre":[{"plugin":"example","hook":"tidy","config":{"members":["owner"]}}]`, hookedRows, smallValue},
		{jsBucket, `,"pre":["function (req, cb) { req.value.owner = req.value.owner.toLowerCase(); cb(); }"]`, hookedRows, smallValue},
		{schemaBucket, `,"options":{"schema":{"type":"object","required":["name","size","active"],"properties":{` +
			`"name":{"type":"string","minLength":1},"size":{"type":"number","minimum":0},"active":{"type":"boolean"},` +
			`"tags":{"type":"array","items":{"type":"string"}},"network":{"type":"object","required":["ip"]}}}}`, hookedRows, smallValue},
	}
}

// Keys are decimal numbers from firstKey on, so that pgbench, which has no strings, can choose them.
// All of them have ten digits.
const firstKey = 1_000_000_000

// pgbenchKeys is the first of the objects that pgbench inserts. Those between the rows and this are for loads that insert.
const pgbenchKeys = 500_000_000 - 1

func key(i int) string { return itoa(firstKey + i) }

func itoa(i int) string { return strconv.Itoa(i) }

// appendValue appends the value of object i: a JSON object of exactly size bytes, at least 250, printed as clients print it. Its
// name is the key: an overwrite leaves the indexed members as they are. The revision only makes values differ.
func appendValue(dst []byte, i, revision, size int) []byte {
	start := len(dst)
	dst = append(dst, `{"name":"`...)
	dst = strconv.AppendInt(dst, int64(firstKey+i), 10)
	dst = append(dst, `","size":`...)
	dst = strconv.AppendInt(dst, int64(i%sizes), 10)
	dst = append(dst, `,"active":`...)
	dst = strconv.AppendBool(dst, i%2 == 1)
	dst = append(dst, `,"owner":"930896af-bf8c-48d4-885c-6573a94b1853","created":"2024-05-17T09:23:11.250Z","tags":["a","b"],`...)
	dst = append(dst, `"network":{"ip":"10.0.0.17","netmask":"255.255.255.0","mtu":1500},"revision":`...)
	dst = strconv.AppendInt(dst, int64(revision), 10)
	dst = append(dst, `,"notes":"`...)
	// Letters that look random, so that PostgreSQL's compression of long values finds little to do.
	for state := uint32(i*7919 + revision + 1); len(dst)-start < size-2; {
		state = state*1664525 + 1013904223
		dst = append(dst, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[state>>26])
	}
	return append(dst, `"}`...)
}

// sizes is the number of different values of the index size.
const sizes = 1000

// objects is a source of rows for pgx's CopyFrom: the objects from..to-1, as the server would have stored them.
type objects struct {
	at, to int
	size   int
	value  []byte
}

// rowColumns are the columns of the rows of objects.
var rowColumns = []string{"_key", "_value", "_etag", "_mtime", "name", "size", "active"}

func newObjects(from, to, size int) *objects { return &objects{at: from - 1, to: to, size: size} }

func (o *objects) Next() bool {
	o.at++
	return o.at < o.to
}

func (o *objects) Values() ([]any, error) {
	o.value = appendValue(o.value[:0], o.at, 0, o.size)
	return []any{
		key(o.at), string(o.value), jsvalue.Etag(o.value), time.Now().UnixMilli(), key(o.at), o.at % sizes, o.at%2 == 1,
	}, nil
}

func (o *objects) Err() error { return nil }
