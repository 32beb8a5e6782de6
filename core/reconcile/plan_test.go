package reconcile_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/reconcile"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bed is a database and the parts of a server over it.
type bed struct {
	t       testing.TB
	db      *pgtest.DB
	store   *pgstore.Store
	buckets *bucket.Service
	objects *object.Service
}

func newBed(t testing.TB) *bed {
	t.Helper()
	db := pgtest.New(t)
	return bedAt(t, db, db.URL())
}

// bedAt reaches the database by a URL, which may be that of a proxy.
func bedAt(t testing.TB, db *pgtest.DB, url string) *bed {
	t.Helper()
	limits := pgstore.Limits{MaxConnections: 4, ClaimDelay: time.Second}
	if strings.HasPrefix(url, "postgres://moray@127") { // a proxy, which may be down for good
		limits.ClaimDelay = 50 * time.Millisecond
	}
	store, err := pgstore.New(pgstore.Config{URL: url, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	cache := &bucket.Cache{}
	return &bed{t, db, store, &bucket.Service{Store: store, Cache: cache}, &object.Service{Store: store, Buckets: cache}}
}

// put writes an object.
func (b *bed) put(name, key, value string) {
	b.t.Helper()
	o, err := jsvalue.ParseObject([]byte(value))
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.objects.Put(context.Background(), &object.Put{Bucket: name, Key: key, Value: o}); err != nil {
		b.t.Fatalf("put %s %s: %v", name, key, err)
	}
}

// read returns the documents of a text.
func (b *bed) read(text string) []*reconcile.Document {
	b.t.Helper()
	documents, err := reconcile.Read(files(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return documents
}

// brief makes documents of lines such as
//
//	users version=2 login=string! groups=[string] protect reindex delete allow=drop-index=x schema={...} options={...}
func brief(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		fmt.Fprintf(&out, "---\napiVersion: moray/v1\nkind: Bucket\nmetadata: {name: %s}\nspec:\n", words[0])
		var index, rest string
		for _, word := range words[1:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "protect":
				rest += "  protect: true\n"
			case "reindex":
				rest += "  reindex: true\n"
			case "delete":
				rest += "  deletionPolicy: delete\n"
			case "allow":
				rest += fmt.Sprintf("  allow: [%s]\n", value)
			case "version", "schema", "options", "pre", "post":
				rest += fmt.Sprintf("  %s: %s\n", name, value)
			default:
				index += fmt.Sprintf("    %s: {type: %q, unique: %t}\n", name, strings.TrimSuffix(value, "!"), strings.HasSuffix(value, "!"))
			}
		}
		if index != "" {
			rest += "  index:\n" + index
		}
		out.WriteString(strings.Replace(rest, "", "", 1))
		if rest == "" {
			out.WriteString("  {}\n")
		}
	}
	return out.String()
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+\.\d kB`)

// A case lists commands, a line each: have and want are documents in brief, put writes objects, client is what a client does.
func TestPlan(t *testing.T) {
	t.Parallel()
	golden(t, "plan.txt", func(t *testing.T, input string) string {
		b := newBed(t)
		planner := &reconcile.Planner{Store: b.store, Revision: "r1", By: "a test"}
		var have, want strings.Builder
		style, markdown := reconcile.Style{}, false
		for line := range strings.Lines(input) {
			command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch command {
			case "have":
				have.WriteString(rest + "\n")
				b.apply(planner, brief(rest))
			case "want":
				want.WriteString(rest + "\n")
			case "put":
				words := strings.SplitN(rest, " ", 3)
				b.put(words[0], words[1], words[2])
			case "rows":
				words := strings.SplitN(rest, " ", 3)
				n, err := strconv.Atoi(words[1])
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					b.put(words[0], fmt.Sprintf("k%02d", i), strings.ReplaceAll(words[2], "#", strconv.Itoa(i)))
				}
			case "client":
				words := strings.SplitN(rest, " ", 3)
				var err error
				switch words[0] {
				case "update":
					err = b.buckets.Update(t.Context(), words[1], jsvalue.Value(words[2]), false)
				case "create":
					err = b.buckets.Create(t.Context(), words[1], jsvalue.Value(words[2]))
				case "delete":
					err = b.buckets.Delete(t.Context(), words[1])
				}
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			case "sql":
				b.db.Exec(t, rest)
			case "allow":
				consent, err := reconcile.ParseConsent(rest)
				if err != nil {
					t.Fatal(err)
				}
				planner.Allow = append(planner.Allow, consent)
			case "prune":
				planner.Prune = true
			case "look":
				n, err := strconv.Atoi(rest)
				if err != nil {
					t.Fatal(err)
				}
				planner.Rows = n
			case "only":
				planner.Only = strings.Fields(rest)
			case "verbose":
				style.Verbose = true
			case "colors":
				style.Color = true
			case "markdown":
				markdown = true
			default:
				t.Fatalf("unknown command %q", command)
			}
		}
		before := b.state()
		plan, err := planner.Make(t.Context(), b.read(brief(want.String())))
		if err != nil {
			t.Fatal(err)
		}
		if after := b.state(); after != before {
			t.Errorf("planning changed the database from\n%s to\n%s", before, after)
		}
		checkKept(t, plan)
		var out strings.Builder
		if markdown {
			err = plan.Markdown(&out)
		} else {
			err = plan.Print(&out, style)
		}
		if err != nil {
			t.Fatal(err)
		}
		verdict := []string{"in line", "pending", "forbidden"}[plan.Verdict()]
		return times.ReplaceAllString(out.String(), "…") + "= " + verdict
	})
}

// apply brings the database in line with documents, whatever that takes.
func (b *bed) apply(planner *reconcile.Planner, text string) {
	b.t.Helper()
	for _, d := range b.read(text) {
		owner := &bucket.Owner{
			Bucket: d.Name, Source: d.File, Revision: planner.Revision, Document: d.Text, Hash: d.Hash(), Fingerprint: d.Fingerprint(),
			Protect: d.Protect, Pace: d.Pace, By: planner.By,
		}
		a := &bucket.Application{Definition: d.Definition, Owner: owner}
		record, err := b.store.LoadBucket(b.t.Context(), d.Name)
		if err != nil {
			b.t.Fatal(err)
		}
		if record != nil {
			a.Generation = record.Generation
		}
		if err := b.buckets.Apply(b.t.Context(), d.Name, a); err != nil {
			b.t.Fatalf("apply %s: %v", d.Name, err)
		}
	}
}

// state is what planning must not change.
func (b *bed) state() string {
	b.t.Helper()
	return strings.Join(b.db.Strings(b.t, `SELECT oid, relname FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY oid`), "\n") +
		strings.Join(b.db.Strings(b.t, `SELECT xmin, name FROM buckets_config ORDER BY name`), "\n")
}

// checkKept keeps a plan as JSON and loads it again.
func checkKept(t *testing.T, plan *reconcile.Plan) {
	t.Helper()
	var text, again bytes.Buffer
	if err := plan.JSON(&text); err != nil {
		t.Fatal(err)
	}
	loaded, documents, err := reconcile.LoadPlan(text.Bytes())
	if err != nil {
		t.Fatalf("%s\nis not loaded: %v", text.Bytes(), err)
	}
	if err := loaded.JSON(&again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text.String(), again.String()); diff != "" {
		t.Errorf("a plan, and what is loaded of it:\n%s", diff)
	}
	if len(documents) != len(plan.Documents) {
		t.Errorf("%d of %d documents are loaded", len(documents), len(plan.Documents))
	}
}
