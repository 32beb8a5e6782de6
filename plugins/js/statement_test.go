package js

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// TestQuery shows what triggers can do with req.pg.
func TestQuery(t *testing.T) {
	t.Parallel()
	refused := &sdk.StatementError{Code: "23505", Message: `duplicate key value violates unique constraint "x_pkey"`, Detail: "Key (_key)=(a) already exists.", Constraint: "x_pkey", Table: "x"}
	ab := hooktest.Reply{Columns: []sdk.Column{{Name: "a", Type: 23}, {Name: "b", Type: 25}}, Rows: [][]string{{"1", "x"}, {"2", hooktest.Null}}}
	for _, c := range []struct {
		name, source string
		answers      map[string]hooktest.Reply
		want         string
		asked        string
	}{
		{
			"rows and end", `function (req, cb) {
				var got = [];
				var res = req.pg.query("SELECT rows");
				res.on("row", function (row) { got.push(row); });
				res.on("end", function (end) { req.value = {got: got, end: end}; cb(); });
				got.push("asked");
			}`,
			map[string]hooktest.Reply{"SELECT rows": ab},
			`k {"got":["asked",{"a":1,"b":"x"},{"a":2,"b":null}],"end":{"command":"SELECT","rowCount":2,"rows":[],"fields":[{"name":"a","dataTypeID":23},{"name":"b","dataTypeID":25}]}}`,
			"SELECT rows",
		},
		{
			"one after the other", `function (req, cb) {
				var log = [];
				["SELECT 1", "SELECT 2", "SELECT 3"].forEach(function (sql) {
					req.pg.query(sql).once("end", function () { log.push(sql); if (log.length === 3) { req.value = log; cb(); } });
				});
			}`, nil, `k ["SELECT 1","SELECT 2","SELECT 3"]`, "SELECT 1\nSELECT 2\nSELECT 3",
		},
		{
			"error", `function (req, cb) {
				req.pg.query("INSERT x").on("error", function (e) {
					req.value = [e.name, e.message, e.code, e.detail, e.constraint, e.table, e.hint, e instanceof Error, String(e)];
					cb();
				}).on("end", function () { cb(new Error("end")); });
			}`,
			map[string]hooktest.Reply{"INSERT x": {Err: refused}},
			`k ["error","duplicate key value violates unique constraint \"x_pkey\"","23505","Key (_key)=(a) already exists.","x_pkey","x",null,true,"error: duplicate key value violates unique constraint \"x_pkey\""]`,
			"INSERT x",
		},
		{
			"error handed on", `function (req, cb) { req.pg.query("INSERT x").on("error", cb); }`,
			map[string]hooktest.Reply{"INSERT x": {Err: refused}},
			"refused: 23505", "INSERT x",
		},
		{
			"error that nobody hears", `function (req, cb) { req.pg.query("INSERT x").on("end", function () { cb(); }); }`,
			map[string]hooktest.Reply{"INSERT x": {Err: refused}},
			"refused: 23505", "INSERT x",
		},
		{
			"error swallowed", `function (req, cb) { req.pg.query("INSERT x").on("error", function () { cb(); }); }`,
			map[string]hooktest.Reply{"INSERT x": {Err: refused}},
			`k {"a":1}`, "INSERT x",
		},
		{
			"error made anew", `function (req, cb) { req.pg.query("INSERT x").on("error", function (e) { cb(new Error(e.code)); }); }`,
			map[string]hooktest.Reply{"INSERT x": {Err: refused}},
			`Error: 23505`, "INSERT x",
		},
		{
			"not waited for", `function (req, cb) { req.pg.query("SELECT 1"); req.pg.query("SELECT 2").on("end", function () { req.pg.query("SELECT 3"); }); cb(); }`,
			nil, `k {"a":1}`, "SELECT 1\nSELECT 2\nSELECT 3",
		},
		{
			"not waited for, refused", `function (req, cb) { req.pg.query("INSERT x"); cb(); }`,
			map[string]hooktest.Reply{"INSERT x": {Err: refused}},
			"refused: 23505", "INSERT x",
		},
		{
			"nothing more after an error", `function (req, cb) { req.pg.query("SELECT 1"); cb(new Error("no")); }`, nil, "Error: no", "",
		},
		{
			"throw in a row", `function (req, cb) { req.pg.query("SELECT rows").on("row", function (r) { throw new Error("at " + r.a); }); }`,
			map[string]hooktest.Reply{"SELECT rows": ab},
			"Error: at 1", "SELECT rows",
		},
		{
			"promise", `async function (req, cb) {
				function rows(sql, params) {
					return new Promise(function (resolve, reject) {
						var all = [];
						req.pg.query(sql, params).on("row", function (r) { all.push(r); }).on("error", reject).on("end", function () { resolve(all); });
					});
				}
				var first = await rows("SELECT rows", ["p"]);
				var second = await rows("SELECT rows", [first.length]);
				req.value.n = first.length + second.length;
				cb();
			}`, map[string]hooktest.Reply{"SELECT rows": ab}, `k {"a":1,"n":4}`, "SELECT rows <p>\nSELECT rows <2>",
		},
		{
			"emitter", `function (req, cb) {
				var log = [], res = req.pg.query("SELECT rows");
				function gone() { log.push("gone"); }
				function inner() { log.push(this === res, res.listeners("end").length, res.listenerCount("row")); }
				res.on("row", gone); res.removeListener("row", gone); res.addListener("row", inner); res.once("row", function () { log.push("once"); });
				res.on("end", gone); res.removeAllListeners("end");
				res.on("own", function (a, b) { log.push(a, b); }); res.emit("own", 1, 2);
				res.on("end", function () { req.value = log; cb(); });
			}`, map[string]hooktest.Reply{"SELECT rows": ab}, `k [1,2,true,1,2,"once",true,1,1]`, "SELECT rows",
		},
		{"no text", `function (req, cb) { req.pg.query(5); }`, nil, "TypeError: sql (string) is required", ""},
		{"no parameters", `function (req, cb) { req.pg.query("SELECT 1", "a"); }`, nil, "TypeError: params ([any]) is required", ""},
		{"cyclic parameter", `function (req, cb) { var a = []; a.push(a); req.pg.query("SELECT 1", [a]); }`, nil, "Error: an array is nested too deep for a parameter", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := load(t, c.source)
			db := b.answers(c.answers)
			b.want(put("k", `{"a":1}`), c.want)
			if asked := db.take(); asked != c.asked {
				t.Errorf("asked %q\nwant  %q", asked, c.asked)
			}
		})
	}
}

// TestParameters shows what parameters become.
func TestParameters(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`null`:                              "NULL",
		`undefined`:                         "NULL",
		`"text"`:                            "<text>",
		`""`:                                "<>",
		`5`:                                 "<5>",
		`-0.5`:                              "<-0.5>",
		`1e21`:                              "<1e+21>",
		`0/0`:                               "<NaN>",
		`true`:                              "<true>",
		`5n`:                                "<5>",
		`{a: 1, b: undefined}`:              `<{"a":1}>`,
		`[]`:                                `<{}>`,
		`[1, "two", null, undefined, true]`: `<{"1","two",NULL,NULL,"true"}>`,
		`['"', "\\", "a,b", "", "NULL"]`:    `<{"\"","\\","a,b","","NULL"}>`,
		`[[1, 2], [3, [4]]]`:                `<{{"1","2"},{"3",{"4"}}}>`,
		`[{a: 1}, new Date(0)]`:             `<{"{\"a\":1}","\"1970-01-01T00:00:00.000Z\""}>`,
		`new Date(0)`:                       `<"1970-01-01T00:00:00.000Z">`,
		`new Date(NaN)`:                     `<null>`,
		`function f() { return 1; }`:        `<function f() { return 1; }>`,
		`{toJSON: function () { return "short"; }}`: `<"short">`,
		`{toJSON: function () { }}`:                 "NULL",
		`new String("boxed")`:                       `<"boxed">`,
		`"\ud83d\ude00 é"`:                          "<😀 é>",
	} {
		b := load(t, `function (req, cb) { req.pg.query("SELECT $1", [`+value+`]).on("end", function () { cb(); }); }`)
		db := b.answers(nil)
		b.want(put("k", `{}`), `k {}`)
		if asked := db.take(); asked != "SELECT $1 "+want {
			t.Errorf("%s\n got  %s\n want %s", value, asked, want)
		}
	}
}

// TestColumns shows what values of columns become.
func TestColumns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		oid        uint32
		text, want string // the type of the value and its JSON
	}{
		{16, "t", "boolean true"},
		{16, "f", "boolean false"},
		{20, "9007199254740993", `string "9007199254740993"`},
		{21, "-5", "number -5"},
		{23, "5", "number 5"},
		{26, "4294967295", "number 4294967295"},
		{700, "1.5", "number 1.5"},
		{701, "-0", "number 0"},
		{701, "NaN", "number null"},
		{701, "-Infinity", "number null"},
		{1700, "1.50", "number 1.5"},
		{1700, "12345678901234567890.5", "number 12345678901234567000"},
		{1700, "1e400", "number null"},
		{25, "text", `string "text"`},
		{25, "", `string ""`},
		{869, "10.0.0.0/8", `string "10.0.0.0/8"`},
		{17, `\x6162`, `string "\\x6162"`},
		{1186, "1 day", `string "1 day"`},
		{114, `{"b":[1,null]}`, `object {"b":[1,null]}`},
		{3802, `5`, `number 5`},
		{114, `null`, `object null`},
		{1184, "2020-01-02 03:04:05.678901+00", `object "2020-01-02T03:04:05.678Z"`},
		{1184, "2020-01-02 03:04:05+05:30", `object "2020-01-01T21:34:05.000Z"`},
		{1184, "1900-01-01 00:00:00-00:01:15", `object "1900-01-01T00:01:15.000Z"`},
		{1184, "0044-03-15 12:00:00+00 BC", `object "-000043-03-15T12:00:00.000Z"`},
		{1184, "0001-02-29 00:00:00+00 BC", `object "0000-02-29T00:00:00.000Z"`},
		{1184, "12345-01-01 00:00:00+00", `object "+012345-01-01T00:00:00.000Z"`},
		{1184, "infinity", "number null"},
		{1114, "2020-01-02 03:04:05", `object "` + time.Date(2020, 1, 2, 3, 4, 5, 0, time.Local).UTC().Format("2006-01-02T15:04:05.000Z") + `"`},
		{1082, "2020-01-02", `object "` + time.Date(2020, 1, 2, 0, 0, 0, 0, time.Local).UTC().Format("2006-01-02T15:04:05.000Z") + `"`},
		{1082, "-infinity", "number null"},
		{3910, `["2020-01-02 00:00:00+00",)`, `string "[2020-01-02T00:00:00.000Z,)"`},
		{3910, `empty`, `string "empty"`},
		{1009, `{a,"b,\"c\"",NULL,"NULL",""}`, `object ["a","b,\"c\"",null,"NULL",""]`},
		{1007, `{{1,2},{3,4}}`, `object [[1,2],[3,4]]`},
		{1007, `[0:1]={1,2}`, `object [1,2]`},
		{1007, `{}`, `object []`},
		{1016, `{9007199254740993}`, `object ["9007199254740993"]`},
		{1185, `{"2020-01-02 03:04:05+00",NULL}`, `object ["2020-01-02T03:04:05.000Z",null]`},
		{3807, `{"{\"a\": 1}"}`, `object [{"a":1}]`},
		{1000, `{t,f}`, `object [true,false]`},
		{1187, `{"1 day"}`, `string "{\"1 day\"}"`},
		{1009, `{broken`, `string "{broken"`},
		{1009, `{a}b`, `string "{a}b"`},
	} {
		b := load(t, `function (req, cb) {
			req.pg.query("SELECT").on("row", function (r) { req.value = {v: [typeof r.c, r.c]}; }).on("end", function () { cb(); });
		}`)
		b.answers(map[string]hooktest.Reply{"SELECT": {Columns: []sdk.Column{{Name: "c", Type: c.oid}}, Rows: [][]string{{c.text}}}})
		kind, value, _ := strings.Cut(c.want, " ")
		b.want(put("k", `{}`), fmt.Sprintf(`k {"v":[%q,%s]}`, kind, value))
	}
}

// TestRowDates: a date of a result is a date, and as a parameter another text than a date that a trigger made.
func TestRowDates(t *testing.T) {
	t.Parallel()
	b := load(t, `function (req, cb) {
		req.pg.query("SELECT").on("row", function (r) {
			req.value = [r.c.getTime(), r.c instanceof Date, Object.prototype.toString.call(r.c)];
			req.pg.query("INSERT", [r.c, [r.c]]).on("end", function () { cb(); });
		});
	}`)
	db := b.answers(map[string]hooktest.Reply{"SELECT": {Columns: []sdk.Column{{Name: "c", Type: 1184}}, Rows: [][]string{{"1970-01-01 00:00:01+00"}}}})
	b.want(put("k", `{}`), `k [1000,true,"[object Date]"]`)
	text := time.Unix(1, 0).Local().Format("2006-01-02T15:04:05.000-07:00")
	if asked, want := db.take(), "SELECT\nINSERT <"+text+`> <{"`+text+`"}>`; asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestManyRows: rows come in portions, and a trigger that fails gets no more.
func TestManyRows(t *testing.T) {
	t.Parallel()
	all := hooktest.Reply{Columns: []sdk.Column{{Name: "n", Type: 23}}}
	for n := range 1000 {
		all.Rows = append(all.Rows, []string{fmt.Sprint(n)})
	}
	b := load(t, `function (req, cb) {
		var n = 0, ordered = true;
		req.pg.query("SELECT").on("row", function (r) { ordered = ordered && r.n === n++; }).on("end", function (e) { req.value = [n, ordered, e.rowCount]; cb(); });
	}`)
	b.answers(map[string]hooktest.Reply{"SELECT": all})
	b.want(put("k", `{}`), `k [1000,true,1000]`)

	b = load(t, `function (req, cb) {
		n = 0;
		if (req.key === "count") { req.value = n; return cb(); }
		req.pg.query("SELECT").on("row", function (r) { n++; if (r.n === 150) { cb(new Error("enough of " + n)); } });
	}`)
	b.answers(map[string]hooktest.Reply{"SELECT": all})
	b.want(put("k", `{}`), `Error: enough of 151`)
}
