// Package changelog is a plugin that notes every put and delete of a bucket's objects in another bucket, in the same transaction: there
// is an entry for what was committed, and for nothing else. It is the worked example of a hook that does something.
//
//	{"plugin": "changelog", "hook": "record", "config": {"into": "changes", "members": ["owner", "state"]}}
//
// An entry is an object of the other bucket, as if a client had put it there: with its index columns, its etag and its time.
//
//	{"bucket": "vms", "key": "5ac…", "operation": "put", "time": "2026-11-25T19:23:56.120Z", "id": 77, "update": true,
//	 "request": "0c7…", "value": {"owner": "ann", "state": "running"}}
//
// The hook history does the same and notes the object as it was before, as "previous".
package changelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// Serve runs the plugin until the server ends it.
func Serve() { sdk.Serve(Plugin()) }

// Plugin returns the hooks.
func Plugin() sdk.Plugin {
	p := &plugin{buckets: &bucket.Cache{}}
	return sdk.Plugin{Version: "1", Hooks: []sdk.Hook{
		{Name: "record", Summary: "notes puts and deletes in another bucket", Phases: []sdk.Phase{sdk.Post}, Bind: p.bind},
		{
			Name: "history", Summary: "notes puts and deletes in another bucket, with the object as it was before",
			Phases: []sdk.Phase{sdk.Post}, Bind: p.bind, WantsPrevious: true,
		},
	}}
}

type plugin struct {
	buckets *bucket.Cache // the definitions of the buckets that entries go to
}

// config is what a binding says.
type config struct {
	Into    string   `json:"into"`    // the bucket for the entries; it must exist when there is an event
	Members []string `json:"members"` // of the object that are noted; without it all
	On      []string `json:"on"`      // "put", "delete"; without it both
	Key     string   `json:"key"`     // of an entry, with placeholders
}

// defaultKey sorts entries by time.
const defaultKey = "{time}-{random}"

// recorder is the handler of one binding.
type recorder struct {
	*plugin
	config
	key      template
	onPut    bool
	onDelete bool
}

func (p *plugin) bind(b *sdk.Binding) (sdk.Handler, error) {
	r := &recorder{plugin: p, config: config{Key: defaultKey, On: []string{"put", "delete"}}}
	if err := b.Decode(&r.config); err != nil {
		return nil, err
	}
	switch {
	case r.Into == "":
		return nil, errors.New(`config.into should be the name of the bucket for the entries`)
	case strings.EqualFold(r.Into, b.Bucket):
		return nil, errors.New("config.into should be another bucket")
	}
	for _, operation := range r.On {
		switch operation {
		case "put":
			r.onPut = true
		case "delete":
			r.onDelete = true
		default:
			return nil, fmt.Errorf(`config.on should have "put" and "delete", not %q`, operation)
		}
	}
	var err error
	if r.key, err = parseTemplate(r.Key); err != nil {
		return nil, fmt.Errorf("config.key: %w", err)
	}
	return r, nil
}

// Handle implements sdk.Handler.
func (r *recorder) Handle(ctx context.Context, e *sdk.Event) error {
	if e.Operation == sdk.Put && !r.onPut || e.Operation == sdk.Delete && !r.onDelete {
		return nil
	}
	now := time.Now()
	text, err := r.entry(e, now)
	if err != nil {
		return err
	}
	value, err := jsvalue.ParseObject(text)
	if err != nil {
		return fmt.Errorf("entry for %s/%s: %w", e.Bucket, e.Key, err)
	}
	objects := &object.Service{Store: &store{tx: e.Tx}, Buckets: r.buckets, Now: func() time.Time { return now }}
	_, err = objects.Put(ctx, &object.Put{Bucket: r.Into, Key: r.key.fill(e, now), Value: value})
	return r.refused(err)
}

// entry returns the value of an entry.
func (r *recorder) entry(e *sdk.Event, now time.Time) ([]byte, error) {
	value, err := r.chosen(e.Value)
	if err != nil {
		return nil, err
	}
	previous, err := r.chosen(e.Previous)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Bucket    string          `json:"bucket"`
		Key       string          `json:"key"`
		Operation string          `json:"operation"`
		Time      string          `json:"time"`
		ID        int64           `json:"id"`
		Update    bool            `json:"update"`
		Request   string          `json:"request,omitempty"`
		Value     json.RawMessage `json:"value,omitempty"`
		Previous  json.RawMessage `json:"previous,omitempty"`
	}{e.Bucket, e.Key, e.Operation.String(), now.UTC().Format("2006-01-02T15:04:05.000Z"), e.ID, e.Update, e.RequestID, value, previous})
}

// chosen returns the members of an object that are noted.
func (r *recorder) chosen(text json.RawMessage) (json.RawMessage, error) {
	if r.Members == nil || text == nil || jsvalue.Value(text).Kind() != jsvalue.KindObject {
		return text, nil
	}
	o, err := jsvalue.ParseObject(text)
	if err != nil {
		return nil, err
	}
	out := []byte{'{'}
	for _, name := range r.Members {
		if v := o.Get(name); v != nil {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(jsvalue.AppendString(out, name), ':'), v...)
		}
	}
	return append(out, '}'), nil
}

// refused returns the error of an entry that could not be put, as the client of the object should see it.
func (r *recorder) refused(err error) error {
	var refusal *sdk.StatementError
	if err == nil || errors.As(err, &refusal) { // the server knows what that means to a client
		return err
	}
	f := fault.From(err)
	if f == nil {
		return sdk.Failed(fmt.Errorf("put an entry into the bucket %s: %w", r.Into, err))
	}
	rejection := sdk.Reject(string(f.Name), "change log: %s", f.Message)
	rejection.Context = json.RawMessage(f.Context)
	return rejection
}
