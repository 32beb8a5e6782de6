package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// absent are the parts of a definition, and what stands for one that is missing.
var absent = []struct{ part, value string }{
	{"index", `{}`}, {"pre", `[]`}, {"post", `[]`}, {"options", `{"version":0}`},
}

// part returns a part of a definition in a form that can be compared.
func part(config jsvalue.Value, name, otherwise string) []byte {
	v := config.Member(name)
	if v == nil || v.IsNull() || name == "options" && v.Kind() == jsvalue.KindObject && v.Member("version") == nil {
		v = jsvalue.Value(otherwise)
	}
	return jsvalue.AppendSorted(nil, v)
}

// compare names the first part in which two definitions differ, "" if there is none.
func compare(a, b jsvalue.Value) (difference string) {
	for _, p := range absent {
		if !bytes.Equal(part(a, p.part, p.value), part(b, p.part, p.value)) {
			return p.part
		}
	}
	return ""
}

// configOf returns the definition in a line as the client takes it.
func configOf(v jsvalue.Value) (*client.BucketConfig, error) {
	c := new(client.BucketConfig)
	if err := json.Unmarshal(v, c); err != nil {
		return nil, errors.New("the definition has parts of the wrong type")
	}
	for _, text := range []*json.RawMessage{&c.Index, &c.Options} {
		if string(*text) == "null" {
			*text = nil
		}
	}
	return c, nil
}

// define makes the bucket of a line, or checks that the one that is there is the same.
func (l *Load) define(ctx context.Context, o opening) error {
	config, err := configOf(o.config)
	if err != nil {
		return err
	}
	return persist(ctx, l.Patience, nil, func() (bool, error) {
		have, err := l.Client.GetBucket(ctx, o.bucket, nil)
		if named(err, "BucketNotFoundError") {
			if err = l.Client.CreateBucket(ctx, o.bucket, config, nil); !named(err, "BucketConflictError") {
				return false, err
			}
			have, err = l.Client.GetBucket(ctx, o.bucket, nil) // somebody was faster
		}
		if err != nil || l.KeepDefinition {
			return false, err
		}
		line, err := parseLine(appendOpening(nil, have))
		if err != nil {
			return false, final(fmt.Errorf("the definition of the server: %w", err))
		}
		if difference := compare(line.(opening).config, o.config); difference != "" {
			return false, final(fmt.Errorf("the bucket is there with another definition (%s); --keep-definition loads into it as it is", difference))
		}
		return false, nil
	})
}

// expect fails if a bucket is not there, of which objects were loaded before.
func (l *Load) expect(ctx context.Context, bucket string) error {
	err := persist(ctx, l.Patience, nil, func() (bool, error) {
		_, err := l.Client.GetBucket(ctx, bucket, nil)
		return false, err
	})
	if named(err, "BucketNotFoundError") {
		return fmt.Errorf("%w; a part of it was loaded before, perhaps elsewhere", err)
	}
	return err
}
