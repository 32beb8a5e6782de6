package object_test

import (
	"testing"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// TestPureHooks: hooks whose work depends on their events alone run without a transaction, where a put is one statement else.
func TestPureHooks(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, false)
	h.pure = true
	s.bind(t, "b", `,"index":{"n":{"type":"number","unique":true}}`, []string{"pre"}, nil)
	s.bind(t, "posted", ``, []string{"pre"}, []string{"post"})
	s.bind(t, "ordered", `,"options":{"guaranteeOrder":true}`, []string{"pre"}, nil)
	var within []bool // a transaction
	h.by["pre"] = func(tx object.Tx, e *object.Event) error {
		within = append(within, tx != nil)
		switch e.Key {
		case "refused":
			return fault.New(fault.HookRejected, "no")
		case "moved":
			e.Key = "there"
		case "outside":
			if tx == nil {
				return object.ErrNeedsTx
			}
		}
		e.Value = jsvalue.Value(`{"n":` + string(parse(string(e.Value)).Get("n")) + `,"by":"hook"}`)
		return nil
	}
	stored := func(n string) string { return `{"n":` + n + `,"by":"hook"}` }
	took := func(what string, want ...bool) {
		t.Helper()
		if len(within) != len(want) {
			t.Errorf("%s: hooks ran %d times, want %d", what, len(within), len(want))
		}
		for i := range min(len(within), len(want)) {
			if within[i] != want[i] {
				t.Errorf("%s: run %d within a transaction: %v", what, i, within[i])
			}
		}
		within = nil
	}
	put := func(p *object.Put) string {
		got, err := s.Put(ctx, p)
		if err != nil {
			return text(err)
		}
		return got
	}

	want(t, "new", s.put("b", "k", `{"n":1}`), etag(stored("1")))
	took("new", false)
	want(t, "overwritten", s.put("b", "k", `{"n":2}`), etag(stored("2")))
	took("overwritten", false)
	want(t, "moved", s.put("b", "moved", `{"n":3}`), etag(stored("3")))
	took("moved", false)
	want(t, "refused", s.put("b", "refused", `{"n":4}`), "HookRejectedError: no")
	took("refused", false)
	want(t, "with the right etag", put(&object.Put{Bucket: "b", Key: "k", Value: parse(`{"n":5}`), Expects: object.EtagIs(etag(stored("2")))}), etag(stored("5")))
	took("with the right etag", false)
	want(t, "with a wrong etag", put(&object.Put{Bucket: "b", Key: "k", Value: parse(`{"n":6}`), Expects: object.EtagIs("no")}),
		`EtagConflictError: b::k was expected to have etag "no", but was "`+etag(stored("5"))+`"`)
	took("with a wrong etag", false)
	want(t, "not unique", s.put("b", "l", `{"n":5}`), `UniqueAttributeError: "n" is a unique attribute; value "5" already exists`)
	within = nil // such a failure has to be told apart, which may take a second run
	want(t, "a hook that is not pure after all", s.put("b", "outside", `{"n":7}`), etag(stored("7")))
	took("a hook that is not pure after all", false, true)
	want(t, "with hooks after it", s.put("posted", "k", `{"n":1}`), etag(stored("1")))
	took("with hooks after it", true)
	want(t, "in an order", s.put("ordered", "k", `{"n":1}`), etag(stored("1")))
	took("in an order", true)
	if _, err := s.Batch(ctx, []object.Operation{{Put: &object.Put{Bucket: "b", Key: "m", Value: parse(`{"n":8}`)}}}); err != nil {
		t.Error(err)
	}
	took("in a batch", true)

	// A definition that is out of date is noticed by the statement, and the hooks run again with the one that is not.
	if err := serverOver(t, s.db, 2).buckets.Update(ctx, "b", jsvalue.Value(`{"index":{"n":{"type":"number","unique":true},"by":{"type":"string"}},"pre":["pre"]}`), false); err == nil {
		t.Fatal("a server without hooks changed a bucket with hooks")
	}
	other := serverOver(t, s.db, 2)
	other.buckets.Triggers = h
	if err := other.buckets.Update(ctx, "b", jsvalue.Value(`{"index":{"n":{"type":"number","unique":true},"by":{"type":"string"}},"pre":["pre"]}`), false); err != nil {
		t.Fatal(err)
	}
	want(t, "by another definition", s.put("b", "k", `{"n":9}`), etag(stored("9")))
	took("by another definition", false, true)

	// What a hook says that is not bound any more does not count.
	run := h.by["pre"]
	h.by["pre"] = func(object.Tx, *object.Event) error { return fault.New(fault.HookRejected, "no") }
	if err := other.buckets.Update(ctx, "b", jsvalue.Value(`{"index":{"n":{"type":"number","unique":true},"by":{"type":"string"}},"pre":["other"]}`), false); err != nil {
		t.Fatal(err)
	}
	want(t, "refused by a hook of the past", s.put("b", "k", `{"n":9}`), etag(`{"n":9}`))
	h.by["pre"] = run
	if got := s.db.Strings(t, "SELECT _key, n, by FROM b ORDER BY _key"); len(got) != 4 || got[0] != "k|9|" || got[1] != "m|8|" || got[3] != "there|3|" {
		t.Errorf("rows %q", got)
	}
}
