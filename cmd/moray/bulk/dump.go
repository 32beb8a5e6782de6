package bulk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Dump writes buckets to an output. Without pages, and unless the connection is lost, a bucket is written as it was at one moment,
// with two exceptions: see [Dump.Run].
type Dump struct {
	// Objects are read through Stream, what else is asked goes through Client: a stream that waits would hold up other answers
	// on its connection.
	Stream, Client *client.Client
	Out            *Output
	Members        Members
	// Page is how many objects are read with one statement; 0 is all.
	Page int
	// Rate bounds the objects a second; 0 is no bound.
	Rate int
	// Patience is how long to wait for a server that does not answer.
	Patience time.Duration
	// Count counts the objects of each bucket first, for the sake of Progress.
	Count bool
	Reports

	pace   *pace
	total  int64
	failed int64 // objects that could not be written
}

// DumpResult is what a dump has done.
type DumpResult struct {
	Buckets int
	Objects int64 // those of an interrupted dump too
	Failed  int64 // objects whose stored value is not JSON
}

// Run dumps the buckets of these names; nil is all of them. from is how far an interrupted dump has come, nil for a new one.
//
// Of a bucket that changes meanwhile, it writes each object that was there at the begin and was not changed. An object that was
// changed by updateObjects is written with the value that it has when its turn comes, and left out if it is gone by then: its
// stored text does not have what was changed. After a lost connection, and between pages, a bucket goes on above the last id with
// what is there then; an object that was deleted and made again meanwhile has a higher id and comes a second time.
func (d *Dump) Run(ctx context.Context, names []string, from *Position) (*DumpResult, error) {
	d.pace = newPace(d.Rate)
	if from == nil {
		from = &Position{}
	}
	d.total = from.total
	if names == nil {
		var err error
		if names, err = d.all(ctx); err != nil {
			return nil, err
		}
	}
	if from.bucket != "" { // the one that is open goes on first
		i := slices.Index(names, from.bucket)
		if i < 0 {
			return nil, fmt.Errorf("the file ends within the bucket %s, which is not to be dumped now", from.bucket)
		}
		names = append([]string{from.bucket}, slices.Delete(slices.Clone(names), i, i+1)...)
	}
	for _, name := range names {
		if from.whole[name] {
			continue
		}
		at := &Position{}
		if name == from.bucket {
			at = from
		}
		if err := d.bucket(ctx, name, at); err != nil {
			return nil, err
		}
	}
	return &DumpResult{Buckets: len(names), Objects: d.total, Failed: d.failed}, nil
}

// all returns the names of all buckets.
func (d *Dump) all(ctx context.Context) (names []string, err error) {
	err = persist(ctx, d.Patience, nil, func() (bool, error) {
		buckets, err := d.Client.ListBuckets(ctx, nil)
		names = make([]string, 0, len(buckets))
		for _, b := range buckets {
			names = append(names, b.Name)
		}
		return false, err
	})
	slices.Sort(names)
	return names, err
}

// dumping is one bucket that is being dumped.
type dumping struct {
	*Dump
	name    string
	text    string // of the statement that reads objects
	objects int64
	lastID  string
	last    bool     // there are no more objects
	waiting []stored // read, but not written: the value of one of them has to be asked for
	merged  int      // how many that is true of
	buf     []byte
	value   []byte // of the row that is looked at
	count   int64
}

// lowestID is below all ids.
const lowestID = "-9223372036854775808"

func (d *Dump) bucket(ctx context.Context, name string, at *Position) error {
	b := &dumping{Dump: d, name: name, objects: at.objects, lastID: at.lastID}
	if b.lastID == "" {
		b.lastID = lowestID
	}
	err := persist(ctx, d.Patience, nil, func() (bool, error) { return false, b.open(ctx, at) })
	if err != nil {
		return fmt.Errorf("bucket %s: %w", name, err)
	}
	begin := b.objects
	lost := func(err error) {
		d.notice("bucket %s: %v; going on after %d objects", name, err, b.objects)
	}
	for !b.last {
		err := persist(ctx, d.Patience, lost, func() (bool, error) {
			before := b.objects
			err := b.read(ctx)
			return b.objects > before, err
		})
		if err != nil {
			return fmt.Errorf("bucket %s, after %d objects: %w", name, b.objects, err)
		}
	}
	d.total += b.objects - begin
	b.report()
	return d.Out.write(closing{name, b.objects}.append(nil))
}

// open finds out what has to be known of the bucket, and writes its first line.
func (b *dumping) open(ctx context.Context, at *Position) error {
	have, err := b.Client.GetBucket(ctx, b.name, nil)
	if err != nil {
		return err
	}
	extended := false
	sql, table := query.HasExtendedID(b.name)
	for _, err := range b.Client.SQL(ctx, sql, []any{table}, nil) {
		if err != nil {
			return mayNotSQL(err)
		}
		extended = true
	}
	b.text = query.Dump(b.name, extended)
	if b.Count {
		for row, err := range b.Client.SQL(ctx, query.Count(b.name), []any{b.lastID}, nil) {
			if err != nil {
				return err
			}
			fmt.Sscan(jsvalue.Value(row).Member("n").Text(), &b.count) //nolint:errcheck // because nothing depends on it
		}
		b.count += b.objects
	}
	line := appendOpening(nil, have)
	if at.bucket == "" {
		return b.Out.write(line)
	}
	now, err := parseLine(line)
	if err != nil {
		return final(fmt.Errorf("its definition: %w", err))
	}
	if difference := compare(now.(opening).config, at.config); difference != "" {
		return final(fmt.Errorf("its definition changed since the dump began (%s); begin anew", difference))
	}
	return nil
}

// mayNotSQL explains why a dump needs sql.
func mayNotSQL(err error) error {
	if named(err, "AccessDeniedError") {
		return fmt.Errorf("%w; stored values are read with sql, which has to be permitted, read-only at least", err)
	}
	return err
}

// read runs one statement and writes its objects.
func (b *dumping) read(ctx context.Context) error {
	limit := "null"
	if b.Page > 0 {
		limit = fmt.Sprintf(`"%d"`, b.Page)
	}
	args := jsvalue.AppendString([]byte{'['}, b.text)
	args = fmt.Appendf(args, `,["%s",%s],{}]`, b.lastID, limit)
	var rows int
	err := b.Stream.Call(ctx, "sql", args, func(row jsvalue.Value) error {
		rows++
		return b.row(ctx, row)
	})
	if err == nil {
		err = b.settle(ctx)
	}
	b.waiting, b.merged = b.waiting[:0], 0
	b.last = err == nil && (b.Page == 0 || rows < b.Page)
	return err
}

func (b *dumping) report() {
	if b.Progress != nil {
		b.Progress(b.name, bucket.Progress{What: "dumping", Done: b.objects, Total: max(b.count, 0), Unit: "objects"})
	}
}
