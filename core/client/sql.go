package client

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// SQL runs a statement with values for $1 and so on, in a transaction of its own, and returns the rows as they arrive, each
// as an object. An error is the last of the sequence. The rows are valid only if no error comes: the transaction may fail
// after them.
func (c *Client) SQL(ctx context.Context, statement string, values []any, o *Options) iter.Seq2[json.RawMessage, error] {
	return sequence(func(each func(json.RawMessage) error) error {
		a := new(arguments).addString(statement).add(append([]any{}, values...)).add(identified(o))
		return c.stream(ctx, "sql", a, func(v jsvalue.Value) error { return each(json.RawMessage(slices.Clone(v))) })
	})
}

// Notify sends a notification to those who listen on a channel.
func (c *Client) Notify(ctx context.Context, channel, payload string, o *Options) error {
	for _, err := range c.SQL(ctx, "select pg_notify($1, $2)", []any{channel, payload}, o) {
		if err != nil {
			return err
		}
	}
	return nil
}
