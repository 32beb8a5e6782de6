package conformance

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// Buckets and indexes may have any name that is no reserved word of SQL, also one that our statements use for something else:
// the whole life of a bucket goes well.
func TestNames(t *testing.T) {
	t.Parallel()
	client := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{}).Dial(t, 2)
	names := []string{
		"del", "ins", "upd", "cur", "row_set", "definition", "changed", "v", "c", "r", "i", "a", "e", "t", "key", "value", "text",
		"mark", "name", "index", "options", "current", "count", "excluded", "old", "new", "word", "row", "Del", "x_serial",
	}
	const life = `
createBucket ["$", {"index": {"$": {"type": "string"}, "n": {"type": "number", "unique": true}}, "options": {"version": 1}}, {}]
putObject ["$", "k", {"$": "x", "n": 1}, {"etag": null}]
putObject ["$", "k", {"$": "x", "n": 1}, {}]
putObject ["$", "l", {"$": "y", "n": 2}, {}]
batch [[{"bucket": "$", "key": "m", "value": {"$": "z"}}, {"bucket": "$", "operation": "update", "fields": {"$": "zz"}, "filter": "($=z)"}], {}]
updateBucket ["$", {"index": {"$": {"type": "[string]"}, "n": {"type": "number"}, "more": {"type": "ip", "unique": true}}, "options": {"version": 2}}, {}]
reindexObjects ["$", 10, {}]
reindexObjects ["$", 10, {}]
updateObjects ["$", {"$": ["p", "q"]}, "($=y)", {}]
deleteMany ["$", "(n=1)", {}]
putObject ["$", "m", {"$": "z"}, {}]
delObject ["$", "m", {"etag": "ETAG"}]`
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			var etag string
			for _, line := range strings.Split(strings.TrimSpace(life), "\n") {
				rpc, args, _ := strings.Cut(strings.NewReplacer("$", name, "ETAG", etag).Replace(line), " ")
				frames := call(t, client, rpc, json.RawMessage(args))
				if last := frames[len(frames)-1]; last != "END" {
					t.Fatalf("%s %s: %s", rpc, args, last)
				}
				if rpc == "putObject" {
					etag = strings.TrimSuffix(strings.TrimPrefix(frames[0], `DATA {"etag":"`), `"}`)
				}
			}
			records, err := readRecords(call(t, client, "findObjects", arguments(t, name, "("+name+"=*)", struct{}{})))
			if err != nil || len(records) != 1 || records[0].Key != "l" || string(records[0].Value) != `{"`+name+`":["p","q"],"n":2}` {
				t.Errorf("found %+v, error %v", records, err)
			}
			expect(t, client, "getObject", arguments(t, name, "l", struct{}{}), `DATA {"bucket":"`+name+`","key":"l",*`, "END")
			expect(t, client, "delBucket", arguments(t, name, struct{}{}), "END")
		})
	}
}
