package conformance

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// definition is a bucket of a real consumer.
type definition struct {
	Name   string
	Config json.RawMessage
}

// sample is an object of a real consumer.
type sample struct {
	Bucket, Key string
	Value       json.RawMessage
	// Read is the value that getObject answers, where a column replaces a member by another spelling.
	Read json.RawMessage
}

// consumer starts a server with those buckets and objects of the consumers whose names begin with one of the prefixes.
func consumer(t *testing.T, prefixes ...string) (*fast.Client, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	client := servertest.Start(t, db.URL(), servertest.Options{}).Dial(t, 2)
	ours := func(name string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	}
	for _, d := range load[definition](t, "testdata/buckets.jsonl") {
		if ours(d.Name) {
			expect(t, client, "createBucket", arguments(t, d.Name, d.Config, struct{}{}), "END")
		}
	}
	for _, o := range load[sample](t, "testdata/objects.jsonl") {
		if ours(o.Bucket) {
			expect(t, client, "putObject", arguments(t, o.Bucket, o.Key, o.Value, struct{}{}), `DATA {"etag":"*`, "END")
		}
	}
	return client, db
}

// Each script has the requests of one consumer, or of a few, with the outcome that they rely on.
func TestConsumers(t *testing.T) {
	t.Parallel()
	buckets := map[string][]string{
		"manta": {"manta"}, "ufds": {"ufds"}, "vmapi": {"vmapi"}, "cnapi": {"cnapi"}, "napi": {"napi", "portolan"},
		"imgapi_volapi": {"imgapi", "volapi"}, "workflow": {"wf", "sdc", "fwapi"}, "marlin": {"marlin"},
	}
	scripts, err := filepath.Glob("testdata/consumers/*.txt")
	if err != nil || len(scripts) != len(buckets) {
		t.Fatalf("%d scripts, want %d (error %v)", len(scripts), len(buckets), err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := consumer(t, buckets[name]...)
			play(t, client, script)
		})
	}
}

// Every definition comes back as it was sent, and every object as it was put.
func TestConsumersBuckets(t *testing.T) {
	t.Parallel()
	client, _ := consumer(t, "")
	var names []string
	for _, d := range load[definition](t, "testdata/buckets.jsonl") {
		names = append(names, d.Name)
		var config struct{ Index, Options json.RawMessage }
		if err := json.Unmarshal(d.Config, &config); err != nil {
			t.Fatal(err)
		}
		index, options := "{}", `{"version":0}`
		if config.Index != nil {
			index = string(config.Index)
		}
		if config.Options != nil {
			options = string(config.Options)
		}
		expect(t, client, "getBucket", arguments(t, struct{}{}, d.Name),
			fmt.Sprintf(`DATA {"name":%q,"index":%q,"pre":"[]","post":"[]","options":%q,"mtime":0}`, d.Name, index, options), "END")
	}
	for _, o := range load[sample](t, "testdata/objects.jsonl") {
		read := o.Value
		if o.Read != nil {
			read = o.Read
		}
		expect(t, client, "getObject", arguments(t, o.Bucket, o.Key, struct{}{}),
			fmt.Sprintf(`DATA {"bucket":%q,"key":%q,"value":%s,"_id":*`, o.Bucket, o.Key, printed(read)), "END")
	}

	// What client libraries do at every start: make all buckets, and be content with those that are there.
	for _, d := range load[definition](t, "testdata/buckets.jsonl") {
		expect(t, client, "createBucket", arguments(t, d.Name, d.Config, struct{}{}),
			"ERROR BucketConflictError: "+d.Name+" was likely being concurrently updated")
		if strings.Contains(string(d.Config), `"options"`) {
			expect(t, client, "updateBucket", arguments(t, d.Name, d.Config, struct{}{}), "ERROR BucketVersionError: "+d.Name+" has a newer version than *")
		} else {
			expect(t, client, "updateBucket", arguments(t, d.Name, d.Config, struct{}{}), "END")
		}
	}
	var listed []string
	for _, frame := range call(t, client, "listBuckets", arguments(t, struct{}{})) {
		var b struct{ Name string }
		if text, ok := strings.CutPrefix(frame, "DATA "); ok && json.Unmarshal([]byte(text), &b) == nil {
			listed = append(listed, b.Name)
		}
	}
	slices.Sort(names)
	slices.Sort(listed)
	if !slices.Equal(listed, names) {
		t.Errorf("listBuckets answers %q, want %q", listed, names)
	}
}

// The garbage collector removes rows by a filter with a thousand ids. The limit of deletions is 1000, too.
func TestConsumersThousandIDs(t *testing.T) {
	t.Parallel()
	client, db := consumer(t, "manta_fastdelete_queue")
	db.Exec(t, `INSERT INTO manta_fastdelete_queue (_key, _value, _etag) SELECT 'k' || n, '{}', 'A3A6BF43' FROM generate_series(1, 1200) n`)
	var filter strings.Builder
	filter.WriteString("(|")
	for id := 3; id <= 1002; id++ {
		fmt.Fprintf(&filter, "(_id=%d)", id)
	}
	filter.WriteString(")")
	expect(t, client, "deleteMany", arguments(t, "manta_fastdelete_queue", filter.String(), struct{}{}), `DATA {"count":1000}`, "END")
	got := db.Strings(t, `SELECT count(*), min(_id) FILTER (WHERE _id > 2) FROM manta_fastdelete_queue`)
	if want := []string{"202|1003"}; !slices.Equal(got, want) {
		t.Errorf("rows left and the first of them: %q, want %q", got, want)
	}
}

// The storage information service reads all nodes, a page at a time, until it has seen as many as _count says.
func TestConsumersStoragePages(t *testing.T) {
	t.Parallel()
	client, db := consumer(t, "manta_storage")
	db.Exec(t, `INSERT INTO manta_storage (_key, _value, _etag, percentused, timestamp)
		SELECT n || '.stor', '{"percentUsed":' || n % 100 || '}', 'A3A6BF43', n % 100, 1560000000000 FROM generate_series(1, 500) n`)
	const expected = 456 // of 500 nodes 91 of each hundred are at most 90 percent full, and the node of the sample
	seen := map[string]bool{}
	for marker, pages := int64(0), 0; len(seen) < expected; pages++ {
		filter := fmt.Sprintf("(&(percentUsed<=90)(timestamp>=1560000000000)(_id>=%d))", marker)
		records, err := readRecords(call(t, client, "findObjects", arguments(t, "manta_storage", filter,
			map[string]any{"sort": map[string]string{"attribute": "_id", "order": "ASC"}, "limit": 100})))
		if err != nil || len(records) == 0 {
			t.Fatalf("page %d has %d records, error %v", pages, len(records), err)
		}
		if got, want := string(records[0].Count), fmt.Sprint(expected-len(seen)); got != want {
			t.Fatalf("_count of page %d is %s, want %s", pages, got, want)
		}
		for _, r := range records {
			seen[r.Key] = true
			marker = r.ID + 1
		}
	}
	if len(seen) != expected {
		t.Errorf("%d nodes, want %d", len(seen), expected)
	}
}

// The job supervisor marks 500 rows at a time, until fewer were left.
func TestConsumersBatchesOfUpdates(t *testing.T) {
	t.Parallel()
	client, db := consumer(t, "marlin_taskoutputs_v2", "marlin_domains_v2")
	db.Exec(t, `INSERT INTO marlin_taskoutputs_v2 (_key, _value, _etag, jobid) SELECT n, '{"jobId":"j"}', 'A3A6BF43', 'j' FROM generate_series(1, 1300) n`)
	var counts []int
	for len(counts) == 0 || counts[len(counts)-1] == 500 {
		frames := call(t, client, "batch", json.RawMessage(`[[
			{"bucket":"marlin_domains_v2","key":"d","operation":"put","value":{"domainId":"d"}},
			{"bucket":"marlin_taskoutputs_v2","operation":"update","filter":"(&(jobId=j)(!(timePropagated=*)))",
			 "fields":{"timePropagated":"2019-06-08T00:00:10.000Z"},"options":{"limit":500}}],{}]`))
		var answer struct{ Etags []struct{ Count int } }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(frames[0], "DATA ")), &answer); err != nil || len(answer.Etags) != 2 {
			t.Fatalf("batch answers %q: %v", frames, err)
		}
		counts = append(counts, answer.Etags[1].Count)
	}
	if want := []int{500, 500, 300}; !slices.Equal(counts, want) {
		t.Errorf("counts %v, want %v", counts, want)
	}
}

// One bucket a network: more definitions than the original kept in memory, used in turns.
func TestConsumersManyBuckets(t *testing.T) {
	t.Parallel()
	client, _ := consumer(t)
	const buckets = 120
	name := func(i int) string { return fmt.Sprintf("napi_ips_%08x_3fdf_456e_bba9_28e0b2eab58f", i) }
	config := json.RawMessage(`{"index":{"ipaddr":{"type":"ip","unique":true},"reserved":{"type":"boolean"},"belongs_to_type":{"type":"string"},"belongs_to_uuid":{"type":"string"}},"options":{"version":2}}`)
	for i := range buckets {
		expect(t, client, "createBucket", arguments(t, name(i), config, struct{}{}), "END")
	}
	for round := range 2 {
		for i := range buckets {
			key := fmt.Sprintf("10.0.%d.%d", round, i)
			expect(t, client, "putObject", arguments(t, name(i), key, map[string]any{"ipaddr": key}, struct{}{}), `DATA {"etag":"*`, "END")
			expect(t, client, "findObjects", arguments(t, name(i), "(ipaddr="+key+")", struct{}{}), `DATA {"bucket":"`+name(i)+`","key":"`+key+`",*`, "END")
		}
	}
}
