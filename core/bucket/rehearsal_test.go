package bucket_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// rehearse returns the steps that a change would take: SQL, and the number of its transaction.
func (p *parts) rehearse(t *testing.T, change func(*bucket.Service) error) []string {
	t.Helper()
	steps, err := p.store.Rehearse(context.Background(), func(s bucket.Store) error {
		return change(&bucket.Service{Store: s, Cache: &bucket.Cache{}})
	})
	if err != nil {
		t.Fatalf("rehearse: %v", err)
	}
	var lines []string
	for _, s := range steps {
		lines = append(lines, fmt.Sprint(s.Tx, " ", s.SQL))
	}
	return lines
}

// recorder notes the statements that change something on their way to PostgreSQL, in the form of rehearse.
type recorder struct {
	mu    sync.Mutex
	on    bool
	texts map[prepared]string
	lines []string
	txs   int
	open  bool // a transaction with changes
	start int  // how many lines there were before it
}

// prepared is a prepared statement of a connection.
type prepared struct {
	conn context.Context
	name string
}

var placeholders = regexp.MustCompile(`\$[0-9]+`)

// rule is a rule of a proxy.
func (r *recorder) rule(ctx context.Context, m pgtest.Message) pgtest.Action {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !m.FromClient:
	case m.Type == 'P': // Parse: name, text
		name, rest, _ := strings.Cut(string(m.Body), "\x00")
		text, _, _ := strings.Cut(rest, "\x00")
		r.texts[prepared{ctx, name}] = text
	case m.Type == 'B' && r.on: // Bind: portal, name, formats, arguments
		_, rest, _ := strings.Cut(string(m.Body), "\x00")
		name, rest, _ := strings.Cut(rest, "\x00")
		r.note(r.texts[prepared{ctx, name}], arguments([]byte(rest)))
	}
	return pgtest.Pass
}

func arguments(body []byte) []string {
	body = body[2+2*binary.BigEndian.Uint16(body):]
	args := make([]string, binary.BigEndian.Uint16(body))
	body = body[2:]
	for i := range args {
		n := int32(binary.BigEndian.Uint32(body))
		body = body[4:]
		if n < 0 {
			args[i] = "NULL"
			continue
		}
		args[i] = "'" + strings.ReplaceAll(string(body[:n]), "'", "''") + "'"
		body = body[n:]
	}
	return args
}

func (r *recorder) note(text string, args []string) {
	switch {
	case strings.HasPrefix(text, "BEGIN"):
		r.open = false
		return
	case strings.HasPrefix(text, "ROLLBACK"):
		if r.open {
			r.lines, r.txs = r.lines[:r.start], r.txs-1
		}
		return
	case strings.HasPrefix(text, "SELECT") && !strings.Contains(text, "pg_notify") && !strings.Contains(text, "pg_advisory_xact_lock"),
		strings.HasPrefix(text, "COMMIT"):
		return
	}
	tx := 0
	if !strings.Contains(text, "CONCURRENTLY") {
		if !r.open {
			r.open, r.start = true, len(r.lines)
			r.txs++
		}
		tx = r.txs
	}
	line := fmt.Sprint(tx, " ", placeholders.ReplaceAllStringFunc(text, func(p string) string {
		i, err := strconv.Atoi(p[1:])
		if err != nil {
			panic(err)
		}
		return args[i-1]
	}))
	// Pages of a shadow: the rehearsal does not know the rows.
	if _, rest, ok := strings.Cut(line, `) UPDATE "b" _t SET "_moray_`); ok && strings.Contains(line, "unnest") {
		ident, _, _ := strings.Cut(rest, `"`)
		line = fmt.Sprintf(`%d UPDATE "b" SET "_moray_%s" = …, "_moray__%s" = … WHERE _key = …`, tx, ident, ident)
	}
	r.lines = append(r.lines, line)
}

// What a rehearsal notes is what the change does, statement by statement.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	owner := &bucket.Owner{Bucket: "b", Source: "b.yaml", Document: []byte(`{}`), Hash: "h", Fingerprint: "f", By: "it's me"}
	config := func(index, options string) jsvalue.Value {
		return jsvalue.Value(`{"index":` + index + `,"options":` + options + `}`)
	}
	for name, c := range map[string]struct {
		rows   int
		before jsvalue.Value
		change func(s *bucket.Service, generation uint32) error
	}{
		"create": {before: nil, change: func(s *bucket.Service, _ uint32) error {
			return s.Apply(context.Background(), "b", &bucket.Application{Definition: jsvalue.Value(first), Owner: owner})
		}},
		"update an empty bucket": {before: jsvalue.Value(first), change: func(s *bucket.Service, generation uint32) error {
			return s.Apply(context.Background(), "b", &bucket.Application{Definition: jsvalue.Value(second), Owner: owner, Generation: generation})
		}},
		"update over rows": {rows: 5, before: jsvalue.Value(first), change: func(s *bucket.Service, generation uint32) error {
			return s.Apply(context.Background(), "b", &bucket.Application{Definition: jsvalue.Value(second), Owner: owner, Generation: generation})
		}},
		"a client's update": {rows: 5, before: jsvalue.Value(first), change: func(s *bucket.Service, _ uint32) error {
			return s.Update(context.Background(), "b", jsvalue.Value(second), false)
		}},
		"order, without index": {rows: 5, before: config(`{}`, `{}`), change: func(s *bucket.Service, generation uint32) error {
			return s.Apply(context.Background(), "b", &bucket.Application{Definition: config(`{}`, `{"guaranteeOrder":true}`), Owner: owner, Generation: generation})
		}},
		"unique over rows": {rows: 5, before: config(`{"a":{"type":"string"}}`, `{}`), change: func(s *bucket.Service, generation uint32) error {
			return s.Apply(context.Background(), "b", &bucket.Application{Definition: config(`{"a":{"type":"string","unique":true}}`, `{}`), Owner: owner, Generation: generation})
		}},
		"note the owner": {rows: 5, before: jsvalue.Value(first), change: func(s *bucket.Service, generation uint32) error {
			return s.Apply(context.Background(), "b", &bucket.Application{Keep: true, Owner: owner, Generation: generation})
		}},
		"remove": {rows: 5, before: jsvalue.Value(first), change: func(s *bucket.Service, generation uint32) error {
			return s.Remove(context.Background(), "b", generation)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			proxy := pgtest.NewProxy(t, db)
			r := &recorder{texts: map[prepared]string{}}
			proxy.SetRule(r.rule)
			p := newParts(t, proxy.URL())
			var generation uint32
			if c.before != nil {
				if err := p.buckets.Create(t.Context(), "b", c.before); err != nil {
					t.Fatal(err)
				}
				for i := range c.rows {
					if err := p.put(fmt.Sprint("k", i), value(i)); err != nil {
						t.Fatal(err)
					}
				}
				record, err := p.store.LoadBucket(t.Context(), "b")
				if err != nil {
					t.Fatal(err)
				}
				generation = record.Generation
			}
			before := everything(t, db)
			planned := p.rehearse(t, func(s *bucket.Service) error { return c.change(s, generation) })
			if after := everything(t, db); after != before {
				t.Errorf("the rehearsal changed the database from\n%s to\n%s", before, after)
			}
			r.mu.Lock()
			r.on = true
			r.mu.Unlock()
			if err := c.change(p.buckets, generation); err != nil {
				t.Fatal(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if diff := cmp.Diff(planned, r.lines); diff != "" {
				t.Errorf("planned (-) and done (+):\n%s", diff)
			}
			if len(planned) == 0 {
				t.Error("nothing was planned")
			}
		})
	}
}

// everything is what a change of buckets could change.
func everything(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	return relations(t, db) + "\n" + strings.Join(db.Strings(t, `SELECT to_jsonb(c), xmin FROM buckets_config c`), "\n") + "\n" +
		strings.Join(db.Strings(t, `SELECT nspname FROM pg_namespace ORDER BY 1`), " ")
}
