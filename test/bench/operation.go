package main

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// operation is what a load asks for again and again.
type operation struct {
	bucket string
	size   int // of the values, in bytes
	weight int // objects a request
	// append appends the payload of the next request in slot s of a connection to dst. It reports false if there is nothing more
	// to ask for.
	append func(c *chooser, s *slot, dst []byte) (payload []byte, more bool)
	// answered looks at the value of an answer; nil for operations that do not care.
	answered func(s *slot, value jsvalue.Value)
	// deletes says that the load removes objects that have to be put there beforehand.
	deletes bool
}

// operations are all, by name. Reads take the objects of the lower half of the bucket, writes those of the upper half: pgbench
// writes values whose members do not fit the key.
var operations = map[string]operation{
	"get":       {bucket: smallBucket, weight: 1, append: appendGet},
	"get16k":    {bucket: largeBucket, weight: 1, append: appendGet},
	"find":      {bucket: smallBucket, weight: 1, append: appendFind},
	"findcount": {bucket: smallBucket, weight: 1, append: appendFindCount},
	"put":       {bucket: smallBucket, size: smallValue, weight: 1, append: appendPut},
	"put16k":    {bucket: largeBucket, size: largeValue, weight: 1, append: appendPut},
	"putif":     {bucket: smallBucket, size: smallValue, weight: 1, append: appendPutIf, answered: noteEtag},
	"putnew":    {bucket: smallBucket, size: smallValue, weight: 1, append: appendPutNew},
	"delete":    {bucket: smallBucket, weight: 1, append: appendDelete, deletes: true},
	"batch10":   {bucket: smallBucket, size: smallValue, weight: batchSize, append: appendBatch},
	"puthook":   {bucket: hookBucket, size: smallValue, weight: 1, append: appendPut},
	"putjs":     {bucket: jsBucket, size: smallValue, weight: 1, append: appendPut},
	"putschema": {bucket: schemaBucket, size: smallValue, weight: 1, append: appendPut},
	"mixed":     {bucket: smallBucket, size: smallValue, weight: 1, append: appendMixed},
}

const (
	batchSize = 10
	readShare = 0.7 // of the mixed load
)

// chooser makes the requests of one connection. It is for one goroutine.
type chooser struct {
	operation
	rows     int // objects in the bucket
	random   *rand.Rand
	revision int
	fresh    *atomic.Int64 // the next of the keys that no other connection takes
	last     int64         // the end of those keys
}

// slot is the place of one request in flight of a connection.
type slot struct {
	number int // over all connections
	sent   time.Time
	values int    // of the answer, so far
	etag   []byte // of the slot's own object, once it is known
}

// requestOptions are those of the stock client, node-moray 4.1, for requests about objects.
const (
	optionsStart   = `{"req_id":"6d9c1f3e-9b1f-4c55-8d3f-6f2b7a1c0e42","headers":{},"no_count":`
	optionsRest    = `,"sql_only":false,"noCache":true`
	requestOptions = optionsStart + `false` + optionsRest + `}`
)

func (c *chooser) toRead() int  { return c.random.IntN(c.rows / 2) }
func (c *chooser) toWrite() int { return c.rows/2 + c.random.IntN(c.rows/2) }

// begin appends a payload up to the arguments.
func begin(dst []byte, method string) []byte {
	return append(append(append(dst, `{"m":{"uts":1700000000000000,"name":"`...), method...), `"},"d":[`...)
}

// end appends the rest of a payload, behind the last argument.
const end = `]}`

// object appends the arguments that name object i.
func (c *chooser) object(dst []byte, i int) []byte {
	dst = append(append(append(dst, '"'), c.bucket...), `","`...)
	return append(strconv.AppendInt(dst, int64(firstKey+i), 10), `",`...)
}

// value appends the next value for object i.
func (c *chooser) value(dst []byte, i int) []byte {
	c.revision++
	return appendValue(dst, i, c.revision, c.size)
}

func appendGet(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	return append(c.object(begin(dst, "getObject"), c.toRead()), requestOptions+end...), true
}

func appendFind(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	return append(c.filter(begin(dst, "findObjects")), optionsStart+`true`+optionsRest+`}`+end...), true
}

func appendFindCount(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	return append(c.filter(begin(dst, "findObjects")), requestOptions+end...), true
}

// filter appends the bucket and a filter that fits one object.
func (c *chooser) filter(dst []byte) []byte {
	dst = append(append(append(dst, '"'), c.bucket...), `","(name=`...)
	return append(strconv.AppendInt(dst, int64(firstKey+c.toRead()), 10), `)",`...)
}

// put appends a put of object i up to the options.
func (c *chooser) put(dst []byte, i int) []byte {
	return append(c.value(c.object(begin(dst, "putObject"), i), i), ',')
}

func appendPut(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	return append(c.put(dst, c.toWrite()), requestOptions+end...), true
}

// appendPutIf overwrites the slot's own object, the first time without a precondition.
func appendPutIf(c *chooser, s *slot, dst []byte) ([]byte, bool) {
	dst = c.put(dst, c.rows/2+s.number)
	if s.etag == nil {
		return append(dst, requestOptions+end...), true
	}
	dst = append(dst, optionsStart+`false`+optionsRest+`,"etag":"`...)
	return append(append(dst, s.etag...), `"}`+end...), true
}

func noteEtag(s *slot, value jsvalue.Value) {
	s.etag = append(s.etag[:0], value.Member("etag").Text()...)
}

func appendPutNew(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	return append(c.put(dst, int(c.fresh.Add(1)-1)), requestOptions+end...), true
}

func appendDelete(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	i := c.fresh.Add(1) - 1
	if i >= c.last {
		return dst, false
	}
	return append(c.object(begin(dst, "delObject"), int(i)), requestOptions+end...), true
}

// appendBatch overwrites ten objects in the order of their keys, as a client does that wants no deadlocks.
func appendBatch(c *chooser, _ *slot, dst []byte) ([]byte, bool) {
	var chosen [batchSize]int
	for i := range chosen {
		chosen[i] = c.toWrite()
	}
	slices.Sort(chosen[:])
	dst = append(begin(dst, "batch"), '[')
	for n, i := range chosen {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, `{"bucket":"`...), c.bucket...), `","key":"`...)
		dst = append(strconv.AppendInt(dst, int64(firstKey+i), 10), `","operation":"put","value":`...)
		dst = append(c.value(dst, i), '}')
	}
	return append(dst, `],`+requestOptions+end...), true
}

func appendMixed(c *chooser, s *slot, dst []byte) ([]byte, bool) {
	if c.random.Float64() < readShare {
		return appendGet(c, s, dst)
	}
	return appendPut(c, s, dst)
}
