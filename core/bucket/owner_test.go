package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// generation is that of the stored definition of a bucket.
func (p *parts) generation(t *testing.T, name string) uint32 {
	t.Helper()
	record, err := p.store.LoadBucket(t.Context(), name)
	if err != nil || record == nil {
		t.Fatalf("load %s: %v", name, err)
	}
	return record.Generation
}

// apply does what a document asks for, whatever the definition is now.
func (p *parts) apply(t *testing.T, definition string, owner bucket.Owner) error {
	t.Helper()
	owner.Bucket, owner.Document = "b", []byte(definition)
	a := &bucket.Application{Definition: jsvalue.Value(definition), Owner: &owner}
	record, err := p.store.LoadBucket(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if record != nil {
		a.Generation = record.Generation
	}
	return p.buckets.Apply(t.Context(), "b", a)
}

// owner returns who owns b, without the time.
func (p *parts) owner(t *testing.T) *bucket.Owner {
	t.Helper()
	var owner *bucket.Owner
	err := p.store.Live(t.Context(), func(l bucket.Live) error {
		if l.Name() == "b" {
			owner = l.Owner
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if owner != nil {
		if owner.Applied.IsZero() {
			t.Error("nothing says when it was applied")
		}
		copied := *owner
		copied.Applied = time.Time{}
		owner = &copied
	}
	return owner
}

// A document's definition and its owner are stored together, and what was applied before is remembered.
func TestApply(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	one := bucket.Owner{Source: "b.yaml", Revision: "r1", Hash: "h1", Fingerprint: "f1", By: "it's me", Pace: &bucket.Pace{Rate: 5, Batch: 10}}
	if err := p.apply(t, first, one); err != nil {
		t.Fatal(err)
	}
	want := one
	want.Bucket, want.Document, want.Superseded = "b", []byte(first), []string{}
	if diff := cmp.Diff(&want, p.owner(t)); diff != "" {
		t.Errorf("owner (-want +got):\n%s", diff)
	}
	for _, next := range []bucket.Owner{
		{Source: "other.yaml", Hash: "h2", Fingerprint: "f2", Protect: true},
		{Source: "other.yaml", Hash: "h2", Fingerprint: "f2"},
		{Source: "other.yaml", Hash: "h3"},
		{Source: "other.yaml", Hash: "h1"},
	} {
		next.Bucket, next.Document = "b", []byte(first)
		a := &bucket.Application{Keep: true, Owner: &next, Generation: p.generation(t, "b")}
		if err := p.buckets.Apply(t.Context(), "b", a); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(p.owner(t).Hash, p.owner(t).Superseded); got != "h1[h3 h2]" {
		t.Errorf("applied and superseded are %s", got)
	}
	if err := p.put("k", value(1)); err != nil {
		t.Fatal(err)
	}
	if err := p.apply(t, second, bucket.Owner{Hash: "h4"}); err != nil {
		t.Fatal(err)
	}
	checkUpdated(t, db)
	if got := fmt.Sprint(p.owner(t).Hash, p.owner(t).Superseded); got != "h4[h1 h3 h2]" {
		t.Errorf("applied and superseded are %s", got)
	}
	if err := p.buckets.Release(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if o := p.owner(t); o != nil {
		t.Errorf("the owner after a release is %+v", o)
	}
}

// What was planned for another definition is not done.
func TestApplyMoved(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	owner := &bucket.Owner{Bucket: "b", Hash: "h"}
	p.fill(t, 3)
	was := p.generation(t, "b")
	apply := func(a *bucket.Application) error {
		a.Owner = owner
		return p.buckets.Apply(t.Context(), "b", a)
	}
	if err := apply(&bucket.Application{Definition: jsvalue.Value(first)}); text(err) != "BucketConflictError: b was likely being concurrently updated" {
		t.Errorf("create what is there: %v", err)
	}
	if err := p.buckets.Update(t.Context(), "b", jsvalue.Value(strings.Replace(first, `"version":1`, `"version":2`, 1)), false); err != nil {
		t.Fatal(err)
	}
	before := everything(t, db)
	for what, err := range map[string]error{
		"update":         apply(&bucket.Application{Definition: jsvalue.Value(strings.Replace(second, `"version":2`, `"version":3`, 1)), Generation: was}),
		"note the owner": apply(&bucket.Application{Keep: true, Generation: was}),
		"remove":         p.buckets.Remove(t.Context(), "b", was),
		"remove another": p.buckets.Remove(t.Context(), "nobody", was),
	} {
		if !errors.Is(err, bucket.ErrMoved) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := everything(t, db); after != before || p.owner(t) != nil {
		t.Errorf("something was changed: from\n%s to\n%s, owner %+v", before, after, p.owner(t))
	}
	if err := p.buckets.Remove(t.Context(), "b", p.generation(t, "b")); err != nil {
		t.Fatal(err)
	}
	want(t, "get", p.get("b", "k1"), "BucketNotFoundError: b does not exist")
}

// A bucket that changes between the steps of a document's update is left alone.
func TestApplyMovedBetween(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	proxy := pgtest.NewProxy(t, db)
	p, other := newParts(t, proxy.URL()), newParts(t, db.URL())
	p.fill(t, 3)
	a := &bucket.Application{
		Definition: jsvalue.Value(`{"index":{"a":{"type":"string"},"new":{"type":"string"}},"options":{"version":9}}`),
		Owner:      &bucket.Owner{Bucket: "b"}, Generation: p.generation(t, "b"),
	}
	changed := false
	proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
		if m.FromClient && m.Type == 'P' && strings.Contains(string(m.Body), `CREATE INDEX CONCURRENTLY "b_new_idx"`) && !changed {
			changed = true
			if err := other.buckets.Update(context.Background(), "b", jsvalue.Value(`{"index":{"a":{"type":"string"}},"options":{"version":2}}`), true); err != nil {
				t.Error(err)
			}
		}
		return pgtest.Pass
	})
	err := p.buckets.Apply(t.Context(), "b", a)
	if !errors.Is(err, bucket.ErrMoved) || !changed {
		t.Errorf("the update ended with %v", err)
	}
	if got := strings.Join(db.Strings(t, columnsSQL), ", "); strings.Contains(got, "new") {
		t.Errorf("columns %s", got)
	}
	if left := db.Strings(t, "SELECT name FROM _moray.unfinished"); len(left) > 0 {
		t.Errorf("recorded as unfinished: %s", left)
	}
}

// A protected bucket refuses clients, but for a definition that changes nothing; what the original says comes first.
func TestProtect(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	p := newParts(t, db.URL())
	const protected = "BucketProtectedError: b is protected: it can be changed only in b.yaml"
	owner := bucket.Owner{Source: "b.yaml", Protect: true}
	if err := p.apply(t, `{"index":{"a":{"type":"string"}}}`, owner); err != nil {
		t.Fatal(err)
	}
	want(t, "another definition", p.update("b", `{"index":{"a":{"type":"string"},"b":{"type":"string"}}}`), protected)
	want(t, "the same definition", p.update("b", `{"index":{"a":{"unique":false,"type":"string"}},"options":{"version":0}}`), "")
	want(t, "a version", p.update("b", `{"index":{"a":{"type":"string"}},"options":{"version":1}}`), protected)
	want(t, "delete", p.delete("b"), protected)
	want(t, "put", p.putInto("b", "k", `{"a":"x"}`), "")

	if err := p.apply(t, `{"index":{"a":{"type":"string"}},"options":{"version":3}}`, owner); err != nil {
		t.Fatal(err)
	}
	want(t, "a lower version", p.update("b", `{"options":{"version":2}}`), "BucketVersionError: b has a newer version than 2 (3)")
	want(t, "the same version", p.update("b", `{"index":{"a":{"type":"string"}},"options":{"version":3}}`), "BucketVersionError: b has a newer version than 3 (3)")
	want(t, "a higher version", p.update("b", `{"index":{"a":{"type":"string"}},"options":{"version":4}}`), protected)
	want(t, "no bucket", p.update("nobody", `{}`), "BucketNotFoundError: nobody does not exist")

	owner.Protect = false
	a := &bucket.Application{Keep: true, Generation: p.generation(t, "b"), Owner: &owner}
	owner.Bucket = "b"
	if err := p.buckets.Apply(t.Context(), "b", a); err != nil {
		t.Fatal(err)
	}
	want(t, "not protected any more", p.update("b", `{"options":{"version":4}}`), "")
	want(t, "delete", p.delete("b"), "")
	if o := p.owner(t); o == nil || o.Source != "b.yaml" {
		t.Errorf("after a client's delete the owner is %+v", o)
	}
}
