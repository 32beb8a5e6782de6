package js

import (
	"strings"
	"testing"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// TestVerified are the examples of the specification that were tried on an original server, as far as a trigger sees them.
func TestVerified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, source string
		event        hooktest.Event
		want         string
	}{
		{"E6-7", "function (req, cb) { cb(x); }", put("a", `{}`), "ReferenceError: x is not defined"},
		{"E6-8", "function (req, cb) { req.value.two = 2; cb(); }", put("a", `{"s":"1"}`), `a {"s":"1","two":2}`},
		{
			"E6-9", `function (req, cb) { req.key = req.key + "-x"; req.value = {s: "replaced", extra: [1]}; cb(); }`,
			put("a", `{"s":"1"}`), `a-x {"s":"replaced","extra":[1]}`,
		},
		{"E6-10", `function (req, cb) { cb(new Error("boom " + req.key)); }`, put("a", `{}`), "Error: boom a"},
		{
			"E6-11", `function (req, cb) { var e = new Error("boom"); e.name = "CustomError"; e.context = {a: 1}; cb(e); }`,
			put("a", `{}`), `CustomError: boom {"a":1}`,
		},
		{
			"E6-12", `function (req, cb) { req.value = {s: 5, d: new Date(0), u: undefined, f: function () {}}; cb(); }`,
			put("a", `{}`), `a {"s":5,"d":"1970-01-01T00:00:00.000Z"}`,
		},
		{"E6-16", `function (req, cb) { cb(new Error("post boom")); }`, hooktest.Event{Bucket: bucket, Key: "a", Value: `{}`, ID: 1, Schema: `{}`}, "Error: post boom"},
		{
			"E6-17", `function (req, cb) { req.value.s = "2"; req.key = "b"; cb(); }`,
			hooktest.Event{Bucket: bucket, Key: "a", Value: `{"s":"1"}`, ID: 1, Schema: `{}`},
			`a {"s":"1"}`,
		},
		{
			"E6-18", `function (req, cb) { try { require("fs"); } catch (e) { cb(e); } }`, put("a", `{}`),
			`InvalidRequireError: "fs" is not a permitted module`,
		},
		{"E6-19", `function (req, cb) { var crc = require("crc"); req.value.c = crc.hex32(crc.crc32("x")); cb(); }`, put("a", `{}`), `a {"c":"8CDC1683"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			load(t, c.source).want(c.event, c.want)
		})
	}
}

// TestRequest shows the object that triggers get.
func TestRequest(t *testing.T) {
	t.Parallel()
	const show = `function (req, cb) {
		var all = Object.keys(req).map(function (k) {
			return k + "=" + (typeof req[k] === "object" && k !== "log" && k !== "pg" ? JSON.stringify(req[k]) : k === "log" || k === "pg" ? typeof req[k] : req[k]);
		});
		var e = new Error(all.join(" "));
		e.name = "Seen";
		cb(e);
	}`
	b := load(t, show)
	ev := put("k", `{"b":1,"10":2,"2":3,"__proto__":{"z":1},"a":null}`)
	b.want(ev, `Seen: bucket=Bucket key=k log=object pg=object schema={"s":{"type":"string"}} value={"2":3,"10":2,"b":1,"__proto__":{"z":1},"a":null} headers={} update=false`)
	ev.Headers, ev.Update = `{"x":"y"}`, true
	b.want(ev, `Seen: bucket=Bucket key=k log=object pg=object schema={"s":{"type":"string"}} value={"2":3,"10":2,"b":1,"__proto__":{"z":1},"a":null} headers={"x":"y"} update=true`)
	const schema = `schema={"s":{"type":"string"}}`
	b.want(hooktest.Event{Bucket: bucket, Key: "k", Value: `{"s":"1","_id":1}`, ID: 1, Headers: `{"foo":"bar"}`, Schema: ev.Schema},
		`Seen: bucket=Bucket id=1 key=k log=object pg=object `+schema+` value={"s":"1","_id":1} headers={"foo":"bar"} update=false`)
	b.want(hooktest.Event{Operation: sdk.Delete, Bucket: bucket, Key: "k", ID: 5, Headers: `{"x":"y"}`, Schema: ev.Schema},
		`Seen: bucket=Bucket id=5 key=k log=object pg=object `+schema+` value=undefined headers={"x":"y"} update=false`)
}

// TestEnds shows how triggers can end.
func TestEnds(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		// success
		`function (req, cb) { cb(); }`:                                          `k {"a":1}`,
		`function (req, cb) { cb(null, "ignored"); }`:                           `k {"a":1}`,
		`function (req, cb) { cb(undefined); }`:                                 `k {"a":1}`,
		`function (req, cb) { cb(0); }`:                                         `k {"a":1}`,
		`(req, cb) => cb()`:                                                     `k {"a":1}`,
		`async (req, cb) => { await null; req.value.b = 2; cb(); }`:             `k {"a":1,"b":2}`,
		`function (req, cb) { Promise.resolve().then(function () { cb(); }); }`: `k {"a":1}`,
		// what is left behind
		`function (req, cb) { req.value = [1, {}]; cb(); }`:                                                                      `k [1,{}]`,
		`function (req, cb) { req.value = null; cb(); }`:                                                                         `k null`,
		`function (req, cb) { req.value = undefined; cb(); }`:                                                                    `k null`,
		`function (req, cb) { delete req.value; cb(); }`:                                                                         `k null`,
		`function (req, cb) { req.value = "text"; cb(); }`:                                                                       `k "text"`,
		`function (req, cb) { req.value = function () {}; cb(); }`:                                                               `k null`,
		`function (req, cb) { req.value.x = 0/0; req.value.y = -0; cb(); }`:                                                      `k {"a":1,"x":null,"y":0}`,
		`function (req, cb) { cb(); req.value.late = 1; req.key = "late"; }`:                                                     `k {"a":1}`,
		`function (req, cb) { req.key = undefined; cb(); }`:                                                                      `error: null value in column "_key" of relation "bucket" violates not-null constraint`,
		`function (req, cb) { req.key = 5; cb(); }`:                                                                              "AssertionError: key (string) is required",
		`function (req, cb) { req.key = null; cb(); }`:                                                                           "AssertionError: key (string) is required",
		`function (req, cb) { req.value.self = req.value; cb(); }`:                                                               "TypeError: Converting circular structure to JSON",
		`function (req, cb) { req.value.n = 5n; cb(); }`:                                                                         "TypeError: Do not know how to serialize a BigInt",
		`function (req, cb) { req.value.toJSON = function () { throw new Error("no JSON"); }; cb(); }`:                           "Error: no JSON",
		`function (req, cb) { Object.defineProperty(req, "value", {get: function () { throw new Error("no value"); }}); cb(); }`: "Error: no value",
		// errors
		`function (req, cb) { cb("text"); }`:                            "Error: text",
		`function (req, cb) { cb(5); }`:                                 "Error: 5",
		`function (req, cb) { cb({a: 1}); }`:                            `Error: {"a":1}`,
		`function (req, cb) { cb(new TypeError("of another class")); }`: "TypeError: of another class",
		`function (req, cb) { try { null.x; } catch (e) { cb(e); } }`:   "TypeError: Cannot read property 'x' of undefined",
		`function (req, cb) { class MyError extends Error { get name() { return "MyError"; } } cb(new MyError("mine")); }`:            "MyError: mine",
		`function (req, cb) { var e = new Error(""); e.context = "text"; e.ase_errors = [{name: "error"}]; cb(e); }`:                  `Error:  [{"name":"error"}]`,
		`function (req, cb) { var e = new Error("x"); e.context = [1]; e.ase_errors = {}; cb(e); }`:                                   `Error: x`,
		`function (req, cb) { var e = new Error("x"); Object.defineProperty(e, "message", {get: function () { throw 5; }}); cb(e); }`: "Error: the error that the trigger failed with cannot be read",
		`function (req, cb) { cb(new Error("first")); cb(); cb(new Error("second")); }`:                                               "Error: first",
		`function (req, cb) { cb(); cb(new Error("second")); }`:                                                                       `k {"a":1}`,
		// throws
		`function (req, cb) { throw new Error("thrown"); }`:                                                      "Error: thrown",
		`function (req, cb) { throw "text"; }`:                                                                   "Error: text",
		`function (req, cb) { throw undefined; }`:                                                                "Error: undefined",
		`function (req, cb) { throw Object.assign(new Error("thrown"), {name: "Own", context: {b: 2}}); }`:       `Own: thrown {"b":2}`,
		`function (req, cb) { cb(); throw new Error("after all"); }`:                                             "Error: after all",
		`function (req, cb) { nothing(); }`:                                                                      "ReferenceError: nothing is not defined",
		`async (req, cb) => { throw new Error("rejected"); }`:                                                    "Error: rejected",
		`function (req, cb) { Promise.reject(new Error("rejected")); }`:                                          "Error: rejected",
		`function (req, cb) { Promise.resolve().then(function () { throw new Error("later"); }); }`:              "Error: later",
		`function (req, cb) { var p = Promise.reject(new Error("asked for")); p.catch(function () { cb(); }); }`: `k {"a":1}`,
		`class { m() { } }`: "TypeError: Class constructor cannot be invoked without 'new'",
		// too much
		`function f(req, cb) { f(req, cb); }`:                               "RangeError: Maximum call stack size exceeded",
		`function f(req, cb) { [1].forEach(function () { f(req, cb); }); }`: "RangeError: Maximum call stack size exceeded",
	} {
		if got := load(t, source).fire(put("k", `{"a":1}`)); got != want {
			t.Errorf("%s\n got  %s\n want %s", source, got, want)
		}
	}
}

// TestState shows what lives from one call to the next, and what triggers see of each other.
func TestState(t *testing.T) {
	t.Parallel()
	const counts = `function (req, cb) {
		counter = typeof counter === "undefined" ? 1 : counter + 1;
		this.n = (this.n || 0) + 1;
		globalThis.third = (globalThis.third || 0) + 1;
		req.value.seen = (req.value.seen || []).concat(counter, this.n, third, typeof this.run, Object.keys(this).join());
		cb();
	}`
	b := load(t, counts, counts)
	b.want(put("k", `{}`), `k {"seen":[1,1,1,"function","run,n",1,1,1,"function","run,n"]}`)
	b.want(put("k", `{}`), `k {"seen":[2,2,2,"function","run,n",2,2,2,"function","run,n"]}`)
	b.definition().discard()
	b.want(put("k", `{}`), `k {"seen":[1,1,1,"function","run,n",1,1,1,"function","run,n"]}`)

	// The object is the same for all triggers of an event, and another for the next event.
	load(t,
		`function (req, cb) { req.f = function () { return 5; }; req.headers = 1; req.bucket = 2; req.value.d = new Date(0); cb(); }`,
		`function (req, cb) { req.value.all = [req.f(), req.headers, req.bucket, req.value.d instanceof Date]; cb(); }`,
	).want(put("k", `{}`), `k {"d":"1970-01-01T00:00:00.000Z","all":[5,1,2,true]}`)
	load(t, `function (req, cb) { if (req.f) { cb(new Error("seen")); } else { req.f = 1; cb(); } }`).want(put("k", `{}`), `k {}`)

	// The global object of a trigger is its own, the schema belongs to the bucket.
	load(t, `function (req, cb) { Array = 5; Error = 6; req.schema.mine = 1; cb(); }`,
		`function (req, cb) { req.value = [typeof Array, typeof Error, req.schema.mine, this === globalThis, (function () { return this === globalThis; })()]; cb(); }`,
	).want(put("k", `{}`), `k ["function","function",1,false,true]`)
}

// TestGlobals shows what there is beside the language.
func TestGlobals(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`[typeof process, typeof Buffer, typeof setTimeout, typeof setImmediate, typeof module, typeof exports, typeof global, typeof GoError]`: `["undefined","undefined","undefined","undefined","undefined","undefined","undefined","undefined"]`,
		`[console.log("x"), console.error("y"), typeof console.warn]`:                                                                           `[null,null,"function"]`,
		`Object.keys(globalThis)`: `[]`,
		`[typeof JSON, typeof Map, typeof Promise, typeof Symbol, typeof Proxy, typeof parseInt, typeof escape]`:                           `["object","function","function","function","function","function","function"]`,
		`["fs", "", undefined, "crc/lib"].map(function (n) { try { require(n); } catch (e) { return [e instanceof Error, String(e)]; } })`: `[[true,"InvalidRequireError: \"fs\" is not a permitted module"],[true,"InvalidRequireError: \"\" is not a permitted module"],[true,"InvalidRequireError: \"undefined\" is not a permitted module"],[true,"InvalidRequireError: \"crc/lib\" is not a permitted module"]]`,
		`require("crc") === require("crc")`:                                      `true`,
		`Object.keys(require("crc"))`:                                            `["crc8","crcArc","crcModbusString","crcModbusHex","crc16","fcs16","crc32","hex8","hex16","hex32","buffer"]`,
		`Math.abs(require("microtime").now() / 1000 - Date.now()) < 60000`:       `true`,
		`Math.abs(require("microtime").nowDouble() * 1000 - Date.now()) < 60000`: `true`,
		`var s = require("microtime").nowStruct(); Math.abs(s[0] - Date.now() / 1000) < 60 && s[1] >= 0 && s[1] < 1e6 && s[1] % 1 === 0`: `true`,
		`new Date(0).toGMTString() + new Date(0).getYear()`:   `"Thu, 01 Jan 1970 00:00:00 GMT70"`,
		`var d = new Date(0); d.setYear(95); d.getFullYear()`: `1995`,
		`var o = {}; o.__defineGetter__("a", function () { return 5; }); [o.a, typeof o.__lookupGetter__("a"), typeof o.__lookupSetter__("a")]`: `[5,"function","undefined"]`,
		`var o = {}; Error.captureStackTrace(o); typeof o.stack`:                                                                                `"string"`,
	} {

		got := strings.TrimPrefix(load(t, `function (req, cb) { req.value = {v: eval(`+quote(expression)+`)}; cb(); }`).fire(put("k", `{}`)), "k ")
		if got != `{"v":`+want+`}` {
			t.Errorf("%s\n got  %s\n want %s", expression, got, want)
		}
	}
}
