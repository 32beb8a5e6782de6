package reconcile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/reconcile"
)

// exported returns the live buckets as one file.
func (b *bed) exported(t rapid.TB) string {
	t.Helper()
	all, err := (&reconcile.Planner{Store: b.store}).Export(b.t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range all {
		text.WriteString("---\n")
		text.Write(e.YAML)
	}
	return text.String()
}

// checkInLine fails the test if a plan for what is exported has changes.
func (b *bed) checkInLine(t rapid.TB) {
	t.Helper()
	text := b.exported(t)
	documents, problems := reconcile.ReadFile("a.yaml", []byte(text))
	if problems != nil {
		t.Fatalf("%s\nis not read: %v", text, problems)
	}
	planner := &reconcile.Planner{Store: b.store}
	plan, err := planner.Make(b.t.Context(), documents)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Verdict() != reconcile.InLine || len(plan.Unchanged) == 0 {
		var out strings.Builder
		if err := plan.Print(&out, reconcile.Style{}); err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%s\nhas the plan\n%s", text, out.String())
	}
	difference, err := planner.Diff(b.t.Context(), documents)
	if err != nil || len(difference) > 0 {
		t.Fatalf("%s\nhas the difference\n%s%v", text, difference, err)
	}
}

// A database of the original, as PostgreSQL's dump and the rows of buckets_config show it, is exported and planned without
// changes. Recorded from Moray 2.6.1 on PostgreSQL 15 after a conversation about buckets.
func TestExportOriginal(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	schema, err := os.ReadFile("testdata/original/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	b.db.Exec(t, "DROP TABLE buckets_config")
	b.db.Exec(t, string(schema))
	rows, err := os.ReadFile("testdata/original/buckets_config.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(rows)) {
		b.db.Exec(t, "INSERT INTO public.buckets_config SELECT * FROM json_populate_record(NULL::public.buckets_config, $1)", line)
		n++
	}
	b.checkInLine(t)
	if got := strings.Count(b.exported(t), "kind: Bucket"); got != n || n < 5 {
		t.Errorf("%d of %d buckets were exported", got, n)
	}
}

// Whatever clients define is exported and planned without changes.
func TestExport(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	types := []string{"string", "[string]", "number", "[number]", "numrange", "boolean", "[boolean]", "date", "[date]", "daterange", "ip", "[ip]", "mac", "[mac]", "subnet", "[subnet]", "uuid"}
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		index := map[string]any{}
		for range rapid.IntRange(0, 5).Draw(rt, "indexes") {
			definition := map[string]any{"type": rapid.SampledFrom(types).Draw(rt, "type")}
			if rapid.Bool().Draw(rt, "says unique") {
				definition["unique"] = rapid.Bool().Draw(rt, "unique")
			}
			index[rapid.StringMatching(`[xX][a-z]{0,5}_?[a-zA-Z0-9]`).Draw(rt, "name")] = definition
		}
		options := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(rt, "options") {
			options[rapid.OneOf(rapid.StringMatching(`[a-z]{1,3}`), rapid.Just(""), rapid.Just("<<"), rapid.Just("a/b~")).Draw(rt, "option")] = anyValue(rt, 2)
		}
		for name, value := range map[string]any{"version": 3, "guaranteeOrder": true, "schema": map[string]any{"type": "object"}} {
			if rapid.Bool().Draw(rt, name) {
				options[name] = value
			}
		}
		config, err := json.Marshal(map[string]any{"index": index, "options": options})
		if err != nil {
			rt.Fatal(err)
		}
		made++
		name := fmt.Sprint("b", made)
		err = b.buckets.Create(t.Context(), name, jsvalue.Value(config))
		if folded := len(fold(index)); err != nil && folded < len(index) {
			return // two names for one column
		} else if err != nil {
			rt.Fatalf("%s: %v", config, err)
		}
		b.checkInLine(rt)
		if err := b.buckets.Delete(t.Context(), name); err != nil {
			rt.Fatal(err)
		}
	})
}

func fold(index map[string]any) map[string]bool {
	folded := map[string]bool{}
	for name := range index {
		folded[strings.ToLower(name)] = true
	}
	return folded
}

// What documents define is exported with their settings and labels.
func TestExportManaged(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	planner := &reconcile.Planner{Revision: "r1", By: "a test"}
	b.apply(planner, `apiVersion: moray/v1
kind: Bucket
metadata:
  name: users
  labels: {team: identity}
spec:
  version: 3
  index:
    login: {type: string, unique: true}
    groups: {type: '[string]'}
  options: {guaranteeOrder: true}
  schema: {type: object}
  reindex: {rate: 5}
  deletionPolicy: delete
  protect: true
  allow: [schema]
`)
	b.checkInLine(t)
	want := `---
# a.yaml at r1 was applied on ….
apiVersion: moray/v1
kind: Bucket
metadata:
  name: users
  labels:
    team: identity
spec:
  version: 3
  index:
    login: {type: string, unique: true}
    groups: {type: '[string]'}
  options:
    guaranteeOrder: true
  schema:
    type: object
  reindex:
    rate: 5
    batch: 100
  deletionPolicy: delete
  protect: true
`
	if diff := cmp.Diff(want, times.ReplaceAllString(b.exported(t), "…")); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(&reconcile.Planner{Revision: "r1"}, brief("users version=1 login=string email=string\nsame version=1\ndrifted version=1"))
	if err := b.buckets.Update(t.Context(), "drifted", jsvalue.Value(`{"index":{"x":{"type":"string"}},"options":{"version":2}}`), false); err != nil {
		t.Fatal(err)
	}
	documents := b.read(brief("users version=2 login=string! groups=[string] protect\nsame version=1\ndrifted version=1\nnew options={\"a\":1}"))
	difference, err := (&reconcile.Planner{Store: b.store}).Diff(t.Context(), documents)
	if err != nil {
		t.Fatal(err)
	}
	want := `--- live users
+++ a.yaml:2
@@ -3,7 +3,8 @@
 metadata:
   name: users
 spec:
-  version: 1
+  version: 2
   index:
-    email: {type: string}
-    login: {type: string}
+    groups: {type: '[string]'}
+    login: {type: string, unique: true}
+  protect: true
# drift: a client changed the bucket since a.yaml at r1 was applied on …
--- live drifted
+++ a.yaml:18
@@ -3,6 +3,4 @@
 metadata:
   name: drifted
 spec:
-  version: 2
-  index:
-    x: {type: string}
+  version: 1
--- live new
+++ a.yaml:24
@@ -0,0 +1,7 @@
+apiVersion: moray/v1
+kind: Bucket
+metadata:
+  name: new
+spec:
+  options:
+    a: 1
`
	if diff := cmp.Diff(want, times.ReplaceAllString(string(difference), "…")); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
}
