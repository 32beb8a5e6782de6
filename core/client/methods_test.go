package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// script is a server that answers each request as the test says, and notes what it is asked.
type script struct {
	answers map[string]func(w fast.Sender) error
	asked   chan string // method and arguments of each request
}

// serve starts the server and a client of it.
func serve(t *testing.T, answers map[string]func(fast.Sender) error) (*client.Client, *script) {
	t.Helper()
	s := &script{answers, make(chan string, 100)}
	addr := fasttest.Serve(t, &fast.Server{Handler: s})
	return newClient(t, client.Config{Addresses: []string{addr}, Connections: 1}), s
}

func (s *script) ServeFast(_ context.Context, w fast.Sender, r *fast.Request) error {
	var args []string
	for _, v := range r.Args {
		args = append(args, string(v))
	}
	s.asked <- r.Method + " " + strings.Join(args, " ")
	return s.answers[r.Method](w)
}

var uuid4 = regexp.MustCompile(`"req_id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)

// next returns what the server was asked, with generated request ids as "req_id":ID.
func (s *script) next() string { return uuid4.ReplaceAllString(<-s.asked, `"req_id":ID`) }

// answer answers with values, and then with END.
func answer(values ...string) func(fast.Sender) error {
	return func(w fast.Sender) error {
		for _, v := range values {
			if err := w.Send(jsvalue.Value(v)); err != nil {
				return err
			}
		}
		return nil
	}
}

// refuse answers with an error.
func refuse(name string) func(fast.Sender) error {
	return func(fast.Sender) error {
		return &fast.Error{Name: name, Message: "no", Context: jsvalue.Value(`{"a":1}`), Members: []jsvalue.Value{jsvalue.Value(`{"b":2}`)}}
	}
}

// collect returns the values of a sequence, as JSON, and its error.
func collect[T any](t *testing.T, all iter.Seq2[T, error]) (string, error) {
	t.Helper()
	var texts []string
	for v, err := range all {
		if err != nil {
			return strings.Join(texts, " "), err
		}
		texts = append(texts, asJSON(t, v))
	}
	return strings.Join(texts, " "), nil
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const (
	id     = "b7e3a9a0-0000-1000-8000-000000000001"
	record = `{"bucket":"b","key":"k","value":{"n":1.0},"_id":3,"_etag":"0B8D89E4","_mtime":1795331078130,"_txn_snap":null,"_count":null}`
	found  = `{"bucket":"b","key":"k","value":{"n":1.0},"_id":3,"_etag":"0B8D89E4","_mtime":1795331078130,"_txn_snap":7,"_count":12}`
	bucket = `{"name":"b","index":"{\"a\":{\"type\":\"string\"}}","pre":"[]","post":"[\"function () {}\"]","options":"{\"version\":1}","mtime":"2026-11-22T06:58:45.309Z","reindex_active":"{\"2\":[\"a\"]}"}`
)

// Each method: what it sends, what the server answers, and what it returns.
func TestMethods(t *testing.T) {
	t.Parallel()
	req := client.Options{RequestID: id, Timeout: 500}
	config := &client.BucketConfig{Index: json.RawMessage(`{"z":{"type":"string"},"a":{"type":"number"}}`), Options: json.RawMessage(`{"version":2}`)}
	wireConfig := `{"index":{"z":{"type":"string"},"a":{"type":"number"}},"pre":[],"post":[],"options":{"version":2}}`
	wireReq := `{"req_id":"` + id + `","timeout":500}`
	value := json.RawMessage(" {\"html\": \"<&>\\u00e9\"}\n")
	for _, c := range []struct {
		call   func(ctx context.Context, c *client.Client) (any, error)
		asked  string
		answer []string
		want   string
	}{
		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.CreateBucket(ctx, "b", config, &req)
			},
			`createBucket "b" ` + wireConfig + ` ` + wireReq, nil, `null`,
		},
		{func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.UpdateBucket(ctx, "b", &client.BucketConfig{Pre: []json.RawMessage{json.RawMessage(`"function () {}"`)}}, &client.UpdateBucketOptions{NoReindex: true})
		}, `updateBucket "b" {"pre":["function () {}"],"post":[]} {"req_id":ID,"no_reindex":true}`, nil, `null`},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.GetBucket(ctx, "b", &req) },
			`getBucket ` + wireReq + ` "b"`,
			[]string{bucket},
			`{"Name":"b","Index":{"a":{"type":"string"}},"Pre":[],"Post":["function () {}"],"Options":{"version":1},"ReindexActive":{"2":["a"]},"Mtime":"2026-11-22T06:58:45.309Z"}`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.ListBuckets(ctx, nil) },
			`listBuckets {"req_id":ID}`,
			[]string{`{"name":"b","options":{"version":0},"reindex_active":null}`, `{"name":"c","other":5}`},
			`[{"Name":"b","Index":null,"Pre":null,"Post":null,"Options":{"version":0},"ReindexActive":null,"Mtime":""},` +
				`{"Name":"c","Index":null,"Pre":null,"Post":null,"Options":null,"ReindexActive":null,"Mtime":""}]`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return nil, c.DelBucket(ctx, "b", nil) },
			`delBucket "b" {"req_id":ID}`, nil, `null`,
		},

		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return c.PutObject(ctx, "b", "k\"", value, nil)
			},
			`putObject "b" "k\"" {"html": "<&>\u00e9"} {"req_id":ID}`,
			[]string{`{"etag":"0B8D89E4"}`},
			`"0B8D89E4"`,
		},
		{func(ctx context.Context, c *client.Client) (any, error) {
			return c.PutObject(ctx, "b", "k", json.RawMessage(`{}`), &client.WriteOptions{Options: req, Etag: client.IfEtag(""), NoBucketCache: true, Headers: json.RawMessage(`{"x":1}`)})
		}, `putObject "b" "k" {} {"req_id":"` + id + `","timeout":500,"etag":"","noBucketCache":true,"headers":{"x":1}}`, []string{`{"etag":"x"}`}, `"x"`},
		{func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.DelObject(ctx, "b", "k", &client.WriteOptions{Etag: client.IfAbsent})
		}, `delObject "b" "k" {"req_id":ID,"etag":null}`, []string{`{}`}, `null`},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.GetObject(ctx, "b", "k", nil) },
			`getObject "b" "k" {"req_id":ID,"noCache":true}`,
			[]string{record},
			`{"Bucket":"b","Key":"k","Value":{"n":1.0},"ID":3,"Etag":"0B8D89E4","Mtime":1795331078130,"TxnSnap":-1,"Count":-1,"Record":` + record + `}`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return c.GetObject(ctx, "b", "k", &client.GetOptions{Options: req, NoBucketCache: true})
			}, `getObject "b" "k" {"req_id":"` + id + `","timeout":500,"noBucketCache":true,"noCache":true}`,
			[]string{`{"value":5}`},
			`{"Bucket":"","Key":"","Value":5,"ID":0,"Etag":"","Mtime":0,"TxnSnap":-1,"Count":-1,"Record":{"value":5}}`,
		},

		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return collect(t, c.FindObjects(ctx, "b", "(a=5)", nil))
			},
			`findObjects "b" "(a=5)" {"req_id":ID}`, nil, `""`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) {
				s, err := collect(t, c.FindObjects(ctx, "b", "(a=5)", &client.FindOptions{
					SelectOptions: client.SelectOptions{Options: req, Limit: 5, Offset: 6, Sort: []client.Sort{{"a", "DESC"}, {"b", ""}}, NoBucketCache: true},
					NoCount:       true, RequireIndexes: true, RequireOnlineReindexing: true,
				}))
				return json.RawMessage(s), err
			}, `findObjects "b" "(a=5)" {"req_id":"` + id + `","timeout":500,"limit":5,"offset":6,"sort":[{"attribute":"a","order":"DESC"},{"attribute":"b"}],` +
				`"noBucketCache":true,"no_count":true,"requireIndexes":true,"requireOnlineReindexing":true,"internalOpts":{"sendHandledOptions":true}}`,
			[]string{`{"_handledOptions":["req_id","requireIndexes","requireOnlineReindexing"]}`, found},
			`{"Bucket":"b","Key":"k","Value":{"n":1.0},"ID":3,"Etag":"0B8D89E4","Mtime":1795331078130,"TxnSnap":7,"Count":12,"Record":` + found + `}`,
		},
		{func(ctx context.Context, c *client.Client) (any, error) {
			return c.FindSQL(ctx, "b", "(a=5)", &client.FindOptions{SelectOptions: client.SelectOptions{NoLimit: true}})
		}, `findObjects "b" "(a=5)" {"req_id":ID,"noLimit":true,"sql_only":true}`, []string{`{"query":"SELECT","args":[]}`}, `{"query":"SELECT","args":[]}`},
		{func(ctx context.Context, c *client.Client) (any, error) {
			return c.UpdateObjects(ctx, "b", json.RawMessage(`{"z":1,"a":2}`), "(a=5)", &client.SelectOptions{Limit: 7})
		}, `updateObjects "b" {"z":1,"a":2} "(a=5)" {"req_id":ID,"limit":7}`, []string{`{"count":2,"etag":"uc11516f"}`}, `{"count":2,"etag":"uc11516f"}`},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.DeleteMany(ctx, "b", "(a=5)", nil) },
			`deleteMany "b" "(a=5)" {"req_id":ID}`,
			[]string{`{"count":1}`},
			`1`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.ReindexObjects(ctx, "b", 100, nil) },
			`reindexObjects "b" 100 {"req_id":ID}`,
			[]string{`{"processed":1,"remaining":0}`},
			`{"processed":1,"remaining":0}`,
		},
		{func(ctx context.Context, c *client.Client) (any, error) {
			return c.ReindexObjects(ctx, "b", 100, &client.ReindexOptions{NoCount: true})
		}, `reindexObjects "b" 100 {"req_id":ID,"no_count":true}`, []string{`{"processed":1}`}, `{"processed":1,"remaining":null}`},

		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.Batch(ctx, nil, nil) },
			`batch [] {"req_id":ID}`,
			[]string{`{"etags":[]}`},
			`[]`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return c.Batch(ctx, []client.BatchRequest{
					{Bucket: "b", Key: "k", Value: json.RawMessage(`{"html":"<>"}`), Options: &client.ChangeOptions{Etag: client.IfAbsent}},
					{Operation: "delete", Bucket: "b", Key: "l"},
					{Operation: "update", Bucket: "b", Fields: json.RawMessage(`{"a":1}`), Filter: "(a=5)", Options: &client.ChangeOptions{Limit: 1}},
				}, &req)
			}, `batch [{"operation":"put","bucket":"b","key":"k","value":{"html":"<>"},"options":{"etag":null}},{"operation":"delete","bucket":"b","key":"l"},` +
				`{"operation":"update","bucket":"b","fields":{"a":1},"filter":"(a=5)","options":{"limit":1}}] ` + wireReq,
			[]string{`{"etags":[{"bucket":"b","etag":"e","key":"k"},{"bucket":"b","key":"l"},{"bucket":"b","count":2,"etag":"u","filter":"(a=5)"}]}`},
			`[{"bucket":"b","key":"k","etag":"e","filter":"","count":0},{"bucket":"b","key":"l","etag":"","filter":"","count":0},` +
				`{"bucket":"b","key":"","etag":"u","filter":"(a=5)","count":2}]`,
		},

		{func(ctx context.Context, c *client.Client) (any, error) {
			return collect(t, c.SQL(ctx, "select $1", []any{"<a>", 5, nil}, &req))
		}, `sql "select $1" ["<a>",5,null] ` + wireReq, []string{`{"a":1}`, `{"a":2}`}, `"{\"a\":1} {\"a\":2}"`},
		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.Notify(ctx, "chan", "hello", nil)
			},
			`sql "select pg_notify($1, $2)" ["chan","hello"] {"req_id":ID}`,
			[]string{`{"pg_notify":""}`},
			`null`,
		},

		{func(ctx context.Context, c *client.Client) (any, error) { return nil, c.Ping(ctx, nil) }, `ping {"req_id":ID}`, nil, `null`},
		{
			func(ctx context.Context, c *client.Client) (any, error) {
				return nil, c.Ping(ctx, &client.PingOptions{Deep: true})
			},
			`ping {"req_id":ID,"deep":true}`, nil, `null`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.Version(ctx, nil) },
			`version {"req_id":ID}`,
			[]string{`{"version":2}`},
			`2`,
		},
		{
			func(ctx context.Context, c *client.Client) (any, error) { return c.GetTokens(ctx, nil) },
			`getTokens {"req_id":ID}`,
			[]string{`["tcp://1"]`},
			`["tcp://1"]`,
		},
	} {
		method, _, _ := strings.Cut(c.asked, " ")
		conn, server := serve(t, map[string]func(fast.Sender) error{method: answer(c.answer...)})
		got, err := c.call(t.Context(), conn)
		if asked := server.next(); asked != c.asked {
			t.Errorf("%s: the server was asked\n%s, want\n%s", method, asked, c.asked)
		}
		if err != nil || asJSON(t, got) != c.want {
			t.Errorf("%s:\ngot  %s, error %v\nwant %s", method, asJSON(t, got), err, c.want)
		}

		conn, _ = serve(t, map[string]func(fast.Sender) error{method: refuse("SomeError")})
		_, err = c.call(t.Context(), conn)
		want := &client.Error{Name: "SomeError", Message: "no", Context: json.RawMessage(`{"a":1}`), Members: []json.RawMessage{json.RawMessage(`{"b":2}`)}}
		have := (*client.Error)(nil)
		if errors.As(err, &have); !cmp.Equal(have, want) {
			t.Errorf("%s: got %v, want %v", method, err, want)
		}
	}
}

// Answers that are not what the method promises are errors.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	none := json.RawMessage(`{}`)
	for _, c := range []struct {
		method string
		call   func(ctx context.Context, c *client.Client) error
		bad    [][]string
	}{
		{"ping", func(ctx context.Context, c *client.Client) error { return c.Ping(ctx, nil) }, [][]string{{`{}`}}},
		{
			"getBucket", func(ctx context.Context, c *client.Client) error { _, err := c.GetBucket(ctx, "b", nil); return err },
			[][]string{{}, {`{}`, `{}`}, {`5`}, {`{"name":5}`}, {`{"index":"{"}`}, {`{"pre":5}`}},
		},
		{
			"listBuckets", func(ctx context.Context, c *client.Client) error { _, err := c.ListBuckets(ctx, nil); return err },
			[][]string{{`{}`, `5`}},
		},
		{
			"putObject", func(ctx context.Context, c *client.Client) error {
				_, err := c.PutObject(ctx, "b", "k", none, nil)
				return err
			},
			[][]string{{}, {`5`}, {`{}`}, {`{"etag":5}`}},
		},
		{
			"getObject", func(ctx context.Context, c *client.Client) error {
				_, err := c.GetObject(ctx, "b", "k", nil)
				return err
			},
			[][]string{{}, {`5`}, {`{"key":5}`}, {`{"_etag":null}`}},
		},
		{"delObject", func(ctx context.Context, c *client.Client) error { return c.DelObject(ctx, "b", "k", nil) }, [][]string{{`{}`, `{}`}}},
		{
			"findObjects", func(ctx context.Context, c *client.Client) error {
				_, err := collect(t, c.FindObjects(ctx, "b", "f", nil))
				return err
			},
			[][]string{{`5`}},
		},
		{
			"deleteMany", func(ctx context.Context, c *client.Client) error {
				_, err := c.DeleteMany(ctx, "b", "f", nil)
				return err
			},
			[][]string{{}, {`{"count":"x"}`}},
		},
		{"version", func(ctx context.Context, c *client.Client) error { _, err := c.Version(ctx, nil); return err }, [][]string{{}, {`{}`}, {`5`}}},
		{"getTokens", func(ctx context.Context, c *client.Client) error { _, err := c.GetTokens(ctx, nil); return err }, [][]string{{}}},
	} {
		for _, values := range c.bad {
			conn, _ := serve(t, map[string]func(fast.Sender) error{c.method: answer(values...)})
			if err := c.call(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "bad server response") {
				t.Errorf("%s answered with %q: got %v, want a bad server response", c.method, values, err)
			}
		}
	}
}

// What is not JSON never leaves: the server would drop the connection.
func TestBadArguments(t *testing.T) {
	t.Parallel()
	c, s := serve(t, map[string]func(fast.Sender) error{"ping": answer()})
	bad := json.RawMessage(`{"a":`)
	for name, err := range map[string]error{
		"value":  func() error { _, err := c.PutObject(t.Context(), "b", "k", bad, nil); return err }(),
		"fields": func() error { _, err := c.UpdateObjects(t.Context(), "b", bad, "f", nil); return err }(),
		"index":  c.CreateBucket(t.Context(), "b", &client.BucketConfig{Index: bad}, nil),
		"header": c.DelObject(t.Context(), "b", "k", &client.WriteOptions{Headers: bad}),
		"sql":    func() error { _, err := collect(t, c.SQL(t.Context(), "s", []any{func() {}}, nil)); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := c.Ping(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if got, want := s.next(), `ping {"req_id":ID}`; got != want {
		t.Errorf("the server was first asked %s, want %s", got, want)
	}
}

func TestPutBucket(t *testing.T) {
	t.Parallel()
	have := func(options string) func(fast.Sender) error {
		return answer(fmt.Sprintf(`{"name":"b","options":%q}`, options))
	}
	for name, c := range map[string]struct {
		options string
		answers map[string]func(fast.Sender) error
		want    string // the methods, and the error
	}{
		"new":          {`{"version":1}`, map[string]func(fast.Sender) error{"getBucket": refuse("BucketNotFoundError"), "createBucket": answer()}, "getBucket createBucket"},
		"same version": {`{"version":1}`, map[string]func(fast.Sender) error{"getBucket": have(`{"version":1}`)}, "getBucket"},
		"version 0":    {`{"version":0}`, map[string]func(fast.Sender) error{"getBucket": have(`{"version":0}`), "updateBucket": answer()}, "getBucket updateBucket"},
		"no version":   {``, map[string]func(fast.Sender) error{"getBucket": have(`{}`), "updateBucket": answer()}, "getBucket updateBucket"},
		"older": {
			`{"version":1}`,
			map[string]func(fast.Sender) error{"getBucket": have(`{"version":2}`), "updateBucket": refuse("BucketVersionError")},
			"getBucket updateBucket BucketVersionError: no",
		},
		"race": {
			`{"version":1}`,
			map[string]func(fast.Sender) error{"getBucket": refuse("BucketNotFoundError"), "createBucket": refuse("BucketConflictError")},
			"getBucket createBucket",
		},
		"other error": {`{"version":1}`, map[string]func(fast.Sender) error{"getBucket": refuse("NoDatabasePeersError")}, "getBucket NoDatabasePeersError: no"},
	} {
		conn, s := serve(t, c.answers)
		got := ""
		err := conn.PutBucket(t.Context(), "b", &client.BucketConfig{Options: json.RawMessage(c.options)}, nil)
		ids := map[string]bool{}
		for len(s.asked) > 0 {
			asked := <-s.asked
			method, _, _ := strings.Cut(asked, " ")
			got += method + " "
			ids[uuid4.FindString(asked)] = true
		}
		if err != nil {
			got += err.Error()
		}
		if strings.TrimSpace(got) != c.want || len(ids) != 1 {
			t.Errorf("%s: got %s, request ids %v; want %s with one id", name, got, ids, c.want)
		}
	}
}

func TestUnhandledOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer []string
		want   []string
	}{
		{nil, []string{"requireIndexes", "requireOnlineReindexing"}},
		{[]string{record}, []string{"requireIndexes", "requireOnlineReindexing"}},
		{[]string{`{"_handledOptions":["requireIndexes"]}`, record}, []string{"requireOnlineReindexing"}},
	} {
		conn, _ := serve(t, map[string]func(fast.Sender) error{"findObjects": answer(c.answer...)})
		got, err := collect(t, conn.FindObjects(t.Context(), "b", "f", &client.FindOptions{RequireIndexes: true, RequireOnlineReindexing: true}))
		unhandled := (*client.UnhandledOptionsError)(nil)
		if !errors.As(err, &unhandled) || !slices.Equal(unhandled.Options, c.want) || got != "" {
			t.Errorf("answer %q: got %q and %v, want %v", c.answer, got, err, c.want)
		}
		if want := "the server does not handle the options " + strings.Join(c.want, ", "); unhandled.Error() != want {
			t.Errorf("got %q, want %q", unhandled, want)
		}
	}
}

// A loop over objects may end early, and may make requests; an error comes behind the objects.
func TestFindLoop(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, map[string]func(fast.Sender) error{
		"ping": answer(),
		"findObjects": func(w fast.Sender) error {
			if err := answer(found, record, found)(w); err != nil {
				return err
			}
			return &fast.Error{Name: "error", Message: "late"}
		},
	})
	n := 0
	for o, err := range c.FindObjects(t.Context(), "b", "f", nil) {
		if err != nil || o.Key != "k" {
			t.Fatalf("got %+v, %v", o, err)
		}
		if err := c.Ping(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if n++; n == 2 {
			break
		}
	}
	objects := 0
	var last error
	for o, err := range c.FindObjects(t.Context(), "b", "f", nil) {
		if last = err; err == nil && o != nil {
			objects++
		}
	}
	if fmt.Sprint(last) != "error: late" || objects != 3 {
		t.Errorf("got %d objects and then %v, want 3 and the error", objects, last)
	}
}

// listener is a server that notifies until it is told to stop.
type listener struct{ asked chan string }

func (l *listener) ServeFast(ctx context.Context, w fast.Sender, r *fast.Request) error {
	l.asked <- fmt.Sprint(r.Conn(), " ", r.Method, " ", string(r.Args[0]), " ", string(r.Args[1]))
	if r.Method == "listen" {
		r.Standing()
		for i := range 3 {
			if err := w.Send(fmt.Appendf(nil, `{"channel":"chan","payload":"%d"}`, i)); err != nil {
				return err
			}
		}
		<-r.Gone()
	}
	return nil
}

func TestListen(t *testing.T) {
	t.Parallel()
	s := &listener{make(chan string, 10)}
	c := newClient(t, client.Config{Addresses: []string{fasttest.Serve(t, &fast.Server{Handler: s})}})
	o := &client.Options{RequestID: id}
	options := `{"req_id":"` + id + `"}`
	expect := func() {
		t.Helper()
		conn, _, _ := strings.Cut(<-s.asked, " ")
		if got, want := <-s.asked, conn+` unlisten "`+id+`" `+options; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}

	var got []client.Notification
	for n, err := range c.Listen(t.Context(), "chan", o) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, n); len(got) == 2 {
			break
		}
	}
	if want := []client.Notification{{"chan", "0"}, {"chan", "1"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	expect()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	got = nil
	for n, err := range c.Listen(ctx, "chan", o) {
		if last = err; err == nil {
			got = append(got, n)
		}
		if len(got) == 3 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) || len(got) != 3 {
		t.Errorf("got %d notifications and %v, want 3 and %v", len(got), last, context.Canceled)
	}
	expect()
}

// A loop over notifications can be left also if the server has gone meanwhile, or does not want to stop.
func TestListenIsLeft(t *testing.T) {
	t.Parallel()
	notify := func(_ context.Context, w fast.Sender, r *fast.Request) error {
		r.Standing()
		err := w.Send(jsvalue.Value(`{"channel":"chan","payload":"x"}`))
		<-r.Gone()
		return err
	}
	t.Run("Gone", func(t *testing.T) {
		addr, stop := fasttest.Start(t, &fast.Server{Handler: fast.HandlerFunc(notify), Limits: fast.Limits{Grace: time.Millisecond}})
		other := fasttest.Serve(t, &fast.Server{Handler: fast.HandlerFunc(notify)})
		c := newClient(t, client.Config{Addresses: []string{addr, other}, Connections: 1})
		for range c.Listen(t.Context(), "chan", nil) {
			stop() //nolint:errcheck // because it may have to cut off the listen
			break
		}
	})
	t.Run("Unwilling", func(t *testing.T) {
		addr := fasttest.Serve(t, &fast.Server{Handler: fast.HandlerFunc(func(ctx context.Context, w fast.Sender, r *fast.Request) error {
			if r.Method == "unlisten" {
				return &fast.Error{Name: "NoDatabasePeersError", Message: "no"}
			}
			return notify(ctx, w, r)
		})})
		c := newClient(t, client.Config{Addresses: []string{addr}, Connections: 1})
		for range c.Listen(t.Context(), "chan", nil) {
			break
		}
	})
}
