package object_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

func put(bucket, key, value string, expects ...object.Precondition) object.Operation {
	p := &object.Put{Bucket: bucket, Key: key, Value: parse(value)}
	for _, e := range expects {
		p.Expects = e
	}
	return object.Operation{Put: p}
}

func delete(bucket, key string) object.Operation {
	return object.Operation{Delete: &object.Delete{Bucket: bucket, Key: key}}
}

func update(bucket, fields, filter string) object.Operation {
	return object.Operation{Update: &object.Update{Bucket: bucket, Fields: parse(fields), Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}}
}

func deleteMany(bucket, filter string) object.Operation {
	return object.Operation{DeleteMany: &object.DeleteMany{Bucket: bucket, Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}}
}

// batch returns the etags and counts of the operations, or the fault. Etags of updates are random: only u is shown.
func (s *server) batch(t testing.TB, operations ...object.Operation) string {
	t.Helper()
	outcomes, err := s.Batch(ctx, operations)
	if err != nil {
		return text(err)
	}
	var all []string
	for i, o := range outcomes {
		word := o.Etag
		if updateEtag.MatchString(word) {
			word = "u"
		}
		if operations[i].Update != nil || operations[i].DeleteMany != nil {
			word = fmt.Sprint(word, o.Count)
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}
