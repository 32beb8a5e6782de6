package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Options are the options of every request. A nil pointer to any options stands for none set.
type Options struct {
	// RequestID is a UUID that appears in the server's log; by default a random one.
	RequestID string `json:"req_id,omitempty"`
	// Timeout bounds each SQL statement of the request, in milliseconds; 0 is no bound. What bounds the request itself is
	// its context.
	Timeout int `json:"timeout,omitempty"`
}

func (o *Options) identify() {
	if o.RequestID == "" {
		o.RequestID = newUUID()
	}
}

// identified returns a copy of the options, if there are any, with a request id.
func identified[T any, P interface {
	*T
	identify()
}](o P) T {
	var all T
	if o != nil {
		all = *o
	}
	P(&all).identify()
	return all
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0F | 0x40
	b[8] = b[8]&0x3F | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// arguments is the text of the arguments of a request, and the first error in making it.
type arguments struct {
	text []byte
	err  error
}

// add appends a value that encoding/json can write.
func (a *arguments) add(v any) *arguments {
	a.next()
	text := bytes.NewBuffer(a.text)
	to := json.NewEncoder(text)
	to.SetEscapeHTML(false) // as JavaScript writes it
	if err := to.Encode(v); err != nil && a.err == nil {
		a.err = err
	}
	a.text = bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	return a
}

// addString appends a string.
func (a *arguments) addString(s string) *arguments {
	a.next()
	a.text = jsvalue.AppendString(a.text, s)
	return a
}

// addJSON appends a text after checking that it is JSON: the server would drop the connection for one that is not.
func (a *arguments) addJSON(name string, text json.RawMessage) *arguments {
	v, err := jsvalue.Parse(text)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("the %s is not JSON: %w", name, err)
	}
	a.next()
	a.text = append(a.text, v...)
	return a
}

func (a *arguments) next() {
	if a.text == nil {
		a.text = make([]byte, 0, 512)
	}
	a.text = append(a.text, ',')
}

// array returns the whole text.
func (a *arguments) array() (jsvalue.Value, error) {
	if a.err != nil {
		return nil, a.err
	}
	text := append(a.text, ']')
	text[0] = '['
	return text, nil
}

// stream makes a request and passes the values of the answer to each.
func (c *Client) stream(ctx context.Context, method string, a *arguments, each func(jsvalue.Value) error) error {
	args, err := a.array()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return c.Call(ctx, method, args, each)
}

// values makes a request whose answer has so many values, and returns copies of them.
func (c *Client) values(ctx context.Context, method string, a *arguments, least, most int) ([]jsvalue.Value, error) {
	var all []jsvalue.Value
	err := c.stream(ctx, method, a, func(v jsvalue.Value) error {
		all = append(all, slices.Clone(v))
		return nil
	})
	if err == nil && (len(all) < least || len(all) > most) {
		err = fmt.Errorf("%s: %w", method, badAnswer("%d data messages", len(all)))
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// none makes a request whose answer has no values.
func (c *Client) none(ctx context.Context, method string, a *arguments) error {
	_, err := c.values(ctx, method, a, 0, 0)
	return err
}

// record makes a request whose answer has one value, and decodes it.
func (c *Client) record(ctx context.Context, method string, a *arguments, into any) error {
	all, err := c.values(ctx, method, a, 1, 1)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(all[0], into); err != nil {
		return fmt.Errorf("%s: %w", method, badAnswer("%w", err))
	}
	return nil
}

// errStop ends a request whose caller wants no further values.
var errStop = errors.New("stop")

// sequence makes a sequence of what run passes to each, and of the error that run returns.
func sequence[T any](run func(each func(T) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := run(func(v T) error {
			if !yield(v, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			var none T
			yield(none, err)
		}
	}
}
