package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/rpc"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// catalogue has the arguments of every method, as the specification of the RPCs lists them.
var catalogue = map[string]string{
	"createBucket": "bucket:string config:object options:options", "getBucket": "options:options bucket:string",
	"listBuckets": "options:options", "updateBucket": "name:string config:object options:options", "delBucket": "bucket:string options:options",
	"putObject": "bucket:string key:string value:object options:options", "getObject": "bucket:string key:string options:options",
	"delObject": "bucket:string key:string options:options", "findObjects": "bucket:string filter:string options:options",
	"updateObjects": "bucket:string fields:object filter:string options:options", "deleteMany": "bucket:string filter:string options:options",
	"reindexObjects": "bucket:string count:integer options:options", "batch": "requests:requests options:options",
	"sql": "statement:string values:array options:options", "listen": "channel:string options:options", "unlisten": "id:string options:options",
	"ping": "options:options", "version": "options:options", "getTokens": "options:options",
}

// kindOfArgument is what arguments of a kind are called, one that is right, and those that are wrong, with what is said of them:
// @ is the name of the argument.
type kindOfArgument struct {
	description, right string
	wrong              [][2]string
}

var kindsOfArguments = map[string]kindOfArgument{
	"string": {"a nonempty string", `"x"`, [][2]string{
		{`""`, `@ should NOT be shorter than 1 characters`},
		{`null`, `@ should be string`},
		{`5`, `@ should be string`},
		{`true`, `@ should be string`},
		{`["x"]`, `@ should be string`},
		{`{}`, `@ should be string`},
	}},
	"integer": {"a nonnegative integer", `5.0`, [][2]string{
		{`-20`, `@ should be >= 0`}, {`-1.5`, `@ should be >= 0`}, {`1.5`, `@ should be integer`}, {`"5"`, `@ should be integer`}, {`null`, `@ should be integer`}, {`[5]`, `@ should be integer`},
	}},
	"array": {"an array", `[]`, [][2]string{{`null`, `@ should be array`}, {`{}`, `@ should be array`}, {`"x"`, `@ should be array`}, {`5`, `@ should be array`}}},
	"object": {"an object", `{"a":{"hasOwnProperty":1}}`, [][2]string{
		{`null`, `@ should be object`},
		{`[1,2,3]`, `@ should be object`},
		{`false`, `@ should be object`},
		{`"a=5"`, `@ should be object`},
		{`5`, `@ should be object`},
		{`{"hasOwnProperty":null}`, `@.hasOwnProperty should NOT be valid`},
	}},
	"options":  {"a valid options object", `{"unknown":1,"bucket":"b","readOnlyOverride":true,"_etag":5}`, wrongOptions},
	"requests": {"an array of valid request objects", `[]`, wrongRequests},
}

const wrongSort = `@.sort should be array, @.sort should be object, @.sort should match some schema in anyOf`

var wrongOptions = [][2]string{
	{`null`, `@ should be object`},
	{`[]`, `@ should be object`},
	{`5`, `@ should be object`},
	{`"x"`, `@ should be object`},
	{`true`, `@ should be object`},
	{`{"hasOwnProperty":1}`, `@.hasOwnProperty should NOT be valid`},
	{`{"timeout":-1}`, `@.timeout should be >= 0`},
	{`{"timeout":-1.5}`, `@.timeout should be >= 0`},
	{`{"timeout":"5"}`, `@.timeout should be integer`},
	{`{"timeout":null}`, `@.timeout should be integer`},
	{`{"timeout":1.5}`, `@.timeout should be integer`},
	{`{"req_id":"foo"}`, `@.req_id should match format "uuid"`},
	{`{"req_id":""}`, `@.req_id should match format "uuid"`},
	{`{"req_id":5}`, `@.req_id should be string`},
	{`{"req_id":null}`, `@.req_id should be string`},
	{`{"req_id":"urn:uuid:b7e3a9a0-0000-4000-8000-000000000001"}`, `@.req_id should NOT be longer than 36 characters`},
	{`{"etag":5}`, `@.etag should be null,string`},
	{`{"_value":{}}`, `@._value should be string`},
	{`{"noBucketCache":1}`, `@.noBucketCache should be boolean`},
	{`{"noCache":"true"}`, `@.noCache should be boolean`},
	{`{"headers":[]}`, `@.headers should be object`},
	{`{"headers":null}`, `@.headers should be object`},
	{`{"headers":{"hasOwnProperty":1}}`, `@.headers.hasOwnProperty should NOT be valid`},
	{`{"requireOnlineReindexing":null}`, `@.requireOnlineReindexing should be boolean`},
	{`{"noLimit":0}`, `@.noLimit should be boolean`},
	{`{"limit":"abc"}`, `@.limit should match pattern "^[0-9]+$"`},
	{`{"limit":""}`, `@.limit should match pattern "^[0-9]+$"`},
	{`{"limit":"-5"}`, `@.limit should match pattern "^[0-9]+$"`},
	{`{"limit":-1}`, `@.limit should be >= 0`},
	{`{"limit":1.5}`, `@.limit should be integer,string`},
	{`{"limit":null}`, `@.limit should be integer,string`},
	{`{"offset":"1e3"}`, `@.offset should match pattern "^[0-9]+$"`},
	{`{"offset":true}`, `@.offset should be integer,string`},
	{`{"sort":5}`, wrongSort},
	{`{"sort":null}`, wrongSort},
	{`{"sort":{"attribute":5}}`, `@.sort should be array, @.sort.attribute should be string, @.sort should match some schema in anyOf`},
	{
		`{"sort":{"attribute":"a","order":"bad"}}`,
		`@.sort should be array, @.sort.order should be equal to one of the allowed values ("ASC", "DESC"), @.sort should match some schema in anyOf`,
	},
	{
		`{"sort":[{"order":"Asc"}]}`,
		`@.sort[0].order should be equal to one of the allowed values ("ASC", "DESC"), @.sort should be object, @.sort should match some schema in anyOf`,
	},
	{`{"sort":[5]}`, `@.sort[0] should be object, @.sort should be object, @.sort should match some schema in anyOf`},
	{`{"no_count":1}`, `@.no_count should be boolean`},
	{`{"sql_only":1}`, `@.sql_only should be boolean`},
	{`{"requireIndexes":"x"}`, `@.requireIndexes should be boolean`},
	{`{"no_reindex":1}`, `@.no_reindex should be boolean`},
	{`{"deep":1}`, `@.deep should be boolean`},
	{`{"internalOpts":5}`, `@.internalOpts should be object`},
	{`{"internalOpts":{"sendHandledOptions":1}}`, `@.internalOpts.sendHandledOptions should be boolean`},
	// The order of the checks is that of the schema, not of the request.
	{`{"deep":1,"limit":-1,"timeout":"x"}`, `@.timeout should be integer`},
	{`{"hasOwnProperty":1,"deep":1}`, `@.deep should be boolean`},
}

var wrongRequests = [][2]string{
	{`null`, `@ should be array`},
	{`{}`, `@ should be array`},
	{`[5]`, `@[0] should be object`},
	{`[[]]`, `@[0] should be object`},
	{`[{}]`, `@[0] should have required property 'bucket'`},
	{`[{"operation":"delete"}]`, `@[0] should have required property 'bucket'`},
	{`[{"bucket":5,"key":"k","value":{}}]`, `@[0].bucket should be string`},
	{
		`[{"bucket":"b","key":"k","value":{}},{"bucket":"b","operation":"invalid"}]`,
		`@[1].operation should be equal to one of the allowed values ("put", "delete", "update", "deleteMany")`,
	},
	{`[{"operation":5,"bucket":"b"}]`, `@[0].operation should be equal to one of the allowed values ("put", "delete", "update", "deleteMany")`},
	{`[{"bucket":"b","key":5}]`, `@[0].key should be string`},
	{`[{"bucket":"b","filter":null}]`, `@[0].filter should be string`},
	{`[{"bucket":"b","fields":[]}]`, `@[0].fields should be object`},
	{`[{"bucket":"b","value":"x"}]`, `@[0].value should be object`},
	{`[{"bucket":"b","value":{"hasOwnProperty":1}}]`, `@[0].value.hasOwnProperty should NOT be valid`},
	{`[{"bucket":"b","options":{"timeout":-1}}]`, `@[0].options.timeout should be >= 0`},
	{`[{"bucket":"b","options":[]}]`, `@[0].options should be object`},
	{`[{"bucket":"b","hasOwnProperty":1}]`, `@[0].hasOwnProperty should NOT be valid`},
}

// incompleteRequests lack what their operation needs. That is looked at after all arguments have the shape that they must have: it
// ended the original's process, or was a statement that failed.
var incompleteRequests = [][2]string{
	{`[{"bucket":"b","value":{}}]`, `@[0] should have required property 'key'`},
	{`[{"bucket":"b","key":"k"}]`, `@[0] should have required property 'value'`},
	{`[{"bucket":"b","operation":"delete"}]`, `@[0] should have required property 'key'`},
	{`[{"bucket":"b","operation":"update","fields":{}}]`, `@[0] should have required property 'filter'`},
	{`[{"bucket":"b","operation":"update","filter":"(a=b)"}]`, `@[0] should have required property 'fields'`},
	{`[{"bucket":"b","operation":"deleteMany"}]`, `@[0] should have required property 'filter'`},
}

// Arguments are checked before a connection is asked for: this server has no database.
func TestArguments(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, "/nowhere moray", servertest.Options{})
	client := server.Dial(t, 2)
	refuse := func(method string, args []string, message string) {
		t.Helper()
		expect(t, client, method, json.RawMessage("["+strings.Join(args, ",")+"]"), "ERROR InvocationError: "+message)
	}
	for _, method := range rpc.Methods() {
		var right []string
		arguments := strings.Fields(catalogue[method])
		for _, a := range arguments {
			_, kind, _ := strings.Cut(a, ":")
			right = append(right, kindsOfArguments[kind].right)
		}
		expected := fmt.Sprintf("%s expects %d argument", method, len(arguments))
		if len(arguments) != 1 {
			expected += "s"
		}
		refuse(method, nil, expected)
		refuse(method, right[1:], expected)
		refuse(method, append([]string{`{}`}, right...), expected)

		// The arguments behind one that is wrong are not looked at.
		for i, a := range arguments {
			name, kind, _ := strings.Cut(a, ":")
			for _, wrong := range kindsOfArguments[kind].wrong {
				args := append(append([]string{}, right[:i]...), wrong[0])
				for range len(arguments) - len(args) {
					args = append(args, "null")
				}
				refuse(method, args, fmt.Sprintf(`%s expects "%s" (args[%d]) to be %s: %s`,
					method, name, i, kindsOfArguments[kind].description, strings.ReplaceAll(wrong[1], "@", name)))
			}
		}
	}
	for _, wrong := range incompleteRequests {
		refuse("batch", []string{wrong[0], "{}"}, `batch expects "requests" (args[0]) to be an array of valid request objects: `+strings.ReplaceAll(wrong[1], "@", "requests"))
	}
	if len(rpc.Methods()) != len(catalogue) {
		t.Errorf("%d methods, want %d", len(rpc.Methods()), len(catalogue))
	}
}
