package rpc

import (
	"strconv"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/shape"
)

// requestsShape is the shape of the requests of a batch.
var requestsShape = shape.Array{Elements: shape.Object{Properties: []shape.Property{
	{Name: "operation", Shape: shape.Enum{Values: []string{"put", "delete", "update", "deleteMany"}}},
	{Name: "bucket", Shape: shape.String{}, Required: true},
	{Name: "key", Shape: shape.String{}},
	{Name: "filter", Shape: shape.String{}},
	{Name: "fields", Shape: shape.Object{}},
	{Name: "value", Shape: shape.Object{}},
	{Name: "options", Shape: optionsShape},
}}}

// batch [requests, options]: DATA {"etags"}, END. All requests are carried out in one transaction.
func batch(c *call) error {
	var items []*item
	var operations []object.Operation
	for request := range c.args[0].Elements() {
		i := newItem(request, c.args[1])
		if err := c.client().Permits(access.Write, i.bucket); err != nil {
			return denied(err)
		}
		operation, err := i.operation(len(items))
		if err != nil {
			return err
		}
		items, operations = append(items, i), append(operations, operation)
	}
	outcomes, err := c.Objects.Batch(c.ctx, operations)
	if err != nil {
		return err
	}
	answer := []byte(`{"etags":[`)
	for i, item := range items {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = item.appendOutcome(answer, outcomes[i])
	}
	return c.send(append(answer, "]}"...))
}

// item is one request of a batch.
type item struct {
	kind           string
	bucket         string
	key, filter    jsvalue.Value // nil if absent
	value, fields  jsvalue.Value
	options, local options // with those of the batch on top; its own alone
}

// newItem reads a request. The options of the batch override its own, member by member.
func newItem(request, batchOptions jsvalue.Value) *item {
	i := &item{kind: "put"}
	for name, m := range request.RawMembers() {
		switch string(name) {
		case "operation":
			i.kind = m.Text()
		case "bucket":
			i.bucket = text(m)
		case "key":
			i.key = m
		case "filter":
			i.filter = m
		case "fields":
			i.fields = m
		case "value":
			i.value = m
		case "options":
			i.local.read(m)
		}
	}
	i.options = i.local
	i.options.read(batchOptions)
	return i
}

// headers are what hooks see: other than the rest of the options, its own come first.
func (i *item) headers() jsvalue.Value {
	if i.local.headers != nil {
		return i.local.headers
	}
	return i.options.headers
}

// operation returns what the request asks for. The members that its kind needs are checked here: the shape does not tie them
// to the kind.
func (i *item) operation(index int) (object.Operation, error) {
	missing := func(name string) error {
		return fault.New(fault.Invocation,
			"batch expects \"requests\" (args[0]) to be %s: requests[%d] should have required property '%s'",
			requestsKind.description, index, name)
	}
	switch {
	case (i.kind == "put" || i.kind == "delete") && i.key == nil:
		return object.Operation{}, missing("key")
	case (i.kind == "update" || i.kind == "deleteMany") && i.filter == nil:
		return object.Operation{}, missing("filter")
	case i.kind == "put" && i.value == nil:
		return object.Operation{}, missing("value")
	case i.kind == "update" && i.fields == nil:
		return object.Operation{}, missing("fields")
	}
	switch i.kind {
	case "delete":
		return object.Operation{Delete: &object.Delete{
			Bucket: i.bucket, Key: text(i.key), Etag: expectedEtag(i.local.etag), Fresh: i.options.fresh,
			Headers: i.headers(),
		}}, nil
	case "update":
		fields, err := jsvalue.ParseObject(i.fields)
		return object.Operation{Update: &object.Update{
			Bucket: i.bucket, Fields: fields, Filter: text(i.filter), Page: i.options.page(), Fresh: i.options.fresh,
		}}, err
	case "deleteMany":
		return object.Operation{DeleteMany: &object.DeleteMany{
			Bucket: i.bucket, Filter: text(i.filter), Page: i.options.page(), Fresh: i.options.fresh,
		}}, nil
	}
	value, err := jsvalue.ParseObject(i.value)
	return object.Operation{Put: &object.Put{
		Bucket: i.bucket, Key: text(i.key), Value: value, Expects: i.options.precondition(), Fresh: i.options.fresh,
		Headers: i.headers(),
	}}, err
}

// appendOutcome appends what the answer says of the request.
func (i *item) appendOutcome(dst []byte, o object.Outcome) []byte {
	dst = jsvalue.AppendString(append(dst, `{"bucket":`...), i.bucket)
	if i.kind == "update" || i.kind == "deleteMany" {
		dst = strconv.AppendInt(append(dst, `,"count":`...), o.Count, 10)
	}
	if o.Etag != "" {
		dst = jsvalue.AppendString(append(dst, `,"etag":`...), o.Etag)
	}
	if i.key.Truthy() {
		dst = jsvalue.AppendString(append(dst, `,"key":`...), text(i.key))
	}
	if i.filter.Truthy() {
		dst = jsvalue.AppendString(append(dst, `,"filter":`...), text(i.filter))
	}
	return append(dst, '}')
}
