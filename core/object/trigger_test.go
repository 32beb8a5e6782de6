package object_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// hooks are functions instead of plugins: the triggers of a bucket are the texts under which they are registered here.
type hooks struct {
	previous, pure bool

	mu     sync.Mutex
	by     map[string]func(tx object.Tx, e *object.Event) error
	events []string
}

func (h *hooks) Check(context.Context, string, []bucket.Trigger, []bucket.Trigger) error { return nil }

func (h *hooks) WantsPrevious(*bucket.Bucket) bool { return h.previous }

func (h *hooks) Pure(*bucket.Bucket) bool { return h.pure }

func (h *hooks) Fire(_ context.Context, tx object.Tx, e *object.Event) error {
	triggers := e.Bucket.Pre
	if e.Post {
		triggers = e.Bucket.Post
	}
	for _, t := range triggers {
		h.mu.Lock()
		h.events = append(h.events, describe(t.Text(), e))
		run := h.by[t.Text()]
		h.mu.Unlock()
		if run == nil {
			continue
		}
		if err := run(tx, e); err != nil {
			return err
		}
	}
	return nil
}

func describe(hook string, e *object.Event) string {
	words := []string{hook, "put", e.Bucket.Name, e.Key}
	if e.Delete {
		words[1] = "del"
	}
	for _, m := range []struct {
		name  string
		value []byte
	}{{"value", e.Value}, {"id", e.ID}, {"headers", e.Headers}, {"was", e.Previous}} {
		if m.value != nil {
			words = append(words, m.name+"="+string(m.value))
		}
	}
	if e.Update {
		words = append(words, "update")
	}
	return strings.Join(words, " ")
}

// take returns the events since the last call.
func (h *hooks) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := strings.Join(h.events, "\n")
	h.events = nil
	return all
}

// hooked is a server whose buckets have hooks.
func hooked(t *testing.T, previous bool) (*server, *hooks) {
	t.Helper()
	s := newServer(t)
	h := &hooks{previous: previous, by: map[string]func(object.Tx, *object.Event) error{}}
	s.Triggers, s.buckets.Triggers = h, h
	return s, h
}

// bind creates a bucket; options is what its definition holds beside the hooks.
func (s *server) bind(t *testing.T, name, rest string, pre, post []string) {
	t.Helper()
	quote := func(list []string) string {
		var all []string
		for _, text := range list {
			all = append(all, fmt.Sprintf("%q", text))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	config := `{"pre":` + quote(pre) + `,"post":` + quote(post) + rest + `}`
	if err := s.buckets.Create(ctx, name, jsvalue.Value(config)); err != nil {
		t.Fatalf("create %s: %v", config, err)
	}
}

// TestEvents shows what hooks see, in which order.
func TestEvents(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, true)
	s.bind(t, "b", `,"index":{"s":{"type":"string"}}`, []string{"pre1", "pre2"}, []string{"post1", "post2"})
	s.bind(t, "ordered", `,"options":{"guaranteeOrder":true}`, nil, []string{"post"})
	put := func(bucket, key, value string) func() string {
		return func() string { return s.put(bucket, key, value) }
	}
	for _, c := range []struct {
		name string
		run  func() string
		want string // the answer
		sees string
	}{
		{"insert", put("b", "a", `{"s":"1"}`), etag(`{"s":"1"}`), `pre1 put b a value={"s":"1"}
pre2 put b a value={"s":"1"}
post1 put b a value={"s":"1","_id":1} id=1
post2 put b a value={"s":"1","_id":1} id=1`},
		{"update", put("b", "a", `{"s":"2","_id":"mine"}`), etag(`{"s":"2","_id":"mine"}`), `pre1 put b a value={"s":"2","_id":"mine"} was={"s":"1"} update
pre2 put b a value={"s":"2","_id":"mine"} was={"s":"1"} update
post1 put b a value={"s":"2","_id":"mine"} id=1 was={"s":"1"} update
post2 put b a value={"s":"2","_id":"mine"} id=1 was={"s":"1"} update`},
		{"insert with _id", put("b", "c", `{"_id":"mine","s":"2"}`), etag(`{"_id":"mine","s":"2"}`), `pre1 put b c value={"_id":"mine","s":"2"}
pre2 put b c value={"_id":"mine","s":"2"}
post1 put b c value={"_id":2,"s":"2"} id=2
post2 put b c value={"_id":2,"s":"2"} id=2`},
		{"delete", func() string {
			return text(s.Service.Delete(ctx, &object.Delete{Bucket: "b", Key: "a", Headers: jsvalue.Value(`{"x":"y"}`)}))
		}, "", `post1 del b a id=1 headers={"x":"y"} was={"s":"2","_id":"mine"}
post2 del b a id=1 headers={"x":"y"} was={"s":"2","_id":"mine"}`},
		{"delete again", func() string { return s.del("b", "a", "") }, "ObjectNotFoundError: b::a does not exist", ""},
		{
			"delete of another etag", func() string { return s.del("b", "c", "nope") },
			`EtagConflictError: b::c was expected to have etag "nope", but was "` + etag(`{"_id":"mine","s":"2"}`) + `"`, "",
		},
		{"ordered", put("ordered", "a", `{}`), etag(`{}`), `post put ordered a value={"_id":1,"_txn_snap":2} id=1`},
		{"ordered update", put("ordered", "a", `{}`), etag(`{}`), `post put ordered a value={"_txn_snap":3} id=1 was={} update`},
		{"update of many", func() string { return s.update("b", `{"s":"3"}`, "(s=2)") }, "1", ""},
		{"delete of many", func() string { return s.deleteMany("b", "(s=*)") }, "1", ""},
		{"reindex", func() string { return s.reindex("b", 10) }, "0, -1 remain", ""},
		{"batch", func() string {
			_, err := s.Batch(ctx, []object.Operation{
				{Put: &object.Put{Bucket: "b", Key: "x", Value: parse(`{}`), Headers: jsvalue.Value(`{"h":1}`)}},
				{Delete: &object.Delete{Bucket: "b", Key: "x", Headers: jsvalue.Value(`{"h":2}`)}},
			})
			return text(err)
		}, "", `pre1 put b x value={} headers={"h":1}
pre2 put b x value={} headers={"h":1}
post1 put b x value={"_id":3} id=3 headers={"h":1}
post2 put b x value={"_id":3} id=3 headers={"h":1}
post1 del b x id=3 headers={"h":2} was={}
post2 del b x id=3 headers={"h":2} was={}`},
	} {
		want(t, c.name, c.run(), c.want)
		want(t, c.name+": events", h.take(), c.sees)
	}
}

// TestHooksChange shows what becomes of the changes that hooks make.
func TestHooksChange(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, false)
	s.bind(t, "b", `,"index":{"s":{"type":"string"},"n":{"type":"number"},"ip":{"type":"ip"},"u":{"type":"string","unique":true}}`, []string{"pre"}, []string{"post"})
	value := func(text string) func(object.Tx, *object.Event) error {
		return func(_ object.Tx, e *object.Event) error {
			e.Value = jsvalue.Value(text)
			return nil
		}
	}
	key := func(text string) func(object.Tx, *object.Event) error {
		return func(_ object.Tx, e *object.Event) error {
			e.Key = text
			return nil
		}
	}
	fails := func(object.Tx, *object.Event) error {
		return fault.New("BoomError", "boom").With("a", "1")
	}
	sql := func(text string) func(object.Tx, *object.Event) error {
		return func(tx object.Tx, _ *object.Event) error {
			tx.Run(ctx, &object.Script{Text: text}) //nolint:errcheck // because hooks can forget it too
			return nil
		}
	}
	h.by["post"] = func(_ object.Tx, e *object.Event) error {
		e.Key, e.Value = "elsewhere", jsvalue.Value(`{"s":"changed too late"}`)
		return nil
	}
	const old = `{"s":"old"}`
	for _, c := range []struct {
		name    string
		pre     func(object.Tx, *object.Event) error
		expects object.Precondition
		stored  bool   // there is an object a before
		want    string // the answer
		rows    string // key, column s, value
	}{
		{"value", value(`{ "s" : "new", "n":5 }`), object.Precondition{}, false, etag(`{"s":"new","n":5}`), `a new {"s":"new","n":5}`},
		{"etag of the request", value(`{"s":"new"}`), object.EtagIs(etag(old)), true, etag(`{"s":"new"}`), `a new {"s":"new"}`},
		{
			"etag does not fit", value(`{"s":"new"}`), object.EtagIs("nope"), true,
			`EtagConflictError: b::a was expected to have etag "nope", but was "` + etag(old) + `"`, `a old {"s":"old"}`,
		},
		{"array", value(`[1,"2"]`), object.Precondition{}, false, etag(`[1,"2"]`), `a - [1,"2"]`},
		{"null", value(`null`), object.Precondition{}, true, "AssertionError: object (object) is required", `a old {"s":"old"}`},
		{"text", value(`"text"`), object.Precondition{}, true, "AssertionError: object (object) is required", `a old {"s":"old"}`},
		{"no address", value(`{"ip":"x"}`), object.Precondition{}, true, "InvalidIndexTypeError: index(ip) is of type ip", `a old {"s":"old"}`},
		{"key, inserted", key("b"), object.Absent, false, etag(`{"s":"sent"}`), `b sent {"s":"sent"}`},
		{"key, object there", key("b"), object.Precondition{}, true, etag(`{"s":"sent"}`), `a old {"s":"old"}|b sent {"s":"sent"}`},
		{
			"key, etag of the other", key("b"), object.EtagIs(etag(old)), true,
			`EtagConflictError: b::b was expected to have etag "` + etag(old) + `", but was "null"`, `a old {"s":"old"}`,
		},
		{"fault", fails, object.EtagIs("nope"), true, "BoomError: boom", `a old {"s":"old"}`},
		{
			"swallowed refusal", sql(`SELECT nothing`),
			object.Precondition{},
			true,
			"error: current transaction is aborted, commands ignored until end of transaction block", `a old {"s":"old"}`,
		},
		{
			"its own writes", sql(`INSERT INTO b (_key, _value, _etag) VALUES ('mine', '{}', 'x')`),
			object.Precondition{},
			false, etag(`{"s":"sent"}`),
			`a sent {"s":"sent"}|mine - {}`,
		},
		{
			"its own writes are undone", sql(`INSERT INTO b (_key, _value, _etag) VALUES ('mine', '{}', 'x')`), object.EtagIs("nope"), true,
			`EtagConflictError: b::a was expected to have etag "nope", but was "` + etag(old) + `"`, `a old {"s":"old"}`,
		},
	} {
		s.db.Exec(t, `DELETE FROM b`)
		h.by["pre"] = nil
		if c.stored {
			want(t, "first put", s.put("b", "a", old), etag(old))
		}
		h.by["pre"] = c.pre
		want(t, c.name, s.put("b", "a", `{"s":"sent"}`, c.expects), c.want)
		want(t, c.name+": rows", strings.Join(s.db.Strings(t, `SELECT _key || ' ' || coalesce(s, '-') || ' ' || _value FROM b ORDER BY _key`), "|"), c.rows)
	}
}

// TestHookRaces: two puts of one new key. The hooks of the one that comes second run again, after what they did was undone.
func TestHookRaces(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, false)
	s.bind(t, "b", ``, []string{"pre"}, nil)
	s.db.Exec(t, `CREATE TABLE log (line TEXT)`)
	first := true
	h.by["pre"] = func(tx object.Tx, e *object.Event) error {
		line := fmt.Sprintf(`INSERT INTO log VALUES ('%s update %t')`, e.Value, e.Update)
		if _, err := tx.Run(ctx, &object.Script{Text: line}); err != nil {
			return err
		}
		if first { // the put within this one comes here too
			first = false
			want(t, "the other put", s.put("b", "k", `{"n":2}`), etag(`{"n":2}`))
		}
		return nil
	}
	want(t, "put", s.put("b", "k", `{"n":1}`), etag(`{"n":1}`))
	want(t, "value", s.get("b", "k"), `{"n":1}`)
	want(t, "log", s.rows(t, `SELECT line FROM log ORDER BY line`), `{"n":1} update true {"n":2} update false`)
}

// TestHooksAdded: a hook that another server adds is run from then on, for all that is known here or not.
func TestHooksAdded(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, false)
	s.bind(t, "b", ``, nil, nil)
	want(t, "put", s.put("b", "a", `{}`), etag(`{}`))
	other := serverOver(t, s.db, 2)
	other.buckets.Triggers = h
	if err := other.buckets.Update(ctx, "b", jsvalue.Value(`{"pre":["pre"],"post":["post"]}`), false); err != nil {
		t.Fatal(err)
	}
	want(t, "put", s.put("b", "a", `{}`), etag(`{}`))
	want(t, "events of the put", h.take(), "pre put b a value={} update\npost put b a value={} id=1 update")
	s.bind(t, "c", ``, nil, nil)
	want(t, "put", s.put("c", "a", `{}`), etag(`{}`))
	if err := other.buckets.Update(ctx, "c", jsvalue.Value(`{"post":["post"]}`), false); err != nil {
		t.Fatal(err)
	}
	want(t, "del", s.del("c", "a", ""), "")
	want(t, "events of the del", h.take(), "post del c a id=1")
}

// TestNoHooks: a server without hooks leaves no hook out.
func TestNoHooks(t *testing.T) {
	t.Parallel()
	s, _ := hooked(t, false)
	s.bind(t, "b", ``, []string{"pre"}, nil)
	s.Triggers = nil
	want(t, "put", s.put("b", "a", `{}`), "HookUnavailableError: bucket b has hooks, and this server runs none")
	s.buckets.Triggers = nil
	err := s.buckets.Create(ctx, "c", jsvalue.Value(`{"pre":["x"]}`))
	want(t, "create", text(err), "InvalidBucketConfigError: this server runs no triggers: pre and post must be empty")
}

// TestSchema: values are checked on every put, after the hooks, and on nothing else.
func TestSchema(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, false)
	const schema = `,"options":{"schema":{"type":"object","required":["name"],"properties":{"name":{"type":"string","minLength":2},` +
		`"tags":{"type":"array","items":{"type":"string"}},"mail":{"format":"email"},"a b/c~":{"type":"string"},"big":{"type":"integer"}}}}`
	s.bind(t, "plain", schema, nil, nil)
	s.bind(t, "hooked", schema, []string{"pre"}, nil)
	for _, b := range []string{"plain", "hooked"} {
		invalid := func(problem string) string {
			return "InvalidObjectError: " + b + "::k does not fit the schema of its bucket: value" + problem
		}
		for value, expected := range map[string]string{
			`{"name":"rex"}`:                etag(`{"name":"rex"}`),
			`{}`:                            invalid(": missing properties: 'name'"),
			`{"name":"x"}`:                  invalid(".name: length must be >= 2, but got 1"),
			`{"name":"rex","tags":["a",5]}`: invalid(".tags.1: expected string, but got number"),
			`{"name":"rex","a b/c~":5}`:     invalid(".a b/c~: expected string, but got number"),
			`{"name":"rex","mail":"x"}`:     invalid(".mail: 'x' is not valid 'email'"),
			`{"name":"rex","big":12345678901234567890}`: etag(`{"name":"rex","big":12345678901234567000}`),
		} {
			want(t, b+" "+value, s.put(b, "k", value), expected)
			_, err := s.Batch(ctx, []object.Operation{{Put: &object.Put{Bucket: b, Key: "k", Value: parse(value)}}})
			if expected := strings.TrimPrefix(expected, "I"); err != nil != (expected[0] == 'n') {
				t.Errorf("%s: batch of %s: %v", b, value, err)
			}
		}
		want(t, "update", s.update(b, `{"_vnode":5}`, "(_key=k)"), "NotIndexedError: "+b+` does not have indexes that support {"_vnode":5}`)
	}
	h.by["pre"] = func(_ object.Tx, e *object.Event) error {
		e.Value = jsvalue.Value(`{}`)
		return nil
	}
	err := s.put("hooked", "k", `{"name":"rex"}`)
	if !strings.HasPrefix(err, "InvalidObjectError") {
		t.Errorf("the value of a hook: %s", err)
	}
	_, failed := s.Put(ctx, &object.Put{Bucket: "plain", Key: "k", Value: parse(`{"name":5}`)})
	if f := fault.From(failed); f == nil || string(f.Context) != `{"bucket":"plain","key":"k","path":"/name"}` {
		t.Errorf("the fault is %v with the context %s", f, f.Context)
	}
	_, failed = s.Put(ctx, &object.Put{Bucket: "plain", Key: "k", Value: parse(`{"name":"rex","a b/c~":5}`)})
	if f := fault.From(failed); f == nil || string(f.Context) != `{"bucket":"plain","key":"k","path":"/a b~1c~0"}` {
		t.Errorf("the fault is %v with the context %s", f, f.Context)
	}
	for schema, problem := range map[string]string{
		`{"type":"nonsense"}`:        "bucket.options.schema.type: ",
		`5`:                          "bucket.options.schema: ",
		`{"$ref":"file:///etc/x"}`:   "bucket.options.schema: ",
		`{"pattern":"("}`:            "bucket.options.schema",
		`{"$ref":"#/definitions/x"}`: "bucket.options.schema: ",
	} {
		err := s.buckets.Create(ctx, "bad", jsvalue.Value(`{"options":{"schema":`+schema+`}}`))
		if got := text(err); !strings.HasPrefix(got, "InvalidBucketConfigError: "+problem) {
			t.Errorf("schema %s: %s, want InvalidBucketConfigError: %s…", schema, got, problem)
		}
	}
}

// TestStoredSchema: an original server gives the option no meaning, so it may have stored anything.
func TestStoredSchema(t *testing.T) {
	t.Parallel()
	s := serverOver(t, pgtest.New(t), 2)
	s.newBucket(t, "b")
	s.db.Exec(t, `UPDATE buckets_config SET options = '{"version":0,"schema":"b2"}'`)
	want(t, "put", s.put("b", "k", `{}`), etag(`{}`))
}

// TestHooksMany: puts of one key from many sides, with hooks, lose nothing.
func TestHooksMany(t *testing.T) {
	t.Parallel()
	s, h := hooked(t, false)
	s.bind(t, "b", ``, []string{"pre"}, []string{"post"})
	s.db.Exec(t, `CREATE TABLE log (line TEXT)`)
	h.by["post"] = func(tx object.Tx, e *object.Event) error {
		_, err := tx.Run(ctx, &object.Script{Text: `INSERT INTO log VALUES ($1)`, Args: [][]byte{e.Value.Member("n")}})
		return err
	}
	var writers sync.WaitGroup
	var mu sync.Mutex
	var written []string
	for n := range 40 {
		writers.Go(func() {
			_, err := s.Put(ctx, &object.Put{Bucket: "b", Key: fmt.Sprint("k", n%3), Value: parse(fmt.Sprintf(`{"n":%d}`, n)), Expects: object.Precondition{}})
			switch {
			case err == nil:
				mu.Lock()
				written = append(written, fmt.Sprint(n))
				mu.Unlock()
			case !errors.Is(err, fault.EtagConflict):
				t.Errorf("put %d: %v", n, err)
			}
		})
	}
	writers.Wait()
	slices.Sort(written)
	logged := s.db.Strings(t, `SELECT line FROM log ORDER BY line COLLATE "C"`)
	if !slices.Equal(written, logged) || len(written) != 40 {
		t.Errorf("written %v\nlogged %v", written, logged)
	}
}
