package bulk

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestLines(t *testing.T) {
	t.Parallel()
	b := client.Bucket{Name: `a"b`, Index: []byte(`{"x":{"type":"string"}}`), Pre: []byte(`["function () {\n}"]`), Options: []byte(`{"version":1}`)}
	o := object{key: "k\n\"ü", value: jsvalue.Value(`{"a":[1]}`), etag: "u1234567", id: "7", mtime: "1700000000000"}
	for _, c := range []struct {
		line []byte
		want string
	}{
		{appendOpening(nil, &b), `{"bucket":"a\"b","config":{"index":{"x":{"type":"string"}},"pre":["function () {\n}"],"post":null,"options":{"version":1}}}`},
		{o.append(nil, AllMembers), `{"key":"k\n\"ü","value":{"a":[1]},"_etag":"u1234567","_id":7,"_mtime":1700000000000}`},
		{o.append(nil, Members{ID: true}), `{"key":"k\n\"ü","value":{"a":[1]},"_id":7}`},
		{closing{"b", 12}.append(nil), `{"bucket":"b","objects":12}`},
	} {
		if string(c.line) != c.want+"\n" {
			t.Errorf("got %s, want %s", c.line, c.want)
		}
		if _, err := parseLine(c.line); err != nil {
			t.Errorf("%s: %v", c.line, err)
		}
	}
	got, err := parseLine(o.append(nil, AllMembers))
	if again, ok := got.(object); err != nil || !ok || again.key != o.key || !bytes.Equal(again.value, o.value) || again.etag != o.etag || again.id != o.id || again.mtime != o.mtime {
		t.Errorf("got %+v, %v; want %+v", got, err, o)
	}
}

func TestBadLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"":                                     "not JSON",
		"\x00\x00\x00":                         "not JSON",
		`{"key":"k","value":{}`:                "not JSON",
		"{\"key\":\"k\xff\",\"value\":{}}":     "not JSON: invalid UTF-8",
		`[]`:                                   "not an object",
		`{}`:                                   "neither an object",
		`{"key":7,"value":{}}`:                 `the "key" is not a string`,
		`{"key":"k","_etag":5}`:                `the "_etag" is not a string`,
		`{"key":"k","_etag":"123456789"}`:      `the "_etag" is not a string of up to 8`,
		`{"key":"k","_id":1.5}`:                `the "_id": 1.5 is not an integer`,
		`{"key":"k","_mtime":"x"}`:             `the "_mtime": "x" is not an integer`,
		`{"bucket":"b"}`:                       "a bucket with neither",
		`{"bucket":"b","config":[]}`:           "a bucket with neither",
		`{"bucket":"b","objects":-1}`:          `"objects" is -1`,
		`{"bucket":"b","objects":1.5}`:         `"objects" is 1.5`,
		`{"bucket":["b"],"config":{}}`:         "neither an object",
		strings.Repeat("[", 100_000):           "not JSON",
		`{"key":"k","value":{},"more":"fine"}`: "",
	} {
		_, err := parseLine([]byte(line))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %q", line, err, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"bucket":"b","config":{"index":{}}}`))
	f.Add([]byte(`{"key":"k","value":{"a":1},"_etag":"AAAAAAAA","_id":"12","_mtime":3}`))
	f.Add([]byte(`{"bucket":"b","objects":3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		line, err := parseLine(text)
		o, isObject := line.(object)
		if err != nil || !isObject || o.value == nil || o.id == "" || o.etag == "" {
			return
		}
		written := o.append(nil, AllMembers)
		again, err := parseLine(written)
		if err != nil || again.(object).key != o.key || !bytes.Equal(again.(object).value, o.value) {
			t.Errorf("%s: written as %s, read as %+v, %v", text, written, again, err)
		}
	})
}

func TestReadLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	r := bufio.NewReaderSize(strings.NewReader("a\n\n"+long+"\n"+long), 16)
	for _, want := range []string{"a\n", "\n", long + "\n", long} {
		if got, err := readLine(r); string(got) != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := readLine(r); err == nil {
		t.Errorf("got %q behind the end", got)
	}
}

// Pauses add up to the rate, and what was idle for long does not catch up.
func TestPace(t *testing.T) {
	t.Parallel()
	p := newPace(1000)
	begin := time.Now()
	for range 100 {
		if err := p.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Errorf("100 at 1000 a second took %v", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newPace(1).wait(ctx); err == nil {
		t.Error("it waits without end")
	}
}

func TestLedger(t *testing.T) {
	t.Parallel()
	l := newLedger(checkpoint{First: "f"})
	l.pass(checkpoint{Line: 1, Offset: 10, Bucket: "b"})
	for i := int64(2); i <= 4; i++ {
		l.begin(checkpoint{Line: i, Offset: 10 * i, Bucket: "b", Objects: i - 1})
	}
	expect := func(line, objects int64) {
		t.Helper()
		want := checkpoint{First: "f", Line: line, Offset: 10 * line, Bucket: "b", Objects: objects, Result: Result{Objects: objects}}
		if got := l.checkpoint(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	expect(1, 0)
	l.end(3, nil)
	expect(1, 0)
	l.end(2, nil)
	expect(3, 2)
	l.end(4, nil)
	expect(4, 3)
	l.drain(func() bool { return false })
}
