package client

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// SelectOptions say which of the objects that match a filter are meant. They are the options of [Client.UpdateObjects] and
// [Client.DeleteMany].
type SelectOptions struct {
	Options
	Limit   int    `json:"limit,omitempty"`   // objects at most; 0 is the server's default, 1000
	NoLimit bool   `json:"noLimit,omitempty"` // all of them
	Offset  int    `json:"offset,omitempty"`  // objects to leave out at the beginning
	Sort    []Sort `json:"sort,omitempty"`
	// NoBucketCache makes the server read the definition of the bucket anew.
	NoBucketCache bool `json:"noBucketCache,omitempty"`
}

// Sort is one attribute to sort by. Order is "ASC" or "DESC"; "" is ascending.
type Sort struct {
	Attribute string `json:"attribute"`
	Order     string `json:"order,omitempty"`
}

// FindOptions are the options of [Client.FindObjects].
type FindOptions struct {
	SelectOptions
	// NoCount leaves out the number of all matching rows, which costs the server a query.
	NoCount bool `json:"no_count,omitempty"`
	// RequireIndexes makes a filter fail that uses a field without a usable index.
	RequireIndexes bool `json:"requireIndexes,omitempty"`
	// RequireOnlineReindexing makes a filter fail that uses a field which is being reindexed.
	RequireOnlineReindexing bool `json:"requireOnlineReindexing,omitempty"`
}

// mustHandle returns the options that a server must not ignore.
func (o *FindOptions) mustHandle() []string {
	var names []string
	if o.RequireIndexes {
		names = append(names, "requireIndexes")
	}
	if o.RequireOnlineReindexing {
		names = append(names, "requireOnlineReindexing")
	}
	return names
}

// findRequest is what goes over the wire.
type findRequest struct {
	FindOptions
	SQLOnly  bool           `json:"sql_only,omitempty"`
	Internal *handledOption `json:"internalOpts,omitempty"`
}

type handledOption struct {
	Send bool `json:"sendHandledOptions"`
}

// FindObjects returns the objects of a bucket that match a filter, as they arrive. An error is the last of the sequence, and
// comes with a nil object. Ending the loop early ends the request here, though the server may go on for a while.
func (c *Client) FindObjects(ctx context.Context, bucket, filter string, o *FindOptions) iter.Seq2[*Object, error] {
	return sequence(func(each func(*Object) error) error {
		request := findRequest{FindOptions: identified(o)}
		must := request.mustHandle()
		if must != nil {
			request.Internal = &handledOption{true}
		}
		err := c.find(ctx, bucket, filter, &request, func(v jsvalue.Value) error {
			if must != nil { // the first value tells the options that the server handles
				unhandled := missing(must, v)
				must = nil
				return unhandled
			}
			object, err := parseObject(slices.Clone(v))
			if err != nil {
				return err
			}
			return each(object)
		})
		if err == nil && must != nil {
			err = &UnhandledOptionsError{must}
		}
		return err
	})
}

// FindSQL returns what the server would send to PostgreSQL for a search: an object with query, args, and count unless that
// is not wanted.
func (c *Client) FindSQL(ctx context.Context, bucket, filter string, o *FindOptions) (json.RawMessage, error) {
	request := findRequest{FindOptions: identified(o), SQLOnly: true}
	var statement json.RawMessage
	err := c.find(ctx, bucket, filter, &request, func(v jsvalue.Value) error {
		statement = slices.Clone(json.RawMessage(v))
		return nil
	})
	return statement, err
}

func (c *Client) find(ctx context.Context, bucket, filter string, request *findRequest, each func(jsvalue.Value) error) error {
	return c.stream(ctx, "findObjects", new(arguments).addString(bucket).addString(filter).add(request), each)
}

// missing returns an error if v is not a record of handled options that names all of must.
func missing(must []string, v jsvalue.Value) error {
	var record struct {
		Handled []string `json:"_handledOptions"`
	}
	if err := json.Unmarshal(v, &record); err != nil {
		return badAnswer("%w", err)
	}
	unhandled := slices.DeleteFunc(slices.Clone(must), func(name string) bool { return slices.Contains(record.Handled, name) })
	if len(unhandled) > 0 {
		return &UnhandledOptionsError{unhandled}
	}
	return nil
}
