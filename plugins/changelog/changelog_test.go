package changelog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/hooks"
	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
	"github.com/kaizengarden/moray/plugins/changelog"
)

// TestMain is the plugin too: the servers of the tests start this program again.
func TestMain(m *testing.M) {
	if os.Getenv("MORAY_PLUGIN") != "" {
		changelog.Serve()
		return
	}
	pgtest.Main(m)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	p := hooktest.Start(t, changelog.Plugin())
	for _, c := range []struct{ config, want string }{
		{`{"into":"log"}`, ""},
		{`{"into":"log","members":[],"on":["delete"],"key":"{bucket}/{key}/{time}{random}{id}{operation}{request}"}`, ""},
		{``, "config.into should be the name of the bucket for the entries"},
		{`{"into":"B"}`, "config.into should be another bucket"},
		{`{"into":"log","on":["get"]}`, `config.on should have "put" and "delete", not "get"`},
		{`{"into":"log","key":"{name}"}`, "config.key: {name}: the placeholders are {bucket} {id} {key} {operation} {random} {request} {time}"},
		{`{"into":"log","key":"a}b"}`, "config.key: a brace } has no {"},
		{`{"into":"log","key":"{key"}`, "config.key: {key: the placeholders are {bucket} {id} {key} {operation} {random} {request} {time}"},
		{`{"into":"log","key":""}`, "config.key: it should not be empty"},
		{`{"to":"log"}`, `json: unknown field "to"`},
	} {
		_, err := p.Check("b", hooktest.Binding{Phase: sdk.Post, Hook: "record", Config: c.config})
		if got := fmt.Sprint(err); got != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: %s, want %s", c.config, got, c.want)
		}
	}
}

// bed is a server with the plugin.
type bed struct {
	t  *testing.T
	db *pgtest.DB
	*client.Client
}

func newBed(t *testing.T) *bed {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, db: pgtest.New(t)}
	s := servertest.Start(t, b.db.URL(), servertest.Options{Hooks: func(s server.HookSettings) (server.Hooks, error) {
		return hooks.New(hooks.Config{Plugins: []hooks.PluginConfig{{Name: "changelog", Command: path, Timeout: 20 * time.Second}}, Log: s.Log})
	}})
	b.Client = client.New(client.Config{Addresses: []string{s.Addr}})
	t.Cleanup(b.Close)
	return b
}

func (b *bed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bed) create(name, index, post, options string) {
	b.t.Helper()
	args := fmt.Sprintf(`[%q,{"index":%s,"pre":[],"post":[%s],"options":%s},{}]`, name, index, post, options)
	if err := b.Call(b.ctx(), "createBucket", []byte(args), nil); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) put(bucket, key, value string) string {
	b.t.Helper()
	_, err := b.PutObject(b.ctx(), bucket, key, json.RawMessage(value), nil)
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func record(hook, config string) string {
	return fmt.Sprintf(`{"plugin":"changelog","hook":%q,"config":%s}`, hook, config)
}

// varying is what differs from run to run in an entry.
var varying = regexp.MustCompile(`"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"|"request":"[0-9a-f-]{36}"`)

// TestEntries shows the entries of puts and deletes, as objects that a server finds.
func TestEntries(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.create("log", `{"bucket":{"type":"string"},"key":{"type":"string"},"operation":{"type":"string"},"time":{"type":"date"},"id":{"type":"number"}}`, "", "{}")
	b.create("one", `{"s":{"type":"string"}}`, record("record", `{"into":"log","members":["s","é"]}`), "{}")
	b.create("two", `{"s":{"type":"string"}}`, record("history", `{"into":"log"}`)+","+record("record", `{"into":"log","on":["delete"],"key":"{bucket}/{key}/{operation}"}`), "{}")
	for _, run := range []func() error{
		func() error {
			_, err := b.PutObject(b.ctx(), "one", "k", json.RawMessage(`{"x":1,"s":"<a>","é":[1]}`), nil)
			return err
		},
		func() error { return b.DelObject(b.ctx(), "one", "k", nil) },
		func() error {
			_, err := b.PutObject(b.ctx(), "two", "k", json.RawMessage(`{"s":"1"}`), nil)
			return err
		},
		func() error {
			_, err := b.PutObject(b.ctx(), "two", "k", json.RawMessage(`{"s":"2"}`), nil)
			return err
		},
		func() error { return b.DelObject(b.ctx(), "two", "k", nil) },
	} {
		if err := run(); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := b.Call(b.ctx(), "findObjects", []byte(`["log","(bucket=*)",{"sort":{"attribute":"_id","order":"ASC"}}]`), func(v jsvalue.Value) error {
		value := v.Member("value")
		if etag := v.Member("_etag").Text(); etag != jsvalue.Etag(value) {
			t.Errorf("the etag of %s is %s", value, etag)
		}
		if age := float64(time.Now().UnixMilli()) - v.Member("_mtime").Float(); age < 0 || age > 60_000 {
			t.Errorf("%s was made %v ms ago", value, age)
		}
		if value.Member("_vnode") != nil || v.Member("key").Kind() != jsvalue.KindString {
			t.Errorf("a strange object: %s", v)
		}
		got = append(got, varying.ReplaceAllString(string(value), "~"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"bucket":"one","key":"k","operation":"put",~,"id":1,"update":false,~,"value":{"s":"<a>","é":[1]}}`,
		`{"bucket":"one","key":"k","operation":"delete",~,"id":1,"update":false,~}`,
		`{"bucket":"two","key":"k","operation":"put",~,"id":1,"update":false,~,"value":{"s":"1","_id":1}}`,
		`{"bucket":"two","key":"k","operation":"put",~,"id":1,"update":true,~,"value":{"s":"2"},"previous":{"s":"1"}}`,
		`{"bucket":"two","key":"k","operation":"delete",~,"id":1,"update":false,~,"previous":{"s":"2"}}`,
		`{"bucket":"two","key":"k","operation":"delete",~,"id":1,"update":false,~}`,
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("entries\n%s\nwant\n%s", g, w)
	}
	columns := b.db.Strings(t, `SELECT concat_ws(' ', bucket, key, operation, id, time IS NOT NULL, _key ~ '^\d{13}-[a-z2-7]{12}$' OR _key = 'two/k/delete') FROM log ORDER BY _id`)
	if got := strings.Join(columns, ","); got != "one k put 1 t t,one k delete 1 t t,two k put 1 t t,two k put 1 t t,two k delete 1 t t,two k delete 1 t t" {
		t.Errorf("index columns: %s", got)
	}
}

// TestTogether shows that entry and object are stored together or not at all, whatever the other bucket is like.
func TestTogether(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.create("missing", `{}`, record("record", `{"into":"nowhere"}`), "{}")
	b.create("strict", `{"key":{"type":"string","unique":true}}`, "", `{"schema":{"properties":{"operation":{"const":"put"}}}}`)
	b.create("single", `{}`, record("record", `{"into":"strict"}`), "{}")
	b.create("ordered", `{"key":{"type":"string"}}`, "", `{"guaranteeOrder":true}`)
	b.create("inorder", `{}`, record("record", `{"into":"ordered"}`), "{}")
	b.create("hooked", `{}`, record("record", `{"into":"ordered"}`), "{}")
	b.create("cascade", `{}`, record("record", `{"into":"hooked"}`), "{}")
	for _, c := range []struct{ bucket, key, want string }{
		{"missing", "k", `BucketNotFoundError: change log: nowhere does not exist`},
		{"single", "k", "ok"},
		{"single", "k", `UniqueAttributeError: "key" is a unique attribute; value "k" already exists`},
		{"inorder", "k", "ok"},
		{"cascade", "k", `HookUnavailableError: change log: bucket hooked has hooks, and this server runs none`},
	} {
		if got := b.put(c.bucket, c.key, `{}`); got != c.want {
			t.Errorf("%s/%s: %s, want %s", c.bucket, c.key, got, c.want)
		}
	}
	err := b.DelObject(b.ctx(), "single", "k", nil)
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Name != "InvalidObjectError" || !strings.HasPrefix(answer.Message, "change log: strict::") {
		t.Errorf("a schema that refuses the entry: %v", err)
	}
	if got := b.db.Strings(t, `SELECT 'missing' FROM missing UNION ALL SELECT 'cascade' FROM cascade UNION ALL SELECT _key FROM single UNION ALL SELECT _txn_snap::text FROM ordered`); strings.Join(got, ",") != "k,2" {
		t.Errorf("stored: %v", got)
	}
	// A definition that changes is noticed.
	if err := b.UpdateBucket(b.ctx(), "ordered", &client.BucketConfig{Index: json.RawMessage(`{"bucket":{"type":"string"}}`)}, nil); err != nil {
		t.Fatal(err)
	}
	if got := b.put("inorder", "l", `{}`); got != "ok" {
		t.Fatal(got)
	}
	if got := b.db.Strings(t, `SELECT coalesce(bucket, 'NULL') FROM ordered ORDER BY _id`); strings.Join(got, ",") != "NULL,inorder" {
		t.Errorf("the new index holds %v", got)
	}
}
