package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Notification is one notification of PostgreSQL.
type Notification struct {
	Channel string `json:"channel"`
	Payload string `json:"payload"`
}

// unlistenTimeout is how long the end of a listen waits for the server.
const unlistenTimeout = 2 * time.Second

// Listen returns the notifications of a channel until ctx ends or the loop is left; then it tells the server to stop. An
// error, ctx's among them, is the last of the sequence. The server does not say when it has begun to listen.
func (c *Client) Listen(ctx context.Context, channel string, o *Options) iter.Seq2[Notification, error] {
	return sequence(func(each func(Notification) error) error {
		options := identified(o)
		args, err := new(arguments).addString(channel).add(options).array()
		if err != nil {
			return err
		}
		return c.do(ctx, "listen", func(conn *fast.Client) error {
			err := conn.Call(ctx, "listen", args, func(v jsvalue.Value) error {
				var n Notification
				if err := json.Unmarshal(v, &n); err != nil {
					return badAnswer("%w", err)
				}
				return each(n)
			})
			if errors.Is(err, errStop) || ctx.Err() != nil {
				// On the same connection: only that server knows the listen. A failure is not told, lest it be taken for one of
				// the listen, and that be done again: the loop has been left.
				unlisten(conn, options) //nolint:errcheck // see above
			}
			return err
		})
	})
}

func unlisten(conn *fast.Client, o Options) error {
	args, err := new(arguments).addString(o.RequestID).add(o).array()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), unlistenTimeout)
	defer cancel()
	if err := conn.Call(ctx, "unlisten", args, nil); err != nil {
		return fmt.Errorf("unlisten: %w", err)
	}
	return nil
}
