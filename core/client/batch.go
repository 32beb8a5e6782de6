package client

import (
	"context"
	"encoding/json"
)

// BatchRequest is one change of a batch.
type BatchRequest struct {
	// Operation is put, delete, update or deleteMany; "" is put. A put needs Key and Value, a delete Key, an update Fields
	// and Filter, a deleteMany Filter.
	Operation string          `json:"operation"`
	Bucket    string          `json:"bucket"`
	Key       string          `json:"key,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Fields    json.RawMessage `json:"fields,omitempty"`
	Filter    string          `json:"filter,omitempty"`
	Options   *ChangeOptions  `json:"options,omitempty"`
}

// ChangeOptions are the options of one change of a batch: Etag and Headers for put and delete, the others for update and
// deleteMany.
type ChangeOptions struct {
	Etag    Precondition    `json:"etag,omitempty"`
	Headers json.RawMessage `json:"headers,omitempty"`
	Limit   int             `json:"limit,omitempty"`
	NoLimit bool            `json:"noLimit,omitempty"`
	Offset  int             `json:"offset,omitempty"`
	Sort    []Sort          `json:"sort,omitempty"`
}

// Changed is what one change of a batch has done.
type Changed struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`    // put, delete
	Etag   string `json:"etag"`   // put, update
	Filter string `json:"filter"` // update, deleteMany
	Count  int    `json:"count"`  // update, deleteMany
}

// Batch makes all of the changes, in order, or none, and returns what each has done.
func (c *Client) Batch(ctx context.Context, requests []BatchRequest, o *Options) ([]Changed, error) {
	wire := append([]BatchRequest{}, requests...) // an array also when there are none
	for i := range wire {
		if wire[i].Operation == "" {
			wire[i].Operation = "put"
		}
	}
	var done struct {
		Etags []Changed `json:"etags"`
	}
	if err := c.record(ctx, "batch", new(arguments).add(wire).add(identified(o)), &done); err != nil {
		return nil, err
	}
	return done.Etags, nil
}
