package object_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// sequence is a sequence of operations that a server and the model carry out side by side.
type sequence struct {
	*server
	*model
}

var buckets atomic.Int64

// TestModel carries out random sequences of operations and compares each answer, and after each operation all objects, with
// those of the model.
func TestModel(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	rapid.Check(t, func(t *rapid.T) {
		q := &sequence{s, newModel(fmt.Sprint("b", buckets.Add(1)), rapid.IntRange(0, 1).Draw(t, "version"), allIndexes[:3]...)}
		if err := s.buckets.Create(ctx, q.name, q.config()); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": q.doPut, "put another": q.doPut, "put a third": q.doPut, "get": q.doGet, "del": q.doDel, "find": q.doFind, "find others": q.doFind,
			"update": q.doUpdate, "deleteMany": q.doDeleteMany, "batch": q.doBatch, "reindex": q.doReindex, "redefine": q.doRedefine,
			"": q.compare,
		})
	})
}

// allIndexes are those that a bucket of a sequence can have.
var allIndexes = []modelIndex{
	{"s", "string", false},
	{"n", "number", false},
	{"u", "string", true},
	{"b", "boolean", false},
	{"sa", "[string]", false},
}

// modelValues are members that objects have: more than the indexes' types, for they come to be indexed later. zz never is.
var modelValues = map[string][]string{
	"s": {`"a"`, `"b"`, `"ab"`, `""`, `7`, `true`, `null`}, "n": {`0`, `1`, `-2.5`, `"7"`, `null`}, "u": {`"x"`, `"y"`, `"z"`, `null`},
	"b": {`true`, `false`, `"TRUE"`, `null`, `"maybe"`}, "sa": {`["a","b"]`, `["b"]`, `"a"`, `[]`, `null`, `[1]`}, "zz": {`"a"`, `1`, `null`, `["a",2]`},
}

var modelOperands = map[string][]string{
	"s": {"a", "b", "", "7", "true"}, "n": {"0", "1", "-2.5", "7"}, "u": {"x", "y"}, "b": {"true", "false"}, "sa": {"a", "b", "1"}, "zz": {"a", "1", "0"},
	"_key": {"k1", "k3"}, "_id": {"1", "3", "10"}, "_etag": {"99999999"},
}

// config is the definition that the server is to have.
func (m *model) config() jsvalue.Value {
	var index []string
	for _, i := range m.indexes {
		index = append(index, fmt.Sprintf(`%q:{"type":%q,"unique":%t}`, i.name, i.kind, i.unique))
	}
	return jsvalue.Value(fmt.Sprintf(`{"index":{%s},"options":{"version":%d}}`, strings.Join(index, ","), m.version))
}

func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"k0", "k1", "k2", "k3", "k4", "k5"}).Draw(t, "key")
}

func drawValue(t *rapid.T, names ...string) string {
	var members []string
	for _, name := range names {
		if rapid.IntRange(0, 2).Draw(t, "has "+name) > 0 {
			members = append(members, fmt.Sprintf("%q:%s", name, rapid.SampledFrom(modelValues[name]).Draw(t, name)))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// drawExpects draws a precondition: none, that there is nothing, or an etag, which may be that of the object.
func (q *sequence) drawExpects(t *rapid.T, key string) string {
	switch rapid.IntRange(0, 5).Draw(t, "expects") {
	case 0:
		return absent
	case 1:
		return "00000000"
	case 2:
		if o := q.objects[key]; o != nil {
			return o.etag
		}
	}
	return ""
}

func (q *sequence) drawFilter(t *rapid.T, depth int) *modelFilter {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	switch {
	case depth == 0 || kind < 4:
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(modelOperands))).Draw(t, "name")
		f := &modelFilter{name: name, operator: rapid.SampledFrom([]string{"=", ">=", "<=", "=*"}).Draw(t, "operator")}
		if name[0] == '_' && f.operator == "=*" { // which PostgreSQL is not asked about
			f.operator = ">="
		}
		if f.operator != "=*" {
			f.operand = rapid.SampledFrom(modelOperands[name]).Draw(t, "operand")
		}
		return f
	case kind < 5:
		return &modelFilter{operator: "!", parts: []*modelFilter{q.drawFilter(t, depth-1)}}
	}
	f := &modelFilter{operator: rapid.SampledFrom([]string{"&", "|"}).Draw(t, "operator")}
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		f.parts = append(f.parts, q.drawFilter(t, depth-1))
	}
	return f
}

func (q *sequence) drawPage(t *rapid.T) modelPage {
	names := []string{"", "_id"}
	for _, i := range q.indexes {
		if i.kind[0] != '[' {
			names = append(names, i.name)
		}
	}
	return modelPage{
		sort: rapid.SampledFrom(names).Draw(t, "sort"), descending: rapid.Bool().Draw(t, "descending"),
		limit: rapid.SampledFrom([]int{1, 2, 1000}).Draw(t, "limit"), offset: rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "offset"),
	}
}

func (p modelPage) query() query.Page {
	page := query.Page{Limit: strconv.Itoa(p.limit)}
	if p.offset > 0 {
		page.Offset = strconv.Itoa(p.offset)
	}
	if p.sort != "" {
		page.Sort = append(page.Sort, query.Sort{Attribute: p.sort, Descending: p.descending})
	}
	page.Sort = append(page.Sort, query.Sort{Attribute: "_key"})
	return page
}

// agree fails the test unless the server answers as the model: where the model knows the name of an error alone, by that.
func agree(t *rapid.T, what, got, want string) {
	t.Helper()
	if got != want && !(strings.HasSuffix(want, "Error") && strings.HasPrefix(got, want+": ")) {
		t.Fatalf("%s\nthe server answers %q\nthe model        %q", what, got, want)
	}
}

func (q *sequence) doPut(t *rapid.T) {
	key := drawKey(t)
	value, expects := drawValue(t, "s", "n", "u", "b", "sa", "zz"), q.drawExpects(t, key)
	got := q.server.put(q.name, key, value, precondition(expects))
	agree(t, fmt.Sprintf("put %s %s if %q", key, value, expects), got, q.model.put(key, value, expects))
}

func precondition(expects string) object.Precondition {
	switch expects {
	case "":
		return object.Precondition{}
	case absent:
		return object.Absent
	}
	return object.EtagIs(expects)
}

func (q *sequence) doGet(t *rapid.T) {
	key := drawKey(t)
	got := q.server.get(q.name, key)
	o := q.objects[key]
	if o == nil {
		agree(t, "get "+key, got, fmt.Sprintf("ObjectNotFoundError: %s::%s does not exist", q.name, key))
		return
	}
	sameValue(t, "get "+key, got, q.read(o))
}

func sameValue(t *rapid.T, what, got string, want map[string]any) {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(got), &value); err != nil {
		t.Fatalf("%s answers %s: %v", what, got, err)
	}
	if !reflect.DeepEqual(value, want) {
		t.Fatalf("%s\nthe server has %#v\nthe model      %#v", what, value, want)
	}
}

func (q *sequence) doDel(t *rapid.T) {
	key := drawKey(t)
	expects := q.drawExpects(t, key)
	if expects == absent { // which a deletion cannot expect
		expects = ""
	}
	agree(t, fmt.Sprintf("del %s if %q", key, expects), q.server.del(q.name, key, expects), q.model.del(key, expects))
}

func (q *sequence) doFind(t *rapid.T) {
	f, p := q.drawFilter(t, 2), q.drawPage(t)
	what := fmt.Sprintf("find %s %+v", f, p)
	var got []string
	var count string
	err := q.Find(ctx, &object.Find{Bucket: q.name, Filter: f.String(), Page: p.query()}, func(record jsvalue.Value) error {
		got, count = append(got, record.Member("key").Text()), string(record.Member("_count"))
		return nil
	})
	keys, all, wantErr := q.model.find(f, p)
	if err != nil || wantErr != "" {
		agree(t, what, text(err), wantErr)
		return
	}
	agree(t, what, strings.Join(got, " "), strings.Join(keys, " "))
	if len(got) > 0 {
		agree(t, what+": _count", count, strconv.Itoa(all))
	}
}

// drawFields draws fields for an update: mostly such as can be set.
func (q *sequence) drawFields(t *rapid.T) (text string, fields map[string]any) {
	for {
		if text = drawValue(t, "b", "n", "s", "sa", "u"); text != "{}" {
			break
		}
	}
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 4).Draw(t, "any fields") > 0 {
		maps.DeleteFunc(fields, func(name string, value any) bool { return q.usable(name) == nil || value == nil })
		if len(fields) == 0 {
			fields["s"] = "a"
		}
		sorted, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		text = string(sorted)
	}
	return text, fields
}

func (q *sequence) doUpdate(t *rapid.T) {
	text, fields := q.drawFields(t)
	f, p := q.drawFilter(t, 1), q.drawPage(t)
	count, etag, err := q.Update(ctx, &object.Update{Bucket: q.name, Fields: parse(text), Filter: f.String(), Page: p.query()})
	q.try(t, fmt.Sprintf("update %s %s %+v", text, f, p), countOr(count, err), func() string {
		return q.model.update(fields, f, p, etag)
	})
}

func countOr(count int64, err error) string {
	if err != nil {
		return text(err)
	}
	return fmt.Sprint(count)
}

// try compares an answer with that of the model, which is undone if it is an error. Only the ids that were drawn stay drawn.
func (q *sequence) try(t *rapid.T, what, got string, do func() string) {
	t.Helper()
	before := q.model.clone()
	want := do()
	agree(t, what, got, want)
	if strings.Contains(want, "Error") {
		before.lastID = q.lastID
		*q.model = *before
	}
}

func (q *sequence) doDeleteMany(t *rapid.T) {
	f, p := q.drawFilter(t, 1), q.drawPage(t)
	if rapid.IntRange(0, 2).Draw(t, "few") > 0 {
		p.limit = 1
	}
	count, err := q.DeleteMany(ctx, &object.DeleteMany{Bucket: q.name, Filter: f.String(), Page: p.query()})
	agree(t, fmt.Sprintf("deleteMany %s %+v", f, p), countOr(count, err), q.model.deleteMany(f, p))
}

func (q *sequence) doBatch(t *rapid.T) {
	var operations []object.Operation
	var what []string
	var model []func(object.Outcome) string
	for range rapid.IntRange(1, 4).Draw(t, "operations") {
		key := drawKey(t)
		f, p := q.drawFilter(t, 1), q.drawPage(t)
		switch rapid.IntRange(0, 5).Draw(t, "operation") {
		case 0:
			expects := strings.TrimPrefix(q.drawExpects(t, key), absent)
			operations = append(operations, object.Operation{Delete: &object.Delete{Bucket: q.name, Key: key, Etag: expects}})
			what = append(what, fmt.Sprintf("del %s if %q", key, expects))
			model = append(model, func(object.Outcome) string { return q.model.del(key, expects) })
		case 1:
			text, fields := q.drawFields(t)
			operations = append(operations, object.Operation{Update: &object.Update{Bucket: q.name, Fields: parse(text), Filter: f.String(), Page: p.query()}})
			what = append(what, fmt.Sprintf("update %s %s %+v", text, f, p))
			model = append(model, func(o object.Outcome) string { return q.model.update(fields, f, p, o.Etag) })
		case 2:
			p.limit = 1
			operations = append(operations, object.Operation{DeleteMany: &object.DeleteMany{Bucket: q.name, Filter: f.String(), Page: p.query()}})
			what = append(what, fmt.Sprintf("deleteMany %s %+v", f, p))
			model = append(model, func(object.Outcome) string { return q.model.deleteMany(f, p) })
		default:
			value, expects := drawValue(t, "s", "n", "u", "b", "sa", "zz"), q.drawExpects(t, key)
			operations = append(operations, object.Operation{Put: &object.Put{Bucket: q.name, Key: key, Value: parse(value), Expects: precondition(expects)}})
			what = append(what, fmt.Sprintf("put %s %s if %q", key, value, expects))
			model = append(model, func(object.Outcome) string { return q.model.put(key, value, expects) })
		}
	}
	outcomes, err := q.Batch(ctx, operations)
	var got []string
	for i, o := range outcomes {
		switch {
		case err != nil:
		case operations[i].Put != nil:
			got = append(got, o.Etag)
		case operations[i].Delete != nil:
			got = append(got, "")
		default:
			got = append(got, fmt.Sprint(o.Count))
		}
	}
	answer := strings.Join(got, ", ")
	if err != nil {
		answer = text(err)
	}
	q.try(t, "batch "+strings.Join(what, ", "), answer, func() string {
		var all []string
		for i, perform := range model {
			one := perform(outcomes[i])
			if strings.Contains(one, "Error") {
				return one
			}
			all = append(all, one)
		}
		return strings.Join(all, ", ")
	})
}

func (q *sequence) doReindex(t *rapid.T) {
	count := rapid.SampledFrom([]int{1, 2, 1000, 1000}).Draw(t, "count")
	what := fmt.Sprintf("reindex %d", count)
	stale := q.model.stale()
	done, err := q.Reindex(ctx, &object.Reindex{Bucket: q.name, Count: float64(count)})
	if err != nil { // one of those that it came upon, which may be any
		if one := q.model.clone().reindex(stale); one == "" || len(stale) <= count && !sameName(text(err), one) {
			t.Fatalf("%s: the server answers %v, the model %q", what, err, one)
		}
		return
	}
	if len(q.lists) == 0 {
		agree(t, what, fmt.Sprintf("%d, %d remain", done.Processed, done.Remaining), "0, -1 remain")
		return
	}
	processed := min(count, len(stale))
	agree(t, what, fmt.Sprintf("%d, %d remain", done.Processed, done.Remaining), fmt.Sprintf("%d, %d remain", processed, len(stale)-processed))
	agree(t, what, "", q.model.reindex(q.reindexed(t, stale)))
}

func sameName(got, want string) bool {
	name, _, _ := strings.Cut(want, ":")
	return strings.HasPrefix(got, name)
}

// reindexed returns those of the keys that have the version of the bucket now: which come first is not specified.
func (q *sequence) reindexed(t *rapid.T, keys []string) (reindexed []string) {
	err := q.store.Do(ctx, &query.Statement{
		SQL: `SELECT _key FROM ` + query.Quote(q.name) + ` WHERE _rver = ` + strconv.Itoa(q.version) + ` ORDER BY _key`,
	}, func(row object.Row) error {
		if key := string(row[0]); slices.Contains(keys, key) {
			reindexed = append(reindexed, key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return reindexed
}

func (q *sequence) doRedefine(t *rapid.T) {
	if rapid.Bool().Draw(t, "not now") {
		t.Skip("definitions change less often than objects")
	}
	indexes := rapid.Permutation(allIndexes).Draw(t, "indexes")[:rapid.IntRange(2, len(allIndexes)).Draw(t, "number")]
	version := 0
	if q.version > 0 || rapid.Bool().Draw(t, "versioned") {
		version = q.version + rapid.SampledFrom([]int{0, 1, 1, 1, 2}).Draw(t, "more")
	}
	noReindex := rapid.IntRange(0, 3).Draw(t, "no_reindex") == 0
	asked := *q.model
	asked.version, asked.indexes = version, indexes
	err := q.buckets.Update(ctx, q.name, asked.config(), noReindex)
	agree(t, fmt.Sprintf("updateBucket %s, no_reindex %v", asked.config(), noReindex), text(err), q.model.redefine(version, noReindex, indexes))
}

// compare compares all objects.
func (q *sequence) compare(t *rapid.T) {
	var keys []string
	f := &object.Find{Bucket: q.name, Filter: "(_id>=0)", Page: query.Page{Sort: []query.Sort{{Attribute: "_key"}}}}
	err := q.Find(ctx, f, func(record jsvalue.Value) error {
		key := record.Member("key").Text()
		keys = append(keys, key)
		o := q.objects[key]
		if o == nil {
			t.Fatalf("the server has an object %s", key)
		}
		sameValue(t, "object "+key, string(record.Member("value")), q.read(o))
		agree(t, "object "+key, fmt.Sprintf("id %s, etag %s, %s objects", record.Member("_id"), record.Member("_etag").Text(), record.Member("_count")),
			fmt.Sprintf("id %d, etag %s, %d objects", o.id, o.etag, len(q.objects)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := q.keys(); !slices.Equal(keys, want) {
		t.Fatalf("the server has the objects %v, the model %v", keys, want)
	}
}
