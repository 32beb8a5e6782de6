package object_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// long makes the tests that draw at random run for longer; see make model.
var long = flag.Int("long", 1, "how many times as many random operations the tests make")

// checks is how often rapid checks a property, unless it is told otherwise.
const checks = 25

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", strconv.Itoa(checks**long)); err != nil {
			panic(err)
		}
	}
	pgtest.Main(m)
}

var ctx = context.Background()

// server is a server's parts over a real database, and the operations in a short form: what they answer, or the fault as
// "name: message".
type server struct {
	*object.Service
	db      *pgtest.DB
	store   *pgstore.Store
	buckets *bucket.Service
}

// newServer returns a server over a new database.
func newServer(t testing.TB) *server {
	t.Helper()
	return serverOver(t, pgtest.New(t), 4)
}

// serverOver returns one more server over a database, with so many connections.
func serverOver(t testing.TB, db *pgtest.DB, connections int) *server {
	t.Helper()
	return serverAt(t, db, db.URL(), connections)
}

// serverAt returns a server that reaches the database by a URL, which may be that of a proxy.
func serverAt(t testing.TB, db *pgtest.DB, url string, connections int) *server {
	t.Helper()
	limits := pgstore.Limits{MaxConnections: connections, ClaimDelay: time.Minute, MaxQueue: -1}
	store, err := pgstore.New(pgstore.Config{URL: url, Limits: limits, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(running) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the store ended with %v", err)
		}
	})
	cache := &bucket.Cache{}
	now := func() time.Time { return time.UnixMilli(1234567890123) }
	return &server{
		&object.Service{Store: store, Buckets: cache, Now: now}, db, store, &bucket.Service{Store: store, Cache: cache},
	}
}

// newBucket makes a bucket; the words are those of [definition].
func (s *server) newBucket(t testing.TB, words string) {
	t.Helper()
	name, config := definition(t, words)
	if err := s.buckets.Create(ctx, name, config); err != nil {
		t.Fatalf("create %s: %v", words, err)
	}
}

// changeBucket gives a bucket another definition.
func (s *server) changeBucket(t testing.TB, words string) {
	t.Helper()
	name, config := definition(t, words)
	if err := s.buckets.Update(ctx, name, config, false); err != nil {
		t.Fatalf("update %s: %v", words, err)
	}
}

// definition makes a name and a definition of words such as "b version=2 ordered s=string u=number!", where ! is unique.
func definition(t testing.TB, words string) (name string, config jsvalue.Value) {
	t.Helper()
	version, ordered := "0", "false"
	var index []string
	all := strings.Fields(words)
	for _, word := range all[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "version":
			version = value
		case "ordered":
			ordered = "true"
		default:
			index = append(index, fmt.Sprintf(`%q:{"type":%q,"unique":%t}`, name, strings.TrimSuffix(value, "!"), strings.HasSuffix(value, "!")))
		}
	}
	return all[0], jsvalue.Value(`{"index":{` + strings.Join(index, ",") + `},"options":{"version":` + version + `,"guaranteeOrder":` + ordered + `}}`)
}

// parse reads a JSON object.
func parse(text string) *jsvalue.Object {
	o, err := jsvalue.ParseObject([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return o
}

// text is what a client sees of an error, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	if f := fault.From(err); f != nil {
		return f.Error()
	}
	return "no fault: " + err.Error()
}

func (s *server) put(bucket, key, value string, expects ...object.Precondition) string {
	p := &object.Put{Bucket: bucket, Key: key, Value: parse(value)}
	for _, e := range expects {
		p.Expects = e
	}
	etag, err := s.Put(ctx, p)
	if err != nil {
		return text(err)
	}
	return etag
}

// get returns the value of an object.
func (s *server) get(bucket, key string) string {
	record, err := s.Get(ctx, &object.Get{Bucket: bucket, Key: key})
	if err != nil {
		return text(err)
	}
	return string(record.Member("value"))
}

func (s *server) del(bucket, key, etag string) string {
	return text(s.Service.Delete(ctx, &object.Delete{Bucket: bucket, Key: key, Etag: etag}))
}

// find returns the keys of the objects that a filter selects, in the order of the answer, and then the fault.
func (s *server) find(bucket, filter string, change ...func(*object.Find)) string {
	f := &object.Find{Bucket: bucket, Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}
	for _, c := range change {
		c(f)
	}
	var keys []string
	err := s.Find(ctx, f, func(record jsvalue.Value) error {
		keys = append(keys, record.Member("key").Text())
		return nil
	})
	if err != nil {
		keys = append(keys, text(err))
	}
	return strings.Join(keys, " ")
}

// records returns the records that a find answers.
func (s *server) records(t testing.TB, f *object.Find) []string {
	t.Helper()
	var all []string
	err := s.Find(ctx, f, func(record jsvalue.Value) error {
		if _, err := jsvalue.Parse(record); err != nil {
			t.Errorf("find %s answers what is no JSON: %v\n%s", f.Filter, err, record)
		}
		all = append(all, string(record))
		return nil
	})
	if err != nil {
		t.Errorf("find %s: %v", f.Filter, err)
	}
	return all
}

// update returns the number of objects that were changed.
func (s *server) update(bucket, fields, filter string, page ...query.Page) string {
	u := &object.Update{Bucket: bucket, Fields: parse(fields), Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}
	for _, p := range page {
		u.Page = p
	}
	count, etag, err := s.Update(ctx, u)
	switch {
	case err != nil:
		return text(err)
	case !updateEtag.MatchString(etag):
		return "the etag is " + etag
	}
	return fmt.Sprint(count)
}

// etag is the etag of an object.
func etag(value string) string { return jsvalue.Etag([]byte(value)) }

var updateEtag = regexp.MustCompile(`^u[0-9a-f]{7}$`)

func (s *server) deleteMany(bucket, filter string, page ...query.Page) string {
	d := &object.DeleteMany{Bucket: bucket, Filter: filter, Page: query.Page{Limit: query.DefaultLimit}}
	for _, p := range page {
		d.Page = p
	}
	count, err := s.DeleteMany(ctx, d)
	if err != nil {
		return text(err)
	}
	return fmt.Sprint(count)
}

func (s *server) reindex(bucket string, count float64) string {
	done, err := s.Reindex(ctx, &object.Reindex{Bucket: bucket, Count: count})
	if err != nil {
		return text(err)
	}
	return fmt.Sprintf("%d, %d remain", done.Processed, done.Remaining)
}

// rows returns what a query answers, as psql prints it, joined by blanks.
func (s *server) rows(t testing.TB, sql string, args ...any) string {
	t.Helper()
	return strings.Join(s.db.Strings(t, sql, args...), " ")
}

// want compares what an operation answers with what is expected.
func want(t testing.TB, what, got, expected string) {
	t.Helper()
	if got != expected {
		t.Errorf("%s\n got %q\nwant %q", what, got, expected)
	}
}

// sorted asks for an order.
func sorted(attribute string, descending bool) func(*object.Find) {
	return func(f *object.Find) {
		f.Page.Sort = append(f.Page.Sort, query.Sort{Attribute: attribute, Descending: descending})
	}
}
