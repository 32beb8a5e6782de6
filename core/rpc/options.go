package rpc

import (
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/core/shape"
)

// optionsShape is one shape for all methods. The order of its properties is that of the checks.
var optionsShape = shape.Object{Properties: []shape.Property{
	{Name: "timeout", Shape: shape.Integer{}},
	{Name: "req_id", Shape: shape.String{MaxLength: 36, UUID: true}},
	{Name: "etag", Shape: shape.String{OrNull: true}},
	{Name: "_value", Shape: shape.String{}},
	{Name: "noBucketCache", Shape: shape.Boolean{}},
	{Name: "noCache", Shape: shape.Boolean{}},
	{Name: "headers", Shape: shape.Object{}},
	{Name: "requireOnlineReindexing", Shape: shape.Boolean{}},
	{Name: "noLimit", Shape: shape.Boolean{}},
	{Name: "limit", Shape: shape.Integer{OrDigits: true}},
	{Name: "offset", Shape: shape.Integer{OrDigits: true}},
	{Name: "sort", Shape: shape.AnyOf{shape.Array{Elements: sortShape}, sortShape}},
	{Name: "no_count", Shape: shape.Boolean{}},
	{Name: "sql_only", Shape: shape.Boolean{}},
	{Name: "requireIndexes", Shape: shape.Boolean{}},
	{Name: "no_reindex", Shape: shape.Boolean{}},
	{Name: "deep", Shape: shape.Boolean{}},
	{Name: "internalOpts", Shape: shape.Object{Plain: true, Properties: []shape.Property{
		{Name: "sendHandledOptions", Shape: shape.Boolean{}},
	}}},
}}

var sortShape = shape.Object{Properties: []shape.Property{
	{Name: "attribute", Shape: shape.String{}},
	{Name: "order", Shape: shape.Enum{Values: []string{"ASC", "asc", "DESC", "desc"}, Listed: []string{"ASC", "DESC"}}},
}}

// options are the options of a request that have an effect, see the catalogue. Others are accepted and ignored.
type options struct {
	timeout     float64 // ms; 0 for none
	requestID   string  // "" if the client sent none
	etag        jsvalue.Value
	oldEtag     jsvalue.Value // _etag, an alias that delObject honours
	limit       jsvalue.Value
	offset      jsvalue.Value
	sort        jsvalue.Value
	headers     jsvalue.Value // for hooks
	fresh       bool          // noBucketCache
	noLimit     bool
	noCount     bool
	onlySQL     bool
	indexesOnly bool // requireIndexes or requireOnlineReindexing
	noReindex   bool
	deep        bool
	sendHandled bool
}

// read takes over the members of v, which has the shape of options; those that v lacks stay as they are.
func (o *options) read(v jsvalue.Value) {
	for name, m := range v.RawMembers() {
		switch string(name) {
		case "timeout":
			o.timeout = m.Float()
		case "req_id":
			o.requestID = m.Text()
		case "etag":
			o.etag = m
		case "_etag":
			o.oldEtag = m
		case "limit":
			o.limit = m
		case "offset":
			o.offset = m
		case "sort":
			o.sort = m
		case "headers":
			o.headers = m
		case "noBucketCache":
			o.fresh = m.IsTrue()
		case "noLimit":
			o.noLimit = m.IsTrue()
		case "no_count":
			o.noCount = m.IsTrue()
		case "sql_only":
			o.onlySQL = m.IsTrue()
		case "requireIndexes", "requireOnlineReindexing":
			o.indexesOnly = o.indexesOnly || m.IsTrue()
		case "no_reindex":
			o.noReindex = m.IsTrue()
		case "deep":
			o.deep = m.IsTrue()
		case "internalOpts":
			o.sendHandled = m.Member("sendHandledOptions").IsTrue()
		}
	}
}

// timeoutDuration is the option timeout; 0 is none. Clients may write any number: beyond a year it makes no difference.
func (o *options) timeoutDuration() time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(min(o.timeout, float64(year/time.Millisecond))) * time.Millisecond
}

// precondition is what the option etag says: null expects no object, a string that etag, even if it is empty.
func (o *options) precondition() object.Precondition {
	switch o.etag.Kind() {
	case jsvalue.KindNull:
		return object.Absent
	case jsvalue.KindString:
		return object.EtagIs(text(o.etag))
	}
	return object.Precondition{}
}

// page reads limit, offset and sort. Of limit and offset, the number 0 counts as not given, the string "0" does not.
func (o *options) page() query.Page {
	p := query.Page{Limit: number(o.limit), Offset: number(o.offset)}
	if p.Limit == "" && !o.noLimit {
		p.Limit = query.DefaultLimit
	}
	switch o.sort.Kind() {
	case jsvalue.KindObject:
		p.Sort = appendSort(nil, o.sort)
	case jsvalue.KindArray:
		for e := range o.sort.Elements() {
			p.Sort = appendSort(p.Sort, e)
		}
	}
	return p
}

func number(v jsvalue.Value) string {
	switch {
	case !v.Truthy():
		return ""
	case v.Kind() == jsvalue.KindString:
		return text(v)
	}
	return string(jsvalue.AppendNumber(nil, v.Float()))
}

// appendSort appends one criterion; objects without an attribute are ignored.
func appendSort(all []query.Sort, v jsvalue.Value) []query.Sort {
	attribute := v.Member("attribute")
	if !attribute.Truthy() {
		return all
	}
	s := query.Sort{Attribute: text(attribute)}
	if order := v.Member("order"); order != nil {
		s.Descending = order.Text() == "DESC" || order.Text() == "desc"
	}
	return append(all, s)
}
