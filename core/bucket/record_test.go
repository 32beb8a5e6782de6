package bucket_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field"
)

// record is a stored definition with a table that has the columns a and b.
func record() *bucket.Record {
	return &bucket.Record{
		Name: "B", Index: []byte(`{"a":{"type":"string"},"b":{"type":"[number]","unique":true}}`), Pre: []byte(`[]`), Post: []byte(`[]`),
		Options: []byte(`{"version":3}`), Generation: 99, Attributes: []string{"_id", "_key", "a", "b"},
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	b, err := bucket.Load(record())
	if err != nil {
		t.Fatal(err)
	}
	want := []bucket.Column{{Name: "a", Ident: "a", Type: field.String}, {Name: "b", Ident: "b", Type: field.NumberArray, Unique: true}}
	if b.Name != "B" || b.Table != "b" || !slices.Equal(b.Columns, want) || b.Version != 3 || b.Generation != 99 || !b.Plain() ||
		b.Ordered || b.ExtendedID || b.RowVersion || b.Pending || b.Reindexing() != nil {
		t.Errorf("got %+v", b)
	}
	if b.Column("a") != &b.Columns[0] || b.Column("A") != nil || b.Column("") != nil {
		t.Errorf("Column finds %v, %v, %v", b.Column("a"), b.Column("A"), b.Column(""))
	}
}

// TestLoadVariants changes one thing of a definition at a time.
func TestLoadVariants(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*bucket.Record)
		holds  func(*bucket.Bucket) bool
	}{
		"options NULL":      {func(r *bucket.Record) { r.Options = nil }, func(b *bucket.Bucket) bool { return b.Version == 0 && !b.Ordered }},
		"no version":        {func(r *bucket.Record) { r.Options = []byte(`{}`) }, func(b *bucket.Bucket) bool { return b.Version == 0 }},
		"version no number": {func(r *bucket.Record) { r.Options = []byte(`{"version":"7"}`) }, func(b *bucket.Bucket) bool { return b.Version == 0 }},
		"version 1e21":      {func(r *bucket.Record) { r.Options = []byte(`{"version":1e+21}`) }, func(b *bucket.Bucket) bool { return b.Version == 1e21 }},
		"ordered":           {func(r *bucket.Record) { r.Options = []byte(`{"guaranteeOrder":true}`) }, func(b *bucket.Bucket) bool { return b.Ordered && !b.Plain() }},
		"ordered by 1":      {func(r *bucket.Record) { r.Options = []byte(`{"guaranteeOrder":1}`) }, func(b *bucket.Bucket) bool { return !b.Ordered }},
		"pre": {func(r *bucket.Record) { r.Pre = []byte(`["x","y"]`) }, func(b *bucket.Bucket) bool {
			return len(b.Pre) == 2 && b.Pre[1].Text() == "y" && b.Pre[1].Source && !b.Plain()
		}},
		"post":           {func(r *bucket.Record) { r.Post = []byte(`["x"]`) }, func(b *bucket.Bucket) bool { return len(b.Post) == 1 && b.Post[0].Text() == "x" && !b.Plain() }},
		"column missing": {func(r *bucket.Record) { r.Attributes = []string{"a"} }, func(b *bucket.Bucket) bool { return !b.Columns[0].Missing && b.Columns[1].Missing }},
		"extended id": {
			func(r *bucket.Record) { r.Attributes, r.ExtendedIndex = append(r.Attributes, "_idx"), true },
			func(b *bucket.Bucket) bool { return b.ExtendedID },
		},
		"extended without an index":       {func(r *bucket.Record) { r.Attributes = append(r.Attributes, "_idx") }, func(b *bucket.Bucket) bool { return !b.ExtendedID }},
		"extended without a column":       {func(r *bucket.Record) { r.ExtendedIndex = true }, func(b *bucket.Bucket) bool { return !b.ExtendedID }},
		"reindexed once":                  {func(r *bucket.Record) { r.Reindexing = []byte(`{}`) }, func(b *bucket.Bucket) bool { return b.RowVersion && !b.Pending }},
		"reindex_active empty":            {func(r *bucket.Record) { r.Reindexing = []byte(``) }, func(b *bucket.Bucket) bool { return !b.RowVersion && !b.Pending }},
		"pass asked for without a column": {func(r *bucket.Record) { r.Reindexing = []byte(`{"3":[]}`) }, func(b *bucket.Bucket) bool { return b.RowVersion && b.Pending && b.Reindexing() == nil }},
		"reindexing": {
			func(r *bucket.Record) { r.Reindexing = []byte(`{"2":["b","dropped"],"3":["a","b"]}`) },
			func(b *bucket.Bucket) bool { return b.Pending && slices.Equal(b.Reindexing(), []string{"a", "b"}) },
		},
		"reindex_active with oddities": {
			func(r *bucket.Record) { r.Reindexing = []byte(`{"2":"a","3":[1,null,["a"]],"x":{"a":1}}`) },
			func(b *bucket.Bucket) bool { return b.Pending && b.Reindexing() == nil },
		},
	} {
		r := record()
		c.change(r)
		b, err := bucket.Load(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.holds(b) {
			t.Errorf("%s: got %+v", name, b)
		}
	}
}

// TestLoadBroken loads what no server can have stored. It is an error that names the bucket and the column.
func TestLoadBroken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*bucket.Record)
		want   string
	}{
		"no table":              {func(r *bucket.Record) { r.Attributes = nil }, `VError: check bucket "B" for _idx column: relation "b" does not exist`},
		"index no JSON":         {func(r *bucket.Record) { r.Index = []byte(`{`) }, "bucket B: column index: "},
		"index NULL":            {func(r *bucket.Record) { r.Index = nil }, "bucket B: column index: "},
		"index an array":        {func(r *bucket.Record) { r.Index = []byte(`[]`) }, "bucket B: column index: "},
		"index of a string":     {func(r *bucket.Record) { r.Index = []byte(`{"a":"string"}`) }, `bucket B: column index: index "a" is not an object`},
		"index without a type":  {func(r *bucket.Record) { r.Index = []byte(`{"a":{}}`) }, `bucket B: column index: index "a" has no type`},
		"index of type 5":       {func(r *bucket.Record) { r.Index = []byte(`{"a":{"type":5}}`) }, `bucket B: column index: index "a" has no type`},
		"index of another type": {func(r *bucket.Record) { r.Index = []byte(`{"a":{"type":"json"}}`) }, `bucket B: column index: index "a" has the unknown type "json"`},
		"pre no JSON":           {func(r *bucket.Record) { r.Pre = []byte(`x`) }, "bucket B: column pre: "},
		"pre an object":         {func(r *bucket.Record) { r.Pre = []byte(`{}`) }, "bucket B: column pre: {} is not an array"},
		"post of numbers":       {func(r *bucket.Record) { r.Post = []byte(`[5]`) }, "bucket B: column post: 5 is not a string"},
		"options an array":      {func(r *bucket.Record) { r.Options = []byte(`[]`) }, "bucket B: column options: "},
		"options no JSON":       {func(r *bucket.Record) { r.Options = []byte(`{"version":`) }, "bucket B: column options: "},
		"reindex_active":        {func(r *bucket.Record) { r.Reindexing = []byte(`["a"]`) }, "bucket B: column reindex_active: "},
	} {
		r := record()
		c.change(r)
		b, err := bucket.Load(r)
		if err == nil {
			t.Errorf("%s: loaded as %+v", name, b)
			continue
		}
		if !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if (fault.From(err) != nil) != (name == "no table") {
			t.Errorf("%s: %v is a fault: %t", name, err, fault.From(err) != nil)
		}
	}
}

func TestMemo(t *testing.T) {
	t.Parallel()
	b, err := bucket.Load(record())
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	build := func(of *bucket.Bucket) any {
		calls++
		return of.Name
	}
	for range 2 {
		if got := b.Memo(bucket.Hooks, build); got != "B" {
			t.Errorf("Memo returned %v", got)
		}
	}
	if calls != 1 {
		t.Errorf("Memo built %d times", calls)
	}
}
