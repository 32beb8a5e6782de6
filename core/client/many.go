package client

import (
	"context"
	"encoding/json"
)

// Updated is what [Client.UpdateObjects] has done.
type Updated struct {
	Count int    `json:"count"`
	Etag  string `json:"etag"` // of each object
}

// UpdateObjects sets indexed fields, the members of an object, in the objects that match a filter.
func (c *Client) UpdateObjects(ctx context.Context, bucket string, fields json.RawMessage, filter string, o *SelectOptions) (Updated, error) {
	var done Updated
	a := new(arguments).addString(bucket).addJSON("fields", fields).addString(filter).add(identified(o))
	err := c.record(ctx, "updateObjects", a, &done)
	return done, err
}

// DeleteMany removes the objects that match a filter, and returns their number.
func (c *Client) DeleteMany(ctx context.Context, bucket, filter string, o *SelectOptions) (count int, err error) {
	var done struct {
		Count int `json:"count"`
	}
	err = c.record(ctx, "deleteMany", new(arguments).addString(bucket).addString(filter).add(identified(o)), &done)
	return done.Count, err
}

// ReindexOptions are the options of [Client.ReindexObjects].
type ReindexOptions struct {
	Options
	// NoCount leaves out the number of rows that remain.
	NoCount bool `json:"no_count,omitempty"`
}

// Reindexed is what [Client.ReindexObjects] has done.
type Reindexed struct {
	Processed int  `json:"processed"`
	Remaining *int `json:"remaining"` // nil if it was not counted, or there is nothing to reindex
}

// ReindexObjects fills the columns of new indexes in at most count rows, at least 1.
func (c *Client) ReindexObjects(ctx context.Context, bucket string, count int, o *ReindexOptions) (Reindexed, error) {
	var done Reindexed
	err := c.record(ctx, "reindexObjects", new(arguments).addString(bucket).add(count).add(identified(o)), &done)
	return done, err
}
