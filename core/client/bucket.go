package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// BucketConfig is the definition of a bucket.
type BucketConfig struct {
	// Index is an object: the name of each index with its type, as in {"email":{"type":"string","unique":true}}.
	Index json.RawMessage `json:"index,omitempty"`
	// Pre and Post are the triggers: each the source of a JavaScript function as a string, or the binding of a hook as an
	// object.
	Pre  []json.RawMessage `json:"pre"`
	Post []json.RawMessage `json:"post"`
	// Options is an object; its member version numbers the definition.
	Options json.RawMessage `json:"options,omitempty"`
}

// Bucket is the definition of a bucket as the server has it, with everything as JSON text.
type Bucket struct {
	Name                      string
	Index, Pre, Post, Options json.RawMessage
	// ReindexActive maps versions to the fields that are being filled for them; nil if the server has no such record.
	ReindexActive json.RawMessage
	// Mtime is when the bucket was created, in ISO 8601.
	Mtime string
}

// UpdateBucketOptions are the options of [Client.UpdateBucket].
type UpdateBucketOptions struct {
	Options
	// NoReindex leaves rows that exist without the values of new indexes.
	NoReindex bool `json:"no_reindex,omitempty"`
}

// CreateBucket makes a bucket.
func (c *Client) CreateBucket(ctx context.Context, name string, config *BucketConfig, o *Options) error {
	return c.none(ctx, "createBucket", new(arguments).addString(name).add(config.withTriggers()).add(identified(o)))
}

// UpdateBucket replaces the definition of a bucket.
func (c *Client) UpdateBucket(ctx context.Context, name string, config *BucketConfig, o *UpdateBucketOptions) error {
	return c.none(ctx, "updateBucket", new(arguments).addString(name).add(config.withTriggers()).add(identified(o)))
}

// PutBucket makes a bucket, or replaces its definition unless the server has the same version other than 0. As with the
// stock client that takes two requests, and a bucket that someone else makes between them is left as it is.
func (c *Client) PutBucket(ctx context.Context, name string, config *BucketConfig, o *UpdateBucketOptions) error {
	all := identified(o) // one id for both requests
	have, err := c.GetBucket(ctx, name, &all.Options)
	answer := (*Error)(nil)
	switch {
	case errors.As(err, &answer) && answer.Name == "BucketNotFoundError":
		err = c.CreateBucket(ctx, name, config, &all.Options)
	case err != nil:
		return err
	default:
		if v := versionOf(have.Options); v != 0 && v == versionOf(config.Options) {
			return nil
		}
		err = c.UpdateBucket(ctx, name, config, &all)
	}
	if errors.As(err, &answer) && answer.Name == "BucketConflictError" {
		return nil
	}
	return err
}

// GetBucket returns the definition of a bucket.
func (c *Client) GetBucket(ctx context.Context, name string, o *Options) (*Bucket, error) {
	all, err := c.values(ctx, "getBucket", new(arguments).add(identified(o)).addString(name), 1, 1)
	if err != nil {
		return nil, err
	}
	return parseBucket(all[0])
}

// ListBuckets returns the definitions of all buckets, in no order.
func (c *Client) ListBuckets(ctx context.Context, o *Options) ([]*Bucket, error) {
	var all []*Bucket
	err := c.stream(ctx, "listBuckets", new(arguments).add(identified(o)), func(v jsvalue.Value) error {
		b, err := parseBucket(slices.Clone(v))
		all = append(all, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// DelBucket removes a bucket with everything in it.
func (c *Client) DelBucket(ctx context.Context, name string, o *Options) error {
	return c.none(ctx, "delBucket", new(arguments).addString(name).add(identified(o)))
}

// withTriggers returns the definition with both lists of triggers, which a server may demand.
func (b *BucketConfig) withTriggers() BucketConfig {
	all := *b
	if all.Pre == nil {
		all.Pre = []json.RawMessage{}
	}
	if all.Post == nil {
		all.Post = []json.RawMessage{}
	}
	return all
}

// parseBucket reads a row of the server's table, whose columns are JSON texts in strings.
func parseBucket(v jsvalue.Value) (*Bucket, error) {
	if v.Kind() != jsvalue.KindObject {
		return nil, badAnswer("a bucket is %s", v)
	}
	b := new(Bucket)
	for name, m := range v.Members() {
		var err error
		switch name {
		case "name":
			b.Name, err = text(m)
		case "mtime":
			b.Mtime, err = text(m)
		case "index":
			b.Index, err = column(m)
		case "pre":
			b.Pre, err = column(m)
		case "post":
			b.Post, err = column(m)
		case "options":
			b.Options, err = column(m)
		case "reindex_active":
			if !m.IsNull() {
				b.ReindexActive, err = column(m)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s of a bucket: %w", name, err)
		}
	}
	return b, nil
}

func text(v jsvalue.Value) (string, error) {
	if v.Kind() != jsvalue.KindString {
		return "", badAnswer("%s is not a string", v)
	}
	return v.Text(), nil
}

// column returns the JSON text that is in a string. The original sends options that were never set as an object.
func column(v jsvalue.Value) (json.RawMessage, error) {
	if v.Kind() == jsvalue.KindObject {
		return json.RawMessage(v), nil
	}
	s, err := text(v)
	if err != nil {
		return nil, err
	}
	inner, err := jsvalue.Parse([]byte(s))
	if err != nil {
		return nil, badAnswer("%w", err)
	}
	return json.RawMessage(inner), nil
}

// versionOf returns the version that a bucket's options name, or 0.
func versionOf(options json.RawMessage) float64 {
	v, err := jsvalue.Parse(options)
	if err != nil || v.Kind() != jsvalue.KindObject {
		return 0
	}
	if version := v.Member("version"); version.Kind() == jsvalue.KindNumber {
		return version.Float()
	}
	return 0
}
