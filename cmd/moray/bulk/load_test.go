package bulk_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/cmd/moray/bulk"
	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bed is a server and what the load of a test says.
type bed struct {
	*client.Client
	db *pgtest.DB

	mu      sync.Mutex
	notices []string
}

func newBed(t *testing.T) *bed {
	t.Helper()
	db := pgtest.New(t)
	s := servertest.Start(t, db.URL(), servertest.Options{})
	b := &bed{Client: client.New(client.Config{Addresses: []string{s.Addr}, Connections: 2}), db: db}
	t.Cleanup(b.Close)
	return b
}

func (b *bed) notice(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notices = append(b.notices, text)
}

// load loads a text with the settings of l.
func (b *bed) load(t *testing.T, text string, l *bulk.Load) (bulk.Result, error) {
	t.Helper()
	l.Client, l.Concurrency, l.Patience, l.Notice = b.Client, 8, time.Minute, b.notice
	if l.In == nil {
		l.In = bulk.NewInput(strings.NewReader(text))
	}
	result, err := l.Run(t.Context())
	if result == nil {
		return bulk.Result{}, err
	}
	return *result, err
}

const head = `{"bucket":"b","config":{"index":{"n":{"type":"number"},"u":{"type":"string","unique":true},"ip":{"type":"ip"}}}}` + "\n"

func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }

// What is wrong with a line is told with its number and the key, and what stands before it is stored.
func TestHostile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const good = `{"key":"good","value":{"n":1}}`
	for _, c := range []struct{ text, want string }{
		{``, ""},
		{"\n \n", ""},
		{good + "\n", `line 1, key good: an object before the line of a bucket`},
		{head + "nonsense\n", `line 2, bucket b: not JSON`},
		{head + "\x1f\x8b\x08\n", `line 2, bucket b: not JSON`},
		{head + lines(good, `{"key":"k"}`), `line 3, bucket b, key k: the "value" is missing or not an object`},
		{head + lines(good, `{"key":"k","value":[1]}`), `line 3, bucket b, key k: the "value" is missing`},
		{head + lines(good, `{"key":"k","value":{"ip":"many"}}`), `line 3, bucket b, key k: InvalidIndexTypeError: `},
		{head + lines(`{"key":"v","value":{"u":"same"}}`, `{"bucket":"b","objects":1}`) + head + lines(`{"key":"w","value":{"u":"same"}}`), `line 5, bucket b, key w: UniqueAttributeError: "u" is a unique attribute; value "same" already exists`},
		{head + lines(good), `the dump ends in the middle of a bucket: after 1 objects of b`},
		{head + lines(good, `{"bucket":"b","objects":2}`), `line 3: lines are missing: this is the end of 2 objects of b, and there were 1 of b`},
		{head + lines(good, `{"bucket":"c","objects":1}`), `line 3: lines are missing`},
		{lines(`{"bucket":"b","objects":0}`), `line 1: lines are missing: this is the end of 0 objects of b, and there were 0 of no bucket`},
		{head + lines(good) + head, `line 3: the dump ends in the middle of a bucket: after 1 objects of b comes b`},
		{lines(`{"bucket":"bad name","config":{}}`), `line 1: bucket bad name: InvalidBucketNameError`},
		{lines(`{"bucket":"c","config":{"index":{"x":{"type":"nonsense"}}}}`), `line 1: bucket c: InvalidBucketConfigError`},
		{lines(`{"bucket":"c","config":{"pre":"no list"}}`), `line 1: bucket c: the definition has parts of the wrong type`},
		{lines(`{"bucket":"b","config":{"index":{"n":{"type":"string"}}}}`), `line 1: bucket b: the bucket is there with another definition (index)`},
		{lines(`{"bucket":"b","config":{"index":{"u":{"unique":true,"type":"string"},"n":{"type":"number"},"ip":{"type":"ip"}},"options":{"version":4}}}`), `another definition (options)`},
		{head + lines(`{"key":"good","value":{"n":2}}`, `{"bucket":"b","objects":1}`), ""},
	} {
		_, err := b.load(t, c.text, &bulk.Load{})
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
	if got := strings.Join(b.db.Strings(t, `SELECT _key, n, u FROM b ORDER BY _key`), " "); got != "good|2| v||same" {
		t.Errorf("stored: %s", got)
	}
}

func TestSkipErrors(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	got, err := b.load(t, head+lines(`{"key":"a","value":{}}`, `nonsense`, `{"key":"b","value":{"ip":"x"}}`, `{"key":"c","value":null}`,
		`{"key":"d","value":{}}`, `{"bucket":"b","objects":5}`), &bulk.Load{SkipErrors: true})
	if want := (bulk.Result{Objects: 5, Failed: 3}); got != want || err != nil || len(b.notices) != 3 {
		t.Errorf("got %+v, %v, %q; want %+v", got, err, b.notices, want)
	}
	if got := strings.Join(b.db.Strings(t, `SELECT _key FROM b ORDER BY _key`), " "); got != "a d" {
		t.Errorf("stored: %s", got)
	}
}

// Of lines with one key the last one counts, unless objects that are there are kept: then it is the first.
func TestExisting(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	text := strings.Builder{}
	text.WriteString(head)
	for range 30 {
		text.WriteString(`{"key":"same","value":{"n":1}}` + "\n")
	}
	text.WriteString(lines(`{"key":"same","value":{"n":2}}`, `{"bucket":"b","objects":31}`))
	if got, err := b.load(t, text.String(), &bulk.Load{}); err != nil || got.Objects != 31 {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err := b.load(t, head+lines(`{"key":"same","value":{"n":3}}`, `{"key":"new","value":{"n":4}}`, `{"key":"new","value":{"n":5}}`,
		`{"bucket":"b","objects":3}`), &bulk.Load{KeepExisting: true})
	if want := (bulk.Result{Objects: 3, Existing: 2}); got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if got := strings.Join(b.db.Strings(t, `SELECT _key, n FROM b ORDER BY _key`), " "); got != "new|4 same|2" {
		t.Errorf("stored: %s", got)
	}
	other := `{"bucket":"b","config":{}}` + "\n" + `{"bucket":"b","objects":0}` + "\n"
	if _, err := b.load(t, other, &bulk.Load{KeepDefinition: true}); err != nil {
		t.Error(err)
	}
}

// Etags of lines are kept if the value is; what hooks make of values has its own. --new-etags keeps none.
func TestEtags(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	text := head + lines(`{"key":"a","value":{"n":1},"_etag":"u1234567"}`, `{"key":"b","value":{"n": 1.0},"_etag":"7B4FA6C9"}`,
		`{"key":"c","value":{"n":2}}`, `{"bucket":"b","objects":3}`)
	etags := func() string { return strings.Join(b.db.Strings(t, `SELECT _etag FROM b ORDER BY _key`), " ") }
	if got, err := b.load(t, text, &bulk.Load{NewEtags: true}); err != nil || got.Etags != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	made := strings.Fields(etags())
	if got, err := b.load(t, text, &bulk.Load{}); err != nil || got.Etags != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, want := etags(), "u1234567 7B4FA6C9 "+made[2]; got != want || made[0] != made[1] {
		t.Errorf("got %s after %v, want %s", got, made, want)
	}
}

// A load that met an error goes on behind what was stored when the line was mended.
func TestResume(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	file := filepath.Join(t.TempDir(), "dump")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	open := func() *bulk.Input {
		t.Helper()
		in, err := bulk.OpenInput(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(in.Close)
		return in
	}
	before := head + lines(`{"key":"a","value":{"n":1}}`, `{"key":"b","value":{"n":2}}`)
	write(before + "{\"key\":\n")
	if _, err := b.load(t, "", &bulk.Load{In: open()}); err == nil || !strings.Contains(err.Error(), "line 4, bucket b: not JSON") {
		t.Errorf("got %v", err)
	}
	write(before + lines(`{"key":"c","value":{"n":3}}`, `{"bucket":"b","objects":3}`))
	if _, err := b.load(t, "", &bulk.Load{In: open()}); err == nil || !strings.Contains(err.Error(), "was interrupted at line 4") {
		t.Errorf("got %v", err)
	}
	b.db.Exec(t, `UPDATE b SET _mtime = 0`)
	if got, err := b.load(t, "", &bulk.Load{In: open(), Resume: true}); err != nil || got.Objects != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got := strings.Join(b.db.Strings(t, `SELECT _key FROM b WHERE _mtime = 0 ORDER BY _key`), " "); got != "a b" {
		t.Errorf("stored by the first load alone: %s", got)
	}

	for name, c := range map[string]struct{ text, want string }{
		"other file":  {`{"bucket":"other","config":{}}` + "\n", "its first line is another"},
		"shorter":     {head, "has changed"},
		"moved lines": {head + lines(`{"key":"aaaaaaaa","value":{"n":1}}`, `{"key":"b","value":{"n":2}}`, `{}`), "has changed"},
	} {
		write(before + "{\"key\":\n")
		if _, err := b.load(t, "", &bulk.Load{In: open()}); err == nil {
			t.Errorf("%s: no error", name)
		}
		write(c.text)
		if _, err := b.load(t, "", &bulk.Load{In: open(), Resume: true}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if err := os.Remove(file + ".load"); err != nil {
			t.Error(err)
		}
	}
}

// A load whose bucket has vanished, or that was done elsewhere, does not leave a part of it behind.
func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	file := filepath.Join(t.TempDir(), "dump")
	if err := os.WriteFile(file, []byte(head+lines(`{"key":"a","value":{"n":1}}`)), 0o644); err != nil {
		t.Fatal(err)
	}
	load := func(resume bool) error {
		in, err := bulk.OpenInput(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		_, err = b.load(t, "", &bulk.Load{In: in, Resume: resume})
		return err
	}
	if err := load(false); err == nil || !strings.Contains(err.Error(), "ends in the middle") {
		t.Errorf("got %v", err)
	}
	if err := b.DelBucket(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	if err := load(true); err == nil || !strings.Contains(err.Error(), "BucketNotFoundError") {
		t.Errorf("got %v", err)
	}
}

// Rows that other programs made badly are told and left out; a dump of others goes on.
func TestDumpBadRows(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	if err := b.CreateBucket(t.Context(), "b", &client.BucketConfig{Index: json.RawMessage(`{"n":{"type":"number"}}`)}, nil); err != nil {
		t.Fatal(err)
	}
	b.db.Exec(t, `INSERT INTO b (_key, _value, _etag) VALUES ('a', '{"n":1}', 'x'), ('b', 'nonsense', 'x'), ('c', '{"n"'||chr(10)||':2}', 'x'), ('d', '[1]', 'x')`)
	for _, page := range []int{0, 1, 2} {
		b.notices = nil
		var out bytes.Buffer
		d := bulk.Dump{Stream: b.Client, Client: b.Client, Out: bulk.NewOutput(&out), Members: bulk.Members{ID: true}, Page: page, Patience: time.Minute}
		d.Notice = b.notice
		result, err := d.Run(t.Context(), []string{"b"}, nil)
		if err != nil || d.Out.Close() != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(out.String(), "\n")
		if want := lines(`{"key":"a","value":{"n":1},"_id":1}`, `{"key":"c","value":{"n":2},"_id":3}`, `{"key":"d","value":[1],"_id":4}`,
			`{"bucket":"b","objects":3}`); got != want || result.Failed != 1 {
			t.Errorf("pages of %d: got %s, failed %d; want %s", page, got, result.Failed, want)
		}
		if len(b.notices) != 1 || !strings.HasPrefix(b.notices[0], "bucket b, key b: the stored value is not JSON") {
			t.Errorf("told: %q", b.notices)
		}
	}
}

// What a crash of the machine leaves behind the last whole line of a dump is cut off, and lines without ids cannot be gone on with.
func TestResumeOutput(t *testing.T) {
	t.Parallel()
	whole := lines(`{"bucket":"a","config":{}}`, `{"key":"k","value":{},"_id":3}`, `{"bucket":"a","objects":1}`, `{"bucket":"b","config":{}}`,
		`{"key":"k","value":[1],"_id":7}`)
	zipped := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	rest := zipped(`{"key":"l","value":{},"_id":8}` + "\n")
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", ""},
		"whole":        {whole, whole},
		"cut":          {whole + `{"key":"l","val`, whole},
		"no end":       {whole + `{"key":"l","value":{},"_id":8}`, whole},
		"zeros":        {whole + strings.Repeat("\x00", 5000), whole},
		"zeros inside": {whole + "\x00\x00\n" + whole, whole},
		"zipped.gz":    {zipped(whole) + rest, zipped(whole) + rest},
		"cut.gz":       {zipped(whole) + rest[:len(rest)-3], zipped(whole)},
		"zeros.gz":     {zipped(whole) + strings.Repeat("\x00", 5000), zipped(whole)},
		"wrong sum.gz": {zipped(whole) + rest[:len(rest)-8] + "12345678", zipped(whole)},
		"none.gz":      {rest[:10], ""},
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, _, err := bulk.ResumeOutput(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := out.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(file); string(got) != c.want && (err == nil || c.want != "") {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "no ids")
	if err := os.WriteFile(file, []byte(head+lines(`{"key":"k","value":{}}`)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bulk.ResumeOutput(file); err == nil || !strings.Contains(err.Error(), "no _id") {
		t.Errorf("without ids: %v", err)
	}
}
