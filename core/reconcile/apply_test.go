package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/reconcile"
)

// applier returns one that may do what the consents allow.
func (b *bed) applier(consents ...string) *reconcile.Applier {
	b.t.Helper()
	p := &reconcile.Planner{Store: b.store, Revision: "r", By: "a test"}
	for _, text := range consents {
		c, err := reconcile.ParseConsent(text)
		if err != nil {
			b.t.Fatal(err)
		}
		p.Allow = append(p.Allow, c)
	}
	return &reconcile.Applier{Planner: p, Cache: b.buckets.Cache, Wait: time.Minute}
}

// plan prints the plan for documents.
func (b *bed) plan(documents []*reconcile.Document) string {
	b.t.Helper()
	plan, err := b.applier().Make(context.Background(), documents)
	if err != nil {
		b.t.Fatal(err)
	}
	var out strings.Builder
	if err := plan.Print(&out, reconcile.Style{}); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

// checkApplied fails the test unless nothing is left to do and nothing was left behind.
func (b *bed) checkApplied(documents []*reconcile.Document) {
	b.t.Helper()
	if plan := b.plan(documents); !strings.HasPrefix(plan, "No changes") {
		b.t.Errorf("after the apply the plan is\n%s", plan)
	}
	invalid := b.db.Strings(b.t, `SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid OR NOT indisready`)
	if len(invalid) > 0 {
		b.t.Errorf("indexes that are not valid: %s", invalid)
	}
	shadows := b.db.Strings(b.t, `SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
 WHERE c.relkind = 'r' AND attname ~ '^_moray' AND NOT attisdropped`)
	if len(shadows) > 0 {
		b.t.Errorf("columns that were left behind: %s", shadows)
	}
	if len(b.db.Strings(b.t, `SELECT 1 WHERE to_regclass('_moray.unfinished') IS NOT NULL`)) > 0 {
		if left := b.db.Strings(b.t, `SELECT bucket, name FROM _moray.unfinished`); len(left) > 0 {
			b.t.Errorf("recorded as unfinished: %s", left)
		}
	}
}

// Definitions are applied, in the file's and in the command line's words, and what is applied needs no change.
func TestApply(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	documents := b.read(brief("users version=1 login=string! email=string\nplain x=number"))
	result, err := b.applier().Apply(t.Context(), documents, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(result.Applied, result.Adopted, result.Skipped); got != "[plain users] [] []" {
		t.Errorf("applied %s", got)
	}
	b.checkApplied(documents)
	for i := range 50 {
		b.put("users", fmt.Sprint("k", i), fmt.Sprintf(`{"login":"u%d","email":"e%d","age":"%d"}`, i, i, i))
	}
	for _, step := range []struct{ want, consent string }{
		{"users version=2 login=string! email=string age=string", ""},
		{"users version=3 login=string email=string! age=number", "change-type=users.age"},
		{"users version=4 login=string! age=number", "drop-index=users.email"},
		{"users version=5 login=string! age=number options={\"guaranteeOrder\":true} protect", ""},
		{"users version=5 login=string! age=number options={\"guaranteeOrder\":true} reindex", ""},
	} {
		documents := b.read(brief(step.want))
		a := b.applier()
		if step.consent != "" {
			before := b.state()
			if _, err := a.Apply(t.Context(), documents, nil); !errors.Is(err, reconcile.ErrForbidden) {
				t.Errorf("%s without consent: %v", step.want, err)
			}
			if after := b.state(); after != before {
				t.Errorf("what is not allowed changed the database from\n%s to\n%s", before, after)
			}
			a = b.applier(step.consent)
		}
		if result, err := a.Apply(t.Context(), documents, nil); err != nil || fmt.Sprint(result.Applied) != "[users]" {
			t.Fatalf("%s: %+v, %v", step.want, result, err)
		}
		b.checkApplied(documents)
	}
	if got := b.db.Strings(t, "SELECT count(*), sum(age), count(login) FROM users")[0]; got != "50|1225|50" {
		t.Errorf("the rows are %s", got)
	}
	if got := b.db.Strings(t, "SELECT protect, rate, batch, applied_by, revision FROM _moray.managed WHERE bucket = 'users'")[0]; got != "f|1000|100|a test|r" {
		t.Errorf("the record is %s", got)
	}
}

// A bucket that a client made is managed from the first apply on, and its client may not notice.
func TestApplyAdopts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	if err := b.buckets.Create(t.Context(), "users", jsvalue.Value(`{"index":{"login":{"type":"string"}}}`)); err != nil {
		t.Fatal(err)
	}
	stored := func() string { return b.db.Strings(t, "SELECT xmin, c FROM buckets_config c")[0] }
	before := stored()
	documents := b.read(brief("users login=string"))
	result, err := b.applier().Apply(t.Context(), documents, nil)
	if err != nil || fmt.Sprint(result.Applied, result.Adopted) != "[] [users]" {
		t.Fatalf("%+v, %v", result, err)
	}
	if after := stored(); after != before {
		t.Errorf("the definition changed from\n%s to\n%s", before, after)
	}
	if got := b.db.Strings(t, "SELECT bucket, source FROM _moray.managed")[0]; got != "users|a.yaml" {
		t.Errorf("the record is %s", got)
	}
}

// Without consent nothing is done, also not what needs none; with Partly the rest is done.
func TestApplyForbidden(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(b.applier().Planner, brief("users version=1 login=string\nold version=5"))
	documents := b.read(brief("users version=2\nold version=4\nnew version=1"))
	before := b.state()
	if _, err := b.applier().Apply(t.Context(), documents, nil); !errors.Is(err, reconcile.ErrForbidden) {
		t.Errorf("apply: %v", err)
	}
	a := b.applier("drop-index=users.login")
	if _, err := a.Apply(t.Context(), documents, nil); !errors.Is(err, reconcile.ErrForbidden) {
		t.Errorf("apply with an older version: %v", err)
	}
	a.MaxChanges = 2
	if _, err := a.Apply(t.Context(), documents, nil); err == nil || err.Error() != "3 buckets would be changed, more than 2" {
		t.Errorf("apply of too much: %v", err)
	}
	if after := b.state(); after != before {
		t.Errorf("the database changed from\n%s to\n%s", before, after)
	}
	a.MaxChanges, a.Partly, a.Harmless = 0, true, true
	result, err := a.Apply(t.Context(), documents, nil)
	if err != nil || fmt.Sprint(result.Applied) != "[new]" || len(result.Skipped) != 2 {
		t.Errorf("what is harmless: %+v, %v", result, err)
	}
	a.Harmless = false
	result, err = a.Apply(t.Context(), documents, nil)
	if err != nil || fmt.Sprint(result.Applied) != "[users]" || len(result.Skipped) != 1 {
		t.Errorf("what is allowed: %+v, %v", result, err)
	}
}

// A plan that was kept is carried out only if it would be the same now.
func TestApplyKept(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(b.applier().Planner, brief("users version=1 login=string"))
	keep := func(text string) (*reconcile.Plan, []*reconcile.Document) {
		t.Helper()
		plan, err := b.applier().Make(t.Context(), b.read(brief(text)))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := plan.JSON(&out); err != nil {
			t.Fatal(err)
		}
		saved, documents, err := reconcile.LoadPlan([]byte(out.String()))
		if err != nil {
			t.Fatal(err)
		}
		return saved, documents
	}
	saved, documents := keep("users version=2 login=string email=string")
	if err := b.buckets.Update(t.Context(), "users", jsvalue.Value(`{"index":{"login":{"type":"string"}},"options":{"version":1.5}}`), false); err == nil {
		t.Fatal("a version that is not whole was accepted")
	}
	b.put("users", "k", `{"login":"x"}`) // from now on it takes other steps
	if _, err := b.applier().Apply(t.Context(), documents, saved); !errors.Is(err, reconcile.ErrStale) {
		t.Errorf("apply a plan for an empty bucket: %v", err)
	}
	saved, documents = keep("users version=3 login=string email=string")
	if err := b.buckets.Update(t.Context(), "users", jsvalue.Value(`{"index":{"login":{"type":"string"}},"options":{"version":2}}`), false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.applier().Apply(t.Context(), documents, saved); !errors.Is(err, reconcile.ErrStale) {
		t.Errorf("apply a plan for another definition: %v", err)
	}
	saved, documents = keep("users version=3 login=string email=string")
	if _, err := b.applier().Apply(t.Context(), documents, saved); err != nil {
		t.Errorf("apply a plan: %v", err)
	}
	b.checkApplied(documents)
	if _, err := b.applier().Apply(t.Context(), documents, saved); !errors.Is(err, reconcile.ErrStale) {
		t.Errorf("apply a plan again: %v", err)
	}
	for _, text := range []string{``, `[]`, `{}`, `{"format":2}`, `{"format":1,"documents":[{"document":{}}]}`, `{"format":1,"documents":[{"document":5}]}`} {
		if _, _, err := reconcile.LoadPlan([]byte(text)); err == nil {
			t.Errorf("%q is taken for a plan", text)
		}
	}
}

// Several who apply take turns, and who does not get his in time is told so.
func TestApplyTogether(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	beds := []*bed{b, bedAt(t, b.db, b.db.URL()), bedAt(t, b.db, b.db.URL())}
	documents := b.read(brief("users version=1 login=string\nothers version=1\nmore version=1"))
	var all sync.WaitGroup
	var mu sync.Mutex
	applied := 0
	for _, b := range beds {
		all.Go(func() {
			result, err := b.applier().Apply(context.Background(), documents, nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			applied += len(result.Applied)
		})
	}
	all.Wait()
	if applied != 3 {
		t.Errorf("%d buckets were applied, want each of 3 once", applied)
	}
	b.checkApplied(documents)

	err := b.store.Exclusively(t.Context(), -1, func(alive func() error) error {
		a := beds[1].applier()
		a.Wait = 10 * time.Millisecond
		_, err := a.Apply(t.Context(), documents, nil)
		if !errors.Is(err, bucket.ErrBusy) {
			t.Errorf("while another one applies: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a.Wait = -1
		if _, err := a.Apply(ctx, documents, nil); err == nil {
			t.Error("an apply whose context has ended succeeds")
		}
		if err := alive(); err != nil {
			t.Errorf("the turn is lost: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A client's change between the plan and its turn is not overlooked.
func TestApplyMeetsClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client func(b *bed) error
		want   error
	}{
		"a reindexing ends": {client: func(b *bed) error {
			b.db.Exec(b.t, "UPDATE buckets_config SET reindex_active = '{}' WHERE name = 'users'")
			return nil
		}},
		"another index": {want: reconcile.ErrStale, client: func(b *bed) error {
			return b.buckets.Update(context.Background(), "users", jsvalue.Value(`{"index":{"login":{"type":"string"},"more":{"type":"string"}},"options":{"version":3}}`), false)
		}},
		"a newer version": {want: reconcile.ErrStale, client: func(b *bed) error {
			return b.buckets.Update(context.Background(), "users", jsvalue.Value(`{"index":{"login":{"type":"string"}},"options":{"version":9}}`), false)
		}},
		"deleted": {want: reconcile.ErrStale, client: func(b *bed) error { return b.buckets.Delete(context.Background(), "users") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.apply(b.applier().Planner, brief("users version=1 login=string"))
			b.apply(b.applier().Planner, brief("users version=2 login=string"))
			documents := b.read(brief("users version=3 login=string email=string"))
			a := b.applier()
			a.Planned = func(*reconcile.Plan) {
				if err := c.client(b); err != nil {
					t.Error(err)
				}
			}
			_, err := a.Apply(t.Context(), documents, nil)
			if !errors.Is(err, c.want) {
				t.Errorf("the apply ended with %v, want %v", err, c.want)
			}
			if c.want == nil {
				b.checkApplied(documents)
			}
		})
	}
}

// The database goes away at a statement: at any with MORAY_EVERY_STEP (make crash-test), else at some. What is there works, and
// the next apply does the rest.
func TestApplyWithoutDatabase(t *testing.T) {
	t.Parallel()
	const before = "users version=1 a=string n=string u=string p=string! gone=number\nsecond version=1 x=string"
	const after = "users version=2 a=string n=number u=string! p=string more=number single=string! tags=[string]\nsecond version=2 x=string y=string\nthird version=1"
	consents := []string{"change-type=users.n", "drop-index=users.gone"}
	stride := 5
	if os.Getenv("MORAY_EVERY_STEP") != "" {
		stride = 1
	}
	for k := 1; k <= 60; k += stride {
		t.Run(fmt.Sprint("statement ", k), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			direct := bedAt(t, db, db.URL())
			direct.apply(direct.applier().Planner, brief(before))
			for i := range 20 {
				direct.put("users", fmt.Sprint("k", i), fmt.Sprintf(`{"a":"a","n":"%d","u":"u%d","p":"p%d","more":%d,"single":"s%d","tags":["t"]}`, i, i, i, i, i))
			}
			proxy := pgtest.NewProxy(t, db)
			b := bedAt(t, db, proxy.URL())
			n := 0
			var mu sync.Mutex
			proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
				mu.Lock()
				defer mu.Unlock()
				text := string(m.Body)
				if !m.FromClient || m.Type != 'P' || strings.Contains(text, "\x00SELECT") || strings.Contains(text, "\x00BEGIN") {
					return pgtest.Pass
				}
				if n++; n == k {
					go proxy.Down() // all of it, and it stays down
					return pgtest.Cut
				}
				return pgtest.Pass
			})
			documents := direct.read(brief(after))
			_, err := b.applier(consents...).Apply(t.Context(), documents, nil)
			mu.Lock()
			reached := n >= k
			mu.Unlock()
			if reached && err == nil {
				t.Error("the apply succeeds without its database")
			}
			for i := range 20 { // the bucket works as it is
				direct.put("users", fmt.Sprint("k", i), fmt.Sprintf(`{"a":"b","n":"%d","u":"u%d","p":"p%d","more":%d,"single":"s%d","tags":["t"]}`, i, i, i, i, i))
			}
			if _, err := direct.applier(consents...).Apply(t.Context(), documents, nil); err != nil {
				t.Fatalf("the next apply: %v", err)
			}
			direct.checkApplied(documents)
			if got := db.Strings(t, "SELECT count(*), sum(n), count(DISTINCT u) FROM users")[0]; got != "20|190|20" {
				t.Errorf("the rows are %s", got)
			}
		})
	}
}

// Whatever documents come one after the other: what was applied needs no change.
func TestApplyAnything(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	seeds := uint64(8)
	if os.Getenv("MORAY_EVERY_STEP") != "" {
		seeds = 200
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 0))
		name := fmt.Sprint("b", seed)
		version := 0
		for range 4 {
			if version > 0 || random.IntN(2) == 0 {
				version++
			}
			text := anyDocument(random, name, version)
			documents := b.read(brief(text))
			a := b.applier()
			for _, index := range []string{"a", "b", "c"} {
				for _, guard := range []string{"drop-index", "change-type"} {
					a.Allow = append(a.Allow, reconcile.Consent{Guard: guard, Bucket: name, Index: index})
				}
			}
			plan, err := a.Make(t.Context(), documents)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Verdict() == reconcile.Forbidden {
				continue // another type without a version
			}
			if _, err := a.Apply(t.Context(), documents, nil); err != nil {
				t.Fatalf("seed %d: %s: %v", seed, text, err)
			}
			b.checkApplied(documents)
			if random.IntN(2) == 0 {
				b.put(name, fmt.Sprint("k", version), `{}`)
			}
		}
	}
}

func anyDocument(random *rand.Rand, name string, version int) string {
	words := []string{name, fmt.Sprint("version=", version)}
	for _, index := range []string{"a", "b", "c"} {
		if random.IntN(2) == 0 {
			words = append(words, index+"="+[]string{"string", "string!", "number", "[string]", "boolean"}[random.IntN(5)])
		}
	}
	for _, setting := range []string{"protect", "reindex", "delete", `options={"guaranteeOrder":true}`, `schema={"type":"object"}`} {
		if random.IntN(4) == 0 {
			words = append(words, setting)
		}
	}
	return strings.Join(words, " ")
}
