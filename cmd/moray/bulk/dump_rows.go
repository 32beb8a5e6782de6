package bulk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// An object whose etag is not that of its stored text was changed by updateObjects, which writes columns and no text, or was
// reindexed. What it is worth then only the server can tell.
type stored struct {
	object
	merged bool // the server has to be asked for the value
	hidden bool // with a get: a find leaves out members of its value
	bad    bool // there is none that could be written
}

const (
	window   = 256 // objects that wait together while some of their values are asked for
	lookups  = 16  // such questions at once
	progress = 64  // objects between two reports
)

// row takes one row of the statement: it writes its object, or keeps it until the objects before it are written.
func (b *dumping) row(ctx context.Context, row jsvalue.Value) error {
	if err := b.pace.wait(ctx); err != nil {
		return err
	}
	o, err := b.parse(row)
	if err != nil {
		b.failed++
		if b.failed <= shownErrors {
			b.notice("bucket %s, key %s: %v; left out", b.name, o.key, err)
		}
		o.merged, o.bad = false, true
	}
	if !o.merged && b.merged == 0 {
		return b.write(&o)
	}
	o.value = append(jsvalue.Value(nil), o.value...)
	b.waiting = append(b.waiting, o)
	if o.merged {
		b.merged++
	}
	if len(b.waiting) < window {
		return nil
	}
	return b.settle(ctx)
}

// shownErrors is how many errors of single objects are told.
const shownErrors = 20

// hiddenMembers are those that a find leaves out of values.
var hiddenMembers = []string{"_id", "_txn_snap", "_etag", "_key", "_mtime", "_count"}

// parse reads a row. The error is that of the stored value.
func (b *dumping) parse(row jsvalue.Value) (stored, error) {
	var o stored
	var value jsvalue.Value
	for name, m := range row.RawMembers() {
		switch string(name) {
		case "_key":
			o.key = m.Text()
		case "_value":
			b.value = m.AppendText(b.value[:0])
			value = b.value
		case "_etag":
			o.etag = m.Text()
		case "_mtime":
			o.mtime, _ = integer(m) // another program may have left it out
		case "_id":
			o.id, _ = integer(m)
		}
	}
	parsed, printed, err := jsvalue.ParsePrinted(value)
	if err != nil {
		return o, fmt.Errorf("the stored value is not JSON: %w", err)
	}
	if o.merged = jsvalue.Etag(value) != o.etag; o.merged {
		o.hidden = slices.ContainsFunc(hiddenMembers, func(name string) bool { return parsed.Kind() == jsvalue.KindObject && parsed.Member(name) != nil })
	}
	if !printed { // written by hand: it may have line breaks
		parsed = jsvalue.AppendPrinted(nil, parsed)
	}
	o.value = parsed
	return o, nil
}

// write writes an object, unless that is impossible.
func (b *dumping) write(o *stored) error {
	if b.lastID = o.id; o.bad {
		return nil
	}
	b.buf = o.append(b.buf[:0], b.Members)
	if err := b.Out.write(b.buf); err != nil {
		return final(err)
	}
	if b.objects++; b.objects%progress == 0 {
		b.report()
	}
	return nil
}

// settle asks for the values that are missing, and writes the objects that wait.
func (b *dumping) settle(ctx context.Context) error {
	errs := make([]error, len(b.waiting))
	if b.merged >= lookups {
		if err := b.find(ctx); err != nil {
			return err
		}
	}
	var tasks sync.WaitGroup
	free := make(chan struct{}, lookups)
	for i := range b.waiting {
		if !b.waiting[i].merged {
			continue
		}
		free <- struct{}{}
		tasks.Go(func() {
			errs[i] = b.get(ctx, &b.waiting[i])
			<-free
		})
	}
	tasks.Wait()
	for i := range b.waiting {
		switch o := &b.waiting[i]; {
		case named(errs[i], "ObjectNotFoundError"):
			b.lastID = o.id // deleted a moment ago
		case errs[i] != nil:
			return fmt.Errorf("key %s: %w", o.key, errs[i])
		default:
			if err := b.write(o); err != nil {
				return err
			}
		}
	}
	b.waiting, b.merged = b.waiting[:0], 0
	return nil
}

// find asks for the values of all objects that wait with one request. What it does not answer is left for get.
func (b *dumping) find(ctx context.Context) error {
	byKey := map[string]*stored{}
	for i := range b.waiting {
		if o := &b.waiting[i]; o.merged && !o.hidden {
			byKey[o.key] = o
		}
	}
	filter := fmt.Sprintf("(&(_id>=%s)(_id<=%s))", b.waiting[0].id, b.waiting[len(b.waiting)-1].id)
	all := client.FindOptions{SelectOptions: client.SelectOptions{NoLimit: true}, NoCount: true}
	for now, err := range b.Client.FindObjects(ctx, b.name, filter, &all) {
		if answer := (*client.Error)(nil); errors.As(err, &answer) && !passing(err) {
			return nil // there is an object among them that no find can answer
		}
		if err != nil {
			return err
		}
		if o := byKey[now.Key]; o != nil {
			o.take(now)
		}
	}
	return nil
}

// get asks for the value of one object.
func (b *dumping) get(ctx context.Context, o *stored) error {
	now, err := b.Client.GetObject(ctx, b.name, o.key, nil)
	if err == nil {
		o.take(now)
	}
	return err
}

// take replaces the value of an object, and what goes with it, by what the server says. The id stays, because it is the place
// where the dump goes on.
func (o *stored) take(now *client.Object) {
	o.value, o.etag, o.mtime = jsvalue.Value(now.Value), now.Etag, strconv.FormatInt(now.Mtime, 10)
	o.merged = false
}
