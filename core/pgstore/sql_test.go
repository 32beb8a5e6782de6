package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// rows runs a text and returns its rows, one a line.
func rows(ctx context.Context, s *pgstore.Store, text string, values ...string) (string, error) {
	var all []string
	var args []jsvalue.Value
	for _, v := range values {
		args = append(args, jsvalue.Value(v))
	}
	err := s.SQL(ctx, text, args, false, func(row jsvalue.Value) error {
		all = append(all, string(row))
		return nil
	})
	return strings.Join(all, "\n"), err
}

// What PostgreSQL's types become on the wire, as it was observed of the original in a server whose zone is UTC.
func TestSQLValues(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	for expression, want := range map[string]string{
		"'x'::text":                       `"x"`,
		"'ab'::char(4)":                   `"ab  "`,
		"null":                            `null`,
		"1::smallint":                     `1`,
		"-5":                              `-5`,
		"5::oid":                          `5`,
		"5::bigint":                       `"5"`,
		"3000000000":                      `"3000000000"`,
		"count(*)":                        `"1"`,
		"1.50::numeric":                   `1.5`,
		"12345678901234567890.5::numeric": `12345678901234567000`,
		"'NaN'::numeric":                  `null`,
		"1e400::numeric":                  `null`,
		"1.5::real":                       `1.5`,
		"'Infinity'::float8":              `null`,
		"'-0'::float8":                    `0`,
		"true":                            `true`,
		"'2020-01-02 03:04:05.6789+00'::timestamptz":     `"2020-01-02T03:04:05.678Z"`,
		"'2020-01-02 03:04:05+02'::timestamptz":          `"2020-01-02T01:04:05.000Z"`,
		"'infinity'::timestamptz":                        `null`,
		"'12345-01-01 00:00:00+00'::timestamptz":         `"+012345-01-01T00:00:00.000Z"`,
		"'0044-03-15 00:00:00+00 BC'::timestamptz":       `"-000043-03-15T00:00:00.000Z"`,
		"'2020-01-02 03:04:05.6789'::timestamp":          `"2020-01-02T03:04:05.678Z"`,
		"'-infinity'::timestamp":                         `null`,
		"'2020-01-02'::date":                             `"2020-01-02T00:00:00.000Z"`,
		"'0044-03-15 BC'::date":                          `"-000043-03-15T00:00:00.000Z"`,
		`'{"b": 1, "a": [1.0, "é"]}'::json`:              `{"b":1,"a":[1,"é"]}`,
		`'{"b": 1, "a": 2}'::jsonb`:                      `{"a":2,"b":1}`,
		"'ab'::bytea":                                    `{"type":"Buffer","data":[97,98]}`,
		"''::bytea":                                      `{"type":"Buffer","data":[]}`,
		"'1 day'::interval":                              `{"days":1}`,
		"'90 minutes'::interval":                         `{"hours":1,"minutes":30}`,
		"'-1.5 seconds'::interval":                       `{"seconds":-1,"milliseconds":-500}`,
		"'1 year 2 mons 3 days 04:05:06.0078'::interval": `{"years":1,"months":2,"days":3,"hours":4,"minutes":5,"seconds":6,"milliseconds":7.8}`,
		"'0'::interval":                                  `{}`,
		"'(1,2.5)'::point":                               `{"x":1,"y":2.5}`,
		"'<(1,2),3>'::circle":                            `{"x":1,"y":2,"radius":3}`,
		"'10.0.0.1'::inet":                               `"10.0.0.1"`,
		"'10.0.0.0/8'::cidr":                             `"10.0.0.0/8"`,
		"'[1,5)'::numrange":                              `"[1,5)"`,
		"'[2020-01-01,2020-01-02)'::tsrange":             `"[\"2020-01-01 00:00:00\",\"2020-01-02 00:00:00\")"`,
		"'[2019-07-04 00:00:00+00,)'::tstzrange":         `"[2019-07-04T00:00:00.000Z,)"`,
		"'empty'::tstzrange":                             `"empty"`,
		"row(1, 'a')":                                    `"(1,a)"`,
		"pg_notify('c', '')":                             `""`,
		"'{1,NULL,3}'::int[]":                            `[1,null,3]`,
		"'{1,2}'::bigint[]":                              `["1","2"]`,
		"'{{1.5,2},{3,NaN}}'::numeric[]":                 `[[1.5,2],[3,null]]`,
		`'{a,"b,c",NULL,"NULL"}'::text[]`:                `["a","b,c",null,"NULL"]`,
		"'{t,f}'::bool[]":                                `[true,false]`,
		"array['2020-01-01'::date]":                      `["2020-01-01T00:00:00.000Z"]`,
		`array['{"a":1}'::json]`:                         `[{"a":1}]`,
		"array['a'::bytea]":                              `[{"type":"Buffer","data":[97]}]`,
		"'{10.0.0.1,::1}'::inet[]":                       `["10.0.0.1","::1"]`,
		"'{}'::text[]":                                   `[]`,
		"array['1 day'::interval]":                       `"{\"1 day\"}"`,
		"'{a}'::name[]":                                  `"{a}"`,
	} {
		got, err := rows(context.Background(), s, "SELECT "+expression+" AS v")
		if want := `{"v":` + want + `}`; err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", expression, got, err, want)
		}
	}
}

func TestSQLRows(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	for _, c := range []struct {
		text   string
		values []string
		want   string
		fault  string
	}{
		{"SELECT 1 AS a, 2 AS a, 3 AS b", nil, `{"a":2,"b":3}`, ""},
		{`SELECT 1 AS "10", 2 AS "2", 3 AS x, 4 AS "__proto__"`, nil, `{"2":2,"10":1,"x":3}`, ""},
		{"SELECT", nil, "{}", ""},
		{"", nil, "", ""},
		{" ; ", nil, "", ""},
		{"-- nothing", nil, "", ""},
		{"SELECT 1 AS a; SELECT 'x' AS b", nil, `{"a":1}` + "\n" + `{"b":"x"}`, ""},
		{"SELECT 1 AS a; SELEC", nil, "", `InternalError: Invalid SQL: syntax error at or near "SELEC"`},
		{"SELECT 8+8 AS TwiceEight", nil, `{"twiceeight":16}`, ""},
		{"VALUES (1, 'a')", nil, `{"column1":1,"column2":"a"}`, ""},
		{"SHOW server_encoding", nil, `{"server_encoding":"UTF8"}`, ""},
		{"SELECT $1::text AS a, $2::int AS b, $3::bool AS c, $4::text AS d", []string{`"x\"é"`, `5`, `true`, `null`}, `{"a":"x\"é","b":5,"c":true,"d":null}`, ""},
		{"SELECT $1::text[] AS a, $2::int[] AS b, $3::jsonb AS c", []string{`["a","b\\\"",null,{"x":1}]`, `[[1,2],[3,4]]`, `{"k":[1]}`}, `{"a":["a","b\\\"",null,"{\"x\":1}"],"b":[[1,2],[3,4]],"c":{"k":[1]}}`, ""},
		{"SELECT 1; SELECT 2", []string{"1"}, "", "InternalError: Invalid SQL: cannot insert multiple commands into a prepared statement"},
		{"SELECT $1::int AS a", nil, "", "error: there is no parameter $1"},
		{"SELECT 1 AS a", []string{"1"}, "", `error: bind message supplies 1 parameters, but prepared statement "" requires 0`},
		{"VACUUM", nil, "", "error: VACUUM cannot run inside a transaction block"},
		{"COPY (SELECT 1) TO STDOUT", nil, "", ""},
		{"COPY t FROM STDIN", nil, "", "error: COPY from stdin failed: No source stream defined"},
		{"INSERT INTO t VALUES (1), (1)", nil, "", `UniqueAttributeError: "a" is a unique attribute; value "1" already exists`},
		{"SELECT E'a\\x00'", nil, "", `error: invalid byte sequence for encoding "UTF8": 0x00`},
		{"SELECT 1\nAS a -- a remark\n, 2 AS b", nil, `{"a":1,"b":2}`, ""},
	} {
		got, err := rows(context.Background(), s, c.text, c.values...)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if got != c.want || message != c.fault {
			t.Errorf("%s %s:\n got  %s %q\n want %s %q", c.text, c.values, got, message, c.want, c.fault)
		}
	}
}

// Statements about the transaction in a text do what they say, and leave the connection in order.
func TestSQLTransactions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a int)")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := context.Background()
	for _, c := range []struct{ text, want, stored string }{
		{"BEGIN; INSERT INTO t VALUES (1)", "", "1"},
		{"INSERT INTO t VALUES (2); COMMIT; SELECT 1/0", "error: division by zero", "1 2"},
		{"INSERT INTO t VALUES (3); ROLLBACK; INSERT INTO t VALUES (4)", "", "1 2 4"},
		{"INSERT INTO t VALUES (5); SELECT 1/0", "error: division by zero", "1 2 4"},
		{"COMMIT; BEGIN; INSERT INTO t VALUES (6)", "", "1 2 4 6"},
		{"BEGIN; INSERT INTO t VALUES (7); COMMIT; BEGIN; INSERT INTO t VALUES (8); COMMIT", "", "1 2 4 6 7 8"},
	} {
		_, err := rows(ctx, s, c.text)
		if err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
		if got := strings.Join(db.Strings(t, "SELECT a FROM t ORDER BY a"), " "); got != c.stored {
			t.Errorf("%s: stored %s, want %s", c.text, got, c.stored)
		}
		if open, idle := s.Open(); open != 1 || idle != 1 {
			t.Errorf("%s: %d connections, %d idle", c.text, open, idle)
		}
	}
	// A statement of sql waits for a lock as long as it takes, also after a COMMIT in the text.
	holder := db.Connect(t)
	if _, err := holder.Exec(ctx, "BEGIN; LOCK TABLE t"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := rows(ctx, s, "COMMIT; DELETE FROM t")
		done <- err
	}()
	eventually(t, "the statement waits", func() bool {
		return db.Strings(t, "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'")[0] != "0"
	})
	if _, err := holder.Exec(ctx, "SELECT pg_sleep(0.1); COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestSQLTimeoutAndReceiver(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	ctx := caller(context.Background(), object.Caller{Timeout: 100 * time.Millisecond})
	for _, values := range [][]string{nil, {`"x"`}} {
		text := "SELECT pg_sleep(60)"
		if values != nil {
			text += " WHERE $1::text = 'x'"
		}
		if _, err := rows(ctx, s, text, values...); !errors.Is(err, fault.QueryTimeout) || !strings.HasSuffix(err.Error(), text) {
			t.Errorf("%s: %v, want a QueryTimeoutError", text, err)
		}
	}
	enough := errors.New("enough")
	if err := s.SQL(context.Background(), "SELECT generate_series(1, 1000000)", nil, false, func(jsvalue.Value) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("receiver that gives up: %v", err)
	}
	if got, err := rows(context.Background(), s, "SELECT 1 AS a"); err != nil || got != `{"a":1}` {
		t.Errorf("afterwards: %s, %v", got, err)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, `INSERT INTO buckets_config VALUES ('a', '{"x":{"type":"string"}}', '[]', '[]', '{"version":1}', '2020-01-02 03:04:05.6789'), ('b''c', '{}', '[]', '[]', NULL, '2020-01-02')`)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	read := func(name string) string {
		var all []string
		if err := s.Records(context.Background(), name, func(r jsvalue.Value) error { all = append(all, string(r)); return nil }); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		return strings.Join(all, "\n")
	}
	a := `{"name":"a","index":"{\"x\":{\"type\":\"string\"}}","pre":"[]","post":"[]","options":"{\"version\":1}","mtime":"2020-01-02T03:04:05.678Z"}`
	b := `{"name":"b'c","index":"{}","pre":"[]","post":"[]","options":"{\"version\":0}","mtime":"2020-01-02T00:00:00.000Z"}`
	for name, want := range map[string]string{"a": a, "b'c": b, "nosuch": "", "": a + "\n" + b} {
		if got := read(name); got != want {
			t.Errorf("%q:\n got  %s\n want %s", name, got, want)
		}
	}
	db.Exec(t, "ALTER TABLE buckets_config ADD COLUMN reindex_active TEXT, ADD COLUMN more INT DEFAULT 5")
	if got, want := read("a"), strings.TrimSuffix(a, "}")+`,"reindex_active":null,"more":5}`; got != want {
		t.Errorf("with more columns:\n got  %s\n want %s", got, want)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1, ConnectTimeout: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	received := make(chan string, 10)
	long := strings.Repeat("n", 70)
	ended := make(chan error, 3)
	for _, channel := range []string{`Chan"quoted`, long} {
		go func() {
			ended <- s.Listen(ctx, channel, func(channel, payload string) error {
				received <- channel + "=" + payload
				return nil
			})
		}()
	}
	eventually(t, "both have listened for longer than the timeout for connecting, which must not end it", func() bool {
		return db.Strings(t, `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'
 AND clock_timestamp() - state_change > '200 ms'`)[0] == "2"
	})
	for _, c := range []struct{ notify, want string }{
		{`NOTIFY "Chan""quoted", 'hello'`, `Chan"quoted=hello`},
		{`NOTIFY "Chan""quoted"`, `Chan"quoted=`},
		{`NOTIFY "` + long[:63] + `", 'cut'`, long[:63] + "=cut"},
	} {
		db.Exec(t, c.notify)
		if got := <-received; got != c.want {
			t.Errorf("%s: received %s, want %s", c.notify, got, c.want)
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("stopped: %v", err)
		}
	}

	// The end of the session is an error, of this listener alone.
	go func() { ended <- s.Listen(context.Background(), "c", func(string, string) error { return nil }) }()
	eventually(t, "it listens", func() bool {
		return db.Strings(t, `SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN "c"' AND state = 'idle'`)[0] == "1"
	})
	db.Terminate(t)
	if err := <-ended; err == nil || err.Error() != "error: terminating connection due to administrator command" {
		t.Errorf("session ended: %v", err)
	}
	// So is a receiver that gives up.
	enough := errors.New("enough")
	go func() { ended <- s.Listen(context.Background(), "c", func(string, string) error { return enough }) }()
	eventually(t, "it listens again", func() bool {
		return db.Strings(t, `SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN "c"' AND state = 'idle'`)[0] == "1"
	})
	db.Exec(t, "NOTIFY c")
	if err := <-ended; !errors.Is(err, enough) {
		t.Errorf("receiver that gives up: %v", err)
	}
}

// With readOnly a text changes nothing, whatever it tries, and leaves nothing behind for the next user of the connection.
func TestReadOnlySQL(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "CREATE TABLE t (a int)")
	db.Exec(t, "CREATE FUNCTION put() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO t VALUES (1) RETURNING a'")
	s := open(t, db.URL(), pgstore.Limits{MaxConnections: 1})
	run := func(text string, values ...jsvalue.Value) string {
		var out []string
		err := s.SQL(context.Background(), text, values, true, func(row jsvalue.Value) error {
			out = append(out, string(row))
			return nil
		})
		if err != nil {
			out = append(out, err.Error())
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ text, want string }{
		{"SELECT 1 AS a", `{"a":1}`},
		{"INSERT INTO t VALUES (1)", "error: cannot execute INSERT in a read-only transaction"},
		{"SELECT put()", "error: cannot execute INSERT in a read-only transaction"},
		{"COMMIT; INSERT INTO t VALUES (1)", "InternalError: Invalid SQL: cannot insert multiple commands into a prepared statement"},
		{"COMMIT", ""},
		{"SET TRANSACTION READ WRITE", ""},
		{"SET default_transaction_read_only = off", ""},
		{"SELECT set_config('search_path', 'nowhere', false)", `{"set_config":"nowhere"}`},
		{"PREPARE x AS SELECT 1", ""},
		{"SELECT pg_advisory_lock(42)::text", `{"pg_advisory_lock":""}`},
		{"SELECT count(*)::int FROM t", `{"count":0}`},
		{"nonsense", `InternalError: Invalid SQL: syntax error at or near "nonsense"`},
	} {
		if got := run(c.text); got != c.want {
			t.Errorf("%s: %s, want %s", c.text, got, c.want)
		}
	}
	if got := run("SELECT $1::int AS a", jsvalue.Value("7")); got != `{"a":7}` {
		t.Errorf("with a value: %s", got)
	}
	if got := db.Strings(t, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"); got[0] != "0" {
		t.Errorf("%s advisory locks are left", got[0])
	}
	if got, err := one(context.Background(), s, statement(query.Alone, "SELECT count(*) FROM t")); err != nil || got != "0" {
		t.Errorf("the next statement: %s, %v", got, err)
	}
}
