package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// twoServers starts two servers over one database. A deaf second server gets no notifications: it learns of a change only by
// what it does itself.
func twoServers(t *testing.T, deaf bool) (db *pgtest.DB, first, second *servertest.Server) {
	t.Helper()
	db = pgtest.New(t)
	first = servertest.Start(t, db.URL(), servertest.Options{})
	url := db.URL()
	if deaf {
		proxy := pgtest.NewProxy(t, db)
		proxy.SetRule(func(_ context.Context, m pgtest.Message) pgtest.Action {
			if !m.FromClient && m.Type == 'A' { // NotificationResponse
				return pgtest.Drop
			}
			return pgtest.Pass
		})
		url = proxy.URL()
	}
	return db, first, servertest.Start(t, url, servertest.Options{})
}

// soon waits until a request has the given answer. It may take a second; on a machine that manages fewer than twenty requests
// in that time, twenty requests.
func soon(t *testing.T, client *fast.Client, rpc, args string, frames ...string) {
	t.Helper()
	start := time.Now()
	for n := 0; ; n++ {
		got := call(t, client, rpc, json.RawMessage(args))
		if matches(got, frames) {
			return
		}
		if n >= 20 && time.Since(start) > time.Second {
			t.Fatalf("after %v %s %s\n got  %.600s\n want %.600s", time.Since(start), rpc, args, strings.Join(got, "\n      "), strings.Join(frames, "\n      "))
		}
		time.Sleep(time.Millisecond)
	}
}

// What changes through one server is seen by the objects' operations of the other. The test is not parallel to others: it
// wants an answer within a second.
func TestTwoServersSeeChanges(t *testing.T) {
	_, first, second := twoServers(t, false)
	a, b := first.Dial(t, 2), second.Dial(t, 2)
	do := func(client *fast.Client, rpc, args string, frames ...string) {
		t.Helper()
		expect(t, client, rpc, json.RawMessage(args), frames...)
	}
	written := []string{`DATA {"etag":"*`, "END"}

	do(a, "createBucket", `["x",{"index":{"s":{"type":"string"}}},{}]`, "END")
	do(b, "putObject", `["x","k",{"s":"t","n":5},{}]`, written...)
	do(b, "findObjects", `["x","(n=5)",{}]`, "ERROR InvalidQueryError: *")

	do(a, "updateBucket", `["x",{"index":{"s":{"type":"string"},"n":{"type":"number"}}},{}]`, "END")
	soon(t, b, "findObjects", `["x","(n>=9)",{}]`, "END")
	do(b, "putObject", `["x","k",{"s":"t","n":5},{}]`, written...)
	do(b, "findObjects", `["x","(n=5)",{}]`, `DATA {"bucket":"x","key":"k","value":{"s":"t","n":5},*`, "END")
	do(b, "updateObjects", `["x",{"n":6},"(s=t)",{}]`, `DATA {"count":1,"etag":"u"}`, "END")

	// The other way round: the column goes, the first server must not show it any more.
	do(a, "getObject", `["x","k",{}]`, `DATA {"bucket":"x","key":"k","value":{"s":"t","n":6},*`, "END")
	do(b, "updateBucket", `["x",{"index":{"s":{"type":"string"}}},{}]`, "END")
	soon(t, a, "getObject", `["x","k",{}]`, `DATA {"bucket":"x","key":"k","value":{"s":"t","n":5},*`, "END")

	// Another bucket of the same name, where an array of numbers is what was text.
	do(a, "delBucket", `["x",{}]`, "END")
	soon(t, b, "getObject", `["x","k",{}]`, "ERROR BucketNotFoundError: x does not exist")
	do(a, "createBucket", `["x",{"index":{"s":{"type":"[number]"}}},{}]`, "END")
	soon(t, b, "putObject", `["x","k",{"s":"7"},{}]`, written...)
	do(b, "getObject", `["x","k",{}]`, `DATA {"bucket":"x","key":"k","value":{"s":[7]},"_id":1,*`, "END")
	do(a, "delBucket", `["x",{}]`, "END")
	do(a, "createBucket", `["x",{"index":{"s":{"type":"string"}}},{}]`, "END")
	soon(t, b, "findObjects", `["x","(s=a*)",{}]`, "END")
}

// Definitions that the tests of what is stale use.
const (
	byText         = `{"index":{"s":{"type":"string"}}}`
	byNumber       = `{"index":{"s":{"type":"string"},"n":{"type":"number"}}}`
	updateToText   = `updateBucket ["$",` + byText + `,{}]`
	updateToNumber = `updateBucket ["$",` + byNumber + `,{}]`
)

// staleTests change a bucket through the first server, and use it through the second.
var staleTests = []struct {
	name    string
	before  string   // the configuration that the second server knows
	change  []string // what the first server is asked, with $ for the bucket
	request string   // what the second server is asked then
	answer  []string
	rows    string // columns to look at
	want    []string
}{
	{
		"PutAddedIndex", byText,
		[]string{updateToNumber},
		`putObject ["$","new",{"s":"t","n":"5x"},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s, n",
		[]string{"k|x|", "new|t|5"},
	},
	{
		"PutAddedIndexVersion", `{"index":{"s":{"type":"string"}},"options":{"version":1}}`,
		[]string{`updateBucket ["$",{"index":{"s":{"type":"string"},"n":{"type":"number"}},"options":{"version":2}},{}]`},
		`putObject ["$","k",{"s":"t","n":5},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s, n, _rver",
		[]string{"k|t|5|2"},
	},
	{
		"PutIfEtag", byText,
		[]string{updateToNumber},
		`putObject ["$","k",{"s":"t","n":5},{"etag":"8A06F7DD"}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s, n",
		[]string{"k|t|5"},
	},
	{
		"PutIfNone", byText,
		[]string{updateToNumber},
		`putObject ["$","k",{"n":5},{"etag":null}]`,
		[]string{"ERROR EtagConflictError: *"},
		"_key, s, n",
		[]string{"k|x|"},
	},
	{
		"PutDroppedIndex", byNumber,
		[]string{updateToText},
		`putObject ["$","k",{"s":"t","n":5},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s",
		[]string{"k|t"},
	},
	{
		"PutValueOfDroppedIndex", `{"index":{"s":{"type":"string"},"ip":{"type":"ip"}}}`,
		[]string{updateToText},
		`putObject ["$","k",{"s":"t","ip":"none"},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s",
		[]string{"k|t"},
	},
	{
		"PutRetyped", `{"index":{"s":{"type":"string"}},"options":{"version":1}}`,
		[]string{`updateBucket ["$",{"index":{"s":{"type":"[string]"}},"options":{"version":2}},{}]`},
		`putObject ["$","k",{"s":["a","b"]},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s",
		[]string{"k|{a,b}"},
	},
	{
		"PutOrdered", byText,
		[]string{`updateBucket ["$",{"index":{"s":{"type":"string"}},"options":{"guaranteeOrder":true}},{}]`},
		`putObject ["$","k",{"s":"t"},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s, _txn_snap",
		[]string{"k|t|2"},
	},
	{
		"PutOtherBucket", byNumber,
		[]string{`delBucket ["$",{}]`, `createBucket ["$",{"index":{"s":{"type":"number"},"n":{"type":"string"}}},{}]`},
		`putObject ["$","k",{"s":"5","n":7},{}]`,
		[]string{`DATA {"etag":"*`, "END"},
		"_key, s, n, _id",
		[]string{"k|5|7|1"},
	},
	{
		"PutDeletedBucket", byNumber,
		[]string{`delBucket ["$",{}]`},
		`putObject ["$","k",{},{}]`,
		[]string{"ERROR BucketNotFoundError: $ does not exist"},
		"", nil,
	},
	{
		"DelDeletedBucket", byNumber,
		[]string{`delBucket ["$",{}]`},
		`delObject ["$","k",{}]`,
		[]string{"ERROR BucketNotFoundError: $ does not exist"},
		"", nil,
	},
	{
		"Del", byNumber,
		[]string{updateToText},
		`delObject ["$","k",{"etag":"8A06F7DD"}]`,
		[]string{`DATA {}`, "END"},
		"_key", nil,
	},
	{
		"Batch", byText,
		[]string{updateToNumber},
		`batch [[{"bucket":"$","key":"new","value":{"n":1}},{"bucket":"$","operation":"update","fields":{"n":2},"filter":"(s=x)"},{"bucket":"$","operation":"deleteMany","filter":"(n=1)"}],{}]`,
		[]string{`DATA {"etags":[{"bucket":"$","etag":*`, "END"},
		"_key, s, n",
		[]string{"k|x|2"},
	},
	{
		"BatchDeletedBucket", byNumber,
		[]string{`delBucket ["$",{}]`},
		`batch [[{"bucket":"$","key":"new","value":{"n":1}}],{}]`,
		[]string{"ERROR BucketNotFoundError: $ does not exist"},
		"", nil,
	},
	{
		"Update", byText,
		[]string{`updateBucket ["$",{"index":{"s":{"type":"string"},"u":{"type":"ip"}}},{}]`},
		`updateObjects ["$",{"s":"y"},"(s=x)",{}]`,
		[]string{`DATA {"count":1,"etag":"u"}`, "END"},
		"_key, s, u",
		[]string{"k|y|"},
	},
	{
		"UpdateDroppedIndex", byNumber,
		[]string{updateToText},
		`updateObjects ["$",{"n":1},"(s=x)",{}]`,
		[]string{`ERROR NotIndexedError: $ does not have indexes that support {"n":1}`},
		"_key, s",
		[]string{"k|x"},
	},
	{
		"DeleteMany", byNumber,
		[]string{`delBucket ["$",{}]`, `createBucket ["$",{"index":{"s":{"type":"number"}}},{}]`, `putObject ["$","k",{"s":10},{}]`, `putObject ["$","l",{"s":9},{}]`},
		`deleteMany ["$","(s>=9.5)",{}]`,
		[]string{`DATA {"count":1}`, "END"},
		"_key, s",
		[]string{"l|9"},
	},
	{
		"GetDroppedIndex", byNumber,
		[]string{`updateBucket ["$",{"index":{"n":{"type":"number"}}},{}]`},
		`getObject ["$","k",{}]`,
		[]string{`DATA {"bucket":"$","key":"k","value":{"s":"x"},*`, "END"},
		"_key",
		[]string{"k"},
	},
	{
		"GetDeletedBucket", byNumber,
		[]string{`delBucket ["$",{}]`},
		`getObject ["$","k",{}]`,
		[]string{"ERROR BucketNotFoundError: $ does not exist"},
		"", nil,
	},
	{
		"FindDroppedIndex", byNumber,
		[]string{`updateBucket ["$",{"index":{"n":{"type":"number"}}},{}]`},
		`findObjects ["$","(s=x)",{}]`,
		[]string{"ERROR InvalidQueryError: (s=x) is an invalid filter"},
		"_key",
		[]string{"k"},
	},
	{
		"FindRetypedNoBucketCache", `{"index":{"s":{"type":"string"}},"options":{"version":1}}`,
		[]string{`updateBucket ["$",{"index":{"s":{"type":"[string]"}},"options":{"version":2}},{}]`},
		`findObjects ["$","(s=x)",{"noBucketCache":true}]`,
		[]string{`DATA {"bucket":"$","key":"k","value":{"s":["x"]},*`, "END"},
		"_key, s",
		[]string{"k|{x}"},
	},
	{
		"NoBucketCache", byText,
		[]string{updateToNumber},
		`findObjects ["$","(!(n=*))",{"noBucketCache":true}]`,
		[]string{`DATA {"bucket":"$","key":"k","value":{"s":"x"},*`, "END"},
		"_key",
		[]string{"k"},
	},
}

// Writes never go by a definition that is not the stored one any more, whatever the server knows of it; reads recover when they
// stumble. The second server has used the bucket, is not told of the change, and gets the request.
func TestTwoServersStale(t *testing.T) {
	t.Parallel()
	db, first, second := twoServers(t, true)
	a, b := first.Dial(t, 2), second.Dial(t, 2)
	for _, test := range staleTests {
		t.Run(test.name, func(t *testing.T) {
			bucket := strings.ToLower(test.name)
			ask := func(client *fast.Client, request string, frames ...string) {
				t.Helper()
				rpc, args, _ := strings.Cut(strings.ReplaceAll(request, "$", bucket), " ")
				frames = slices.Clone(frames)
				for i := range frames {
					frames[i] = strings.ReplaceAll(frames[i], "$", bucket)
				}
				expect(t, client, rpc, json.RawMessage(args), frames...)
			}
			ask(a, `createBucket ["$",`+test.before+`,{}]`, "END")
			ask(b, `putObject ["$","k",{"s":"x"},{}]`, `DATA {"etag":"8A06F7DD"}`, "END")
			ask(b, `getObject ["$","k",{}]`, `DATA *`, "END")
			for _, change := range test.change {
				rpc, args, _ := strings.Cut(strings.ReplaceAll(change, "$", bucket), " ")
				if err := try(a, rpc, args); err != nil {
					t.Fatal(err)
				}
			}
			ask(b, test.request, test.answer...)
			if test.rows != "" {
				compareLines(t, "rows", db.Strings(t, `SELECT `+test.rows+` FROM `+bucket+` ORDER BY _key`), test.want)
			}
		})
	}
}

// Two servers write while a third client adds one index after the other: no row has a version and lacks a column of it.
func TestTwoServersWriteDuringUpdates(t *testing.T) {
	t.Parallel()
	db, first, second := twoServers(t, true)
	a, b := first.Dial(t, 2), second.Dial(t, 2)
	expect(t, a, "createBucket", json.RawMessage(`["x",{"index":{"c1":{"type":"number"}},"options":{"version":1}},{}]`), "END")
	const last = 6
	value := func(n int) string {
		return fmt.Sprintf(`{"c1":%d,"c2":%[1]d,"c3":%[1]d,"c4":%[1]d,"c5":%[1]d,"c6":%[1]d}`, n)
	}
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers errgroup.Group // waited for below
	for w, client := range []*fast.Client{first.Dial(t, 2), second.Dial(t, 2)} {
		writers.Go(func() error {
			for n := 0; stop.Err() == nil; n++ {
				if err := try(client, "putObject", fmt.Sprintf(`["x","w%d-%d",%s,{}]`, w, n%40, value(n))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	index := `"c1":{"type":"number"}`
	for v := 2; v <= last; v++ {
		index += fmt.Sprintf(`,"c%d":{"type":"number"}`, v)
		expect(t, a, "updateBucket", json.RawMessage(fmt.Sprintf(`["x",{"index":{%s},"options":{"version":%d}},{}]`, index, v)), "END")
		// From the answer on, no put goes by the old definition.
		expect(t, b, "putObject", json.RawMessage(fmt.Sprintf(`["x","after %d",%s,{}]`, v, value(v))), `DATA {"etag":"*`, "END")
	}
	cancel()
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	for v := 2; v <= last; v++ {
		compareLines(t, fmt.Sprintf("rows of version %d without its column", v),
			db.Strings(t, fmt.Sprintf(`SELECT _key, _rver FROM x WHERE _rver >= %d AND c%[1]d IS NULL`, v)), nil)
		compareLines(t, fmt.Sprintf("version of the put after the update to version %d", v),
			db.Strings(t, fmt.Sprintf(`SELECT _rver, c%d FROM x WHERE _key = 'after %[1]d'`, v)), []string{fmt.Sprintf("%d|%[1]d", v)})
	}
	if rows := db.Strings(t, `SELECT _key FROM x WHERE _key LIKE 'w%' AND _rver > 1`); len(rows) == 0 {
		t.Error("the writers wrote nothing after the first update")
	}
}

// Many processes of several releases set up one bucket at the same moment, as services do when they start. Each hears that it
// did, or that another was quicker or newer; the newest definition is there in the end, with its columns and indexes.
func TestTwoServersSetUpTogether(t *testing.T) {
	t.Parallel()
	db, first, second := twoServers(t, false)
	const releases = 3
	definition := func(version int) string {
		var index []string
		for c := 1; c <= version; c++ {
			index = append(index, fmt.Sprintf(`"c%d":{"type":"string"}`, c))
		}
		return fmt.Sprintf(`{"index":{%s},"options":{"version":%d}}`, strings.Join(index, ","), version)
	}
	var services errgroup.Group // waited for below
	for n := range 4 * releases {
		server := []*servertest.Server{first, second}[n%2]
		client, config := server.Dial(t, 2), definition(1+n%releases)
		services.Go(func() error {
			err := try(client, "createBucket", `["x",`+config+`,{}]`)
			if refusedAs(err, "BucketConflictError") {
				err = try(client, "updateBucket", `["x",`+config+`,{}]`)
			}
			if refusedAs(err, "BucketVersionError") {
				err = nil
			}
			if err != nil {
				return err
			}
			return try(client, "putObject", fmt.Sprintf(`["x","k%d",{"c1":"a","c2":"b","c3":"c"},{}]`, n))
		})
	}
	if err := services.Wait(); err != nil {
		t.Fatal(err)
	}
	compareLines(t, "options", db.Strings(t, `SELECT options FROM buckets_config`), []string{`{"version":3}`})
	compareLines(t, "indexes", db.Strings(t, `SELECT indexname FROM pg_indexes WHERE tablename = 'x' AND indexname ~ '_c[0-9]_' ORDER BY indexname`),
		[]string{"x_c1_idx", "x_c2_idx", "x_c3_idx"})
	compareLines(t, "objects", db.Strings(t, `SELECT count(*) FROM x WHERE c1 = 'a'`), []string{fmt.Sprint(4 * releases)})
}
