package client

import (
	"context"
	"encoding/json"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Object is an object as the server returns it.
type Object struct {
	Bucket, Key string
	Value       json.RawMessage
	ID          int64
	Etag        string
	Mtime       int64 // of the last change, in milliseconds since 1970
	TxnSnap     int64 // number of the change, in a bucket with guaranteeOrder; -1 elsewhere
	Count       int64 // rows that the search found in all; -1 if they were not counted
	// Record is the whole as it was received.
	Record json.RawMessage
}

// Precondition is what the etag of an object must be for a change: [IfAbsent], or made by [IfEtag]. Nil is no condition. A
// change that does not meet it fails with EtagConflictError.
type Precondition json.RawMessage

// IfAbsent demands that there is no such object.
var IfAbsent = Precondition("null")

// IfEtag demands that the object has this etag.
func IfEtag(etag string) Precondition { return jsvalue.AppendString(Precondition(nil), etag) }

// MarshalJSON returns the etag, or null.
func (p Precondition) MarshalJSON() ([]byte, error) { return p, nil }

// WriteOptions are the options of [Client.PutObject] and [Client.DelObject].
type WriteOptions struct {
	Options
	Etag Precondition `json:"etag,omitempty"`
	// NoBucketCache makes the server read the definition of the bucket anew.
	NoBucketCache bool `json:"noBucketCache,omitempty"`
	// Headers is an object for the triggers of the bucket.
	Headers json.RawMessage `json:"headers,omitempty"`
}

// GetOptions are the options of [Client.GetObject].
type GetOptions struct {
	Options
	// NoBucketCache makes the server read the definition of the bucket anew.
	NoBucketCache bool `json:"noBucketCache,omitempty"`
}

// PutObject stores an object, whose value is a JSON object, and returns its etag.
func (c *Client) PutObject(ctx context.Context, bucket, key string, value json.RawMessage, o *WriteOptions) (etag string, err error) {
	a := new(arguments).addString(bucket).addString(key).addJSON("value", value).add(identified(o))
	all, err := c.values(ctx, "putObject", a, 1, 1)
	if err != nil {
		return "", err
	}
	if all[0].Kind() != jsvalue.KindObject {
		return "", badAnswer("putObject returned %s", all[0])
	}
	return text(all[0].Member("etag"))
}

// GetObject returns an object.
func (c *Client) GetObject(ctx context.Context, bucket, key string, o *GetOptions) (*Object, error) {
	wire := struct {
		GetOptions
		NoCache bool `json:"noCache"` // the original may fail without it
	}{identified(o), true}
	all, err := c.values(ctx, "getObject", new(arguments).addString(bucket).addString(key).add(wire), 1, 1)
	if err != nil {
		return nil, err
	}
	return parseObject(all[0])
}

// DelObject removes an object.
func (c *Client) DelObject(ctx context.Context, bucket, key string, o *WriteOptions) error {
	_, err := c.values(ctx, "delObject", new(arguments).addString(bucket).addString(key).add(identified(o)), 0, 1)
	return err
}

// parseObject reads a record, whose memory becomes the object's.
func parseObject(v jsvalue.Value) (*Object, error) {
	if v.Kind() != jsvalue.KindObject {
		return nil, badAnswer("an object is %s", v)
	}
	o := &Object{TxnSnap: -1, Count: -1, Record: json.RawMessage(v)}
	for name, m := range v.Members() {
		var err error
		switch name {
		case "bucket":
			o.Bucket, err = text(m)
		case "key":
			o.Key, err = text(m)
		case "value":
			o.Value = json.RawMessage(m)
		case "_etag":
			o.Etag, err = text(m)
		case "_id":
			number(m, &o.ID)
		case "_mtime":
			number(m, &o.Mtime)
		case "_txn_snap":
			number(m, &o.TxnSnap)
		case "_count":
			number(m, &o.Count)
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// number sets n if v is a number. A row that was not written by moray may lack any of them.
func number(v jsvalue.Value, n *int64) {
	if v.Kind() == jsvalue.KindNumber {
		*n = int64(v.Float())
	}
}
