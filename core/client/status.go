package client

import (
	"context"
	"encoding/json"
)

// PingOptions are the options of [Client.Ping].
type PingOptions struct {
	Options
	// Deep makes the server ask its database something.
	Deep bool `json:"deep,omitempty"`
}

// Ping asks whether a server answers.
func (c *Client) Ping(ctx context.Context, o *PingOptions) error {
	return c.none(ctx, "ping", new(arguments).add(identified(o)))
}

// Version returns the number of the server's interface, which is 2. Very old servers never answer.
func (c *Client) Version(ctx context.Context, o *Options) (int, error) {
	var answer struct {
		Version *int `json:"version"`
	}
	if err := c.record(ctx, "version", new(arguments).add(identified(o)), &answer); err != nil {
		return 0, err
	}
	if answer.Version == nil {
		return 0, badAnswer("no version")
	}
	return *answer.Version, nil
}

// GetTokens returns the shards behind an electric-moray. Other servers answer with an error.
func (c *Client) GetTokens(ctx context.Context, o *Options) (json.RawMessage, error) {
	all, err := c.values(ctx, "getTokens", new(arguments).add(identified(o)), 1, 1)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(all[0]), nil
}
