package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/plugins/js/jstest"
)

// recordedCall is one call of the stock client 4.1.4, recorded with the original Moray (server 2.6.1).
type recordedCall struct {
	N           int
	Label       string
	ClientCall  string
	ClientArgs  []json.RawMessage
	Requests    []message
	Responses   []message
	ClientError []cause
}

type message struct {
	Status string // DATA, END or ERROR
	Name   string // of the method
	D      json.RawMessage
}

// TestRecorded makes the recorded calls with the same client. What its caller gets must be what it was with the original: the
// whole chain of the error, or what the client makes of the values in the recorded answer.
func TestRecorded(t *testing.T) {
	t.Parallel()
	install(t)
	server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{Hooks: jstest.Hooks})
	c := startCaller(t, "moray-4", server.Addr)
	for _, r := range readLines[recordedCall](t, "stock-client.jsonl") {
		got := r.replay(c)
		if r.ClientCall == "listBuckets" {
			got.Result = onlyBucket(t, got.Result)
		}
		if got, want := exact(t, got), exact(t, r.want(t)); got != want {
			t.Errorf("call %d (%s) %s %s\n got  %s\n want %s", r.N, r.Label, r.ClientCall, r.ClientArgs, got, want)
		}
	}
}

func readLines[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s: %v: %.200s", name, err, lines.Text())
		}
		all = append(all, one)
	}
	return all
}

// replay makes the call. The recording has no functions: triggers are taken from the request that the client made of them.
func (r *recordedCall) replay(c *caller) answer {
	c.t.Helper()
	args := slices.Clone(r.ClientArgs)
	for i, arg := range args {
		if bytes.Contains(arg, []byte(`"pre":[null]`)) {
			args[i] = bytes.Replace(arg, []byte(`[null]`), r.sentTriggers(c.t), 1)
		}
	}
	text, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	if r.ClientCall != "listen" {
		return c.call(r.ClientCall, string(text))
	}
	// Recorded in one: listening, a notification, its receipt, the end.
	c.call("listen", string(text))
	c.call("notify", `["chan", "hello"]`)
	got := c.call("receive", "[1]")
	if left := c.call("unlisten", "[]"); len(left.Records) > 0 || left.Error != nil {
		c.t.Errorf("unlisten: got %s, want no more notifications", left)
	}
	return got
}

func (r *recordedCall) sentTriggers(t *testing.T) []byte {
	t.Helper()
	var args []json.RawMessage
	last := r.Requests[len(r.Requests)-1].D
	if err := json.Unmarshal(last, &args); err != nil {
		t.Fatalf("call %d: %v: %s", r.N, err, last)
	}
	return member(t, args[1], "pre")
}

// want is what the client makes of the recorded answer.
func (r *recordedCall) want(t *testing.T) answer {
	t.Helper()
	want := answer{Error: r.ClientError}
	values := r.values(t)
	switch r.ClientCall {
	case "findObjects", "sql", "listen":
		want.Records = values
		return want
	}
	if want.Error != nil {
		return want
	}
	switch r.ClientCall {
	case "getBucket":
		want.Result = parsedBucket(t, values[0])
	case "listBuckets":
		var all [][]byte
		for _, v := range values {
			all = append(all, parsedBucket(t, v))
		}
		want.Result = onlyBucket(t, slices.Concat([]byte("["), bytes.Join(all, []byte(",")), []byte("]")))
	case "versionInternal":
		want.Result = member(t, values[0], "version")
	case "getObject", "putObject", "updateObjects", "deleteMany", "batch", "reindexObjects":
		want.Result = values[0]
	}
	return want
}

// values returns the recorded values for the caller, without those for the client itself.
func (r *recordedCall) values(t *testing.T) []json.RawMessage {
	t.Helper()
	values := []json.RawMessage{}
	for _, m := range r.Responses {
		var d []json.RawMessage
		if m.Status != "DATA" || r.ClientCall == "listen" && m.Name != "listen" {
			continue
		}
		if err := json.Unmarshal(m.D, &d); err != nil {
			t.Fatalf("call %d: %v: %s", r.N, err, m.D)
		}
		for _, value := range d {
			if !bytes.HasPrefix(value, []byte(`{"_handledOptions"`)) {
				values = append(values, value)
			}
		}
	}
	return values
}

// parsedBucket is the record of a bucket as the client returns it: what is JSON text in it is parsed.
func parsedBucket(t *testing.T, record json.RawMessage) []byte {
	t.Helper()
	out := []byte("{")
	for _, name := range []string{"name", "index", "pre", "post", "options", "mtime", "reindex_active"} {
		value := member(t, record, name)
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			t.Fatalf("%s of %s: %v", name, record, err)
		}
		switch {
		case name == "name" || name == "mtime":
		case text == "":
			continue // reindex_active is null
		default:
			value = []byte(text)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, `"`+name+`":`...), value...)
	}
	return append(out, '}')
}

func member(t *testing.T, object json.RawMessage, name string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(object, &members); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	return members[name]
}

// onlyBucket leaves out the buckets of a list that are not of this recording: the original had others.
func onlyBucket(t *testing.T, list json.RawMessage) json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal(list, &all); err != nil {
		t.Fatalf("%v: %s", err, list)
	}
	all = slices.DeleteFunc(all, func(b json.RawMessage) bool { return string(member(t, b, "name")) != `"golden_client"` })
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// exact prints all of an answer for comparison.
func exact(t *testing.T, a answer) string {
	t.Helper()
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return constant(string(text))
}
