package object

import (
	"context"
	"errors"
	"fmt"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// Triggers runs the hooks that buckets bind. It is safe for concurrent use.
type Triggers interface {
	// WantsPrevious reports whether a hook of b needs to see the object as it was before.
	WantsPrevious(b *bucket.Bucket) bool

	// Pure reports whether what the hooks of b do before a write depends on their events alone, without Update and Previous, and
	// they run no SQL.
	Pure(b *bucket.Bucket) bool

	// Fire passes an event to the bucket's hooks for its phase, one after the other, each after the one before. What they run
	// in tx is undone with it if they, or anything later, fail. Before the write they may change the event's key and value. tx is nil
	// for hooks that are pure; the error is ErrNeedsTx if they turn out not to be.
	Fire(ctx context.Context, tx Tx, e *Event) error
}

// Event is an object being put or deleted.
type Event struct {
	Bucket *bucket.Bucket
	Post   bool // after the write, otherwise before
	Delete bool // the object is removed, otherwise put
	Key    string
	// Value is the JSON text of the object: before the write as it is to be written, after it with _id if it is new, and with
	// _txn_snap if the bucket keeps an order. It is nil for one that is deleted.
	Value jsvalue.Value
	// ID is the number of the object's row in text form; nil before the write.
	ID []byte
	// Headers is the option of the request, an object; nil if it has none.
	Headers jsvalue.Value
	// Update says that there was an object with this key.
	Update bool
	// Previous is the JSON text of the object as it was, if a hook wants it; nil if there was none.
	Previous jsvalue.Value
}

// ErrNeedsTx says that hooks which were taken for pure need a transaction. They may have changed the event: who gets it begins anew
// with what the request says.
var ErrNeedsTx = errors.New("the hooks of the bucket need a transaction")

// pure reports whether a put to b is one statement behind hooks that need no transaction.
func (s *Service) pure(b *bucket.Bucket) bool {
	return len(b.Pre) > 0 && len(b.Post) == 0 && !b.Ordered && s.Triggers != nil && s.Triggers.Pure(b)
}

// prePure runs the hooks before a write that needs no transaction.
func (s *Service) prePure(ctx context.Context, b *bucket.Bucket, w *writing) error {
	if own := CallerFrom(ctx).Strand; own != nil {
		own.Detach() // it waits for the plugin
	}
	e := &Event{Bucket: b, Key: w.key, Value: w.text, Headers: w.Headers}
	if err := s.Triggers.Fire(ctx, nil, e); err != nil {
		return err
	}
	w.key = e.Key
	return w.replace(e.Value)
}

// trigger runs the hooks for an event, if the bucket has any.
func (s *Service) trigger(ctx context.Context, tx Tx, e *Event) error {
	if s.Triggers == nil {
		return fault.New(fault.HookUnavailable, "bucket %s has hooks, and this server runs none", e.Bucket.Name)
	}
	tx.Once()
	return s.Triggers.Fire(ctx, tx, e)
}

// previous returns the text of a stored object for the hooks of b that want it, or nil.
func (s *Service) previous(ctx context.Context, tx Tx, b *bucket.Bucket, key string) (text jsvalue.Value, err error) {
	if s.Triggers == nil || !s.Triggers.WantsPrevious(b) {
		return nil, nil
	}
	_, err = tx.Do(ctx, query.For(b).Get(key), func(r Row) error {
		m := new(merged)
		if err := m.read(b, r); err != nil {
			return err
		}
		text = m.appendTo(nil)
		return nil
	})
	return text, err
}

// pre runs the hooks before the write. They may replace the key and the value.
func (s *Service) pre(ctx context.Context, tx Tx, b *bucket.Bucket, w *writing, update bool) error {
	previous, err := s.previous(ctx, tx, b, w.key)
	if err != nil {
		return err
	}
	e := &Event{Bucket: b, Key: w.key, Value: w.text, Headers: w.Headers, Update: update, Previous: previous}
	if err := s.trigger(ctx, tx, e); err != nil {
		return err
	}
	w.key = e.Key
	return w.replace(e.Value)
}

// replace takes over a value from hooks. They may make an array of it, which has no members to be indexed.
func (w *writing) replace(value jsvalue.Value) error {
	v, err := jsvalue.Parse(value)
	if err != nil {
		return fmt.Errorf("the value that the hooks of bucket %s left: %w", w.Bucket, err)
	}
	switch v.Kind() {
	case jsvalue.KindObject:
		if w.value, err = jsvalue.ParseObject(v); err != nil {
			return err
		}
		w.text = w.value.Text()
	case jsvalue.KindArray:
		w.value, w.text = memberless, jsvalue.AppendPrinted(nil, v)
	default:
		return fault.New(fault.AssertionError, "object (object) is required")
	}
	w.etag = jsvalue.Etag(w.text)
	return nil
}

// memberless is what is indexed of a value that is an array.
var memberless = func() *jsvalue.Object {
	o, err := jsvalue.ParseObject([]byte(`{}`))
	if err != nil {
		panic(err)
	}
	return o
}()

// post runs the hooks after a put.
func (s *Service) post(ctx context.Context, tx Tx, b *bucket.Bucket, w *writing, row *query.Put, id []byte, previous jsvalue.Value, update bool) error {
	var edits []jsvalue.Edit
	if !update {
		edits = append(edits, jsvalue.Edit{Name: "_id", Value: id})
	}
	if b.Ordered {
		edits = append(edits, jsvalue.Edit{Name: "_txn_snap", Value: row.Serial})
	}
	value := w.text
	if value.Kind() == jsvalue.KindObject {
		value = w.value.AppendEdited(nil, edits)
	}
	return s.trigger(ctx, tx, &Event{
		Bucket: b, Post: true, Key: w.key, Value: value, ID: id, Headers: w.Headers, Update: update, Previous: previous,
	})
}
