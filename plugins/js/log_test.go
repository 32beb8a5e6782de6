package js

import (
	"strings"
	"testing"

	"github.com/kaizengarden/moray/hooks/hooktest"
)

// lines returns what was logged: level, message, fields.
func lines(log []hooktest.Line) string {
	all := make([]string, len(log))
	for i, l := range log {
		all[i] = strings.TrimSpace(l.Level.String() + " " + l.Message + " " + l.Fields)
	}
	return strings.Join(all, "\n")
}

// TestLog shows what req.log writes.
func TestLog(t *testing.T) {
	t.Parallel()
	for call, want := range map[string]string{
		`info("text")`:                                      `INFO text`,
		`trace("a"), req.log.debug("b")`:                    "DEBUG-4 a\nDEBUG b",
		`warn("a"), req.log.error("b"), req.log.fatal("c")`: "WARN a\nERROR b\nERROR+4 c",
		`info("%s is %d, %j%%", "x", 5, {a: [1]})`:          `INFO x is 5, {"a":[1]}%`,
		`info("%s %i %f", {a: 1}, 5.7, "1.5")`:              `INFO {"a":1} 5 1.5`,
		`info("more", 1, "two", {three: 3})`:                `INFO more 1 two {"three":3}`,
		`info("%s and %s", "one")`:                          `INFO one and %s`,
		`info({b: 1, a: {c: "<d>"}, s: "x"}, "text %d", 1)`: `INFO text 1 {"b":1,"a":{"c":"<d>"},"s":"x"}`,
		`info({b: 1})`:                                      `INFO  {"b":1}`,
		`info([1, 2], "x")`:                                 `INFO [1,2] x`,
		`info(5)`:                                           `INFO 5`,
		`info(undefined)`:                                   `INFO undefined`,
		`info(null, "x")`:                                   `INFO null x`,
		`child({a: 1}).info({b: 2}, "x")`:                   `INFO x {"a":1,"b":2}`,
		`info((function () { var o = {}; o.self = o; return o; })(), "x")`: `INFO x`,
		`info()`: ``,
	} {
		b := load(t, `function (req, cb) { req.log.`+call+`; cb(); }`)
		b.want(put("k", `{}`), "k {}")
		if got := lines(b.log); got != want {
			t.Errorf("log.%s\n got  %s\n want %s", call, got, want)
		}
	}
}

// TestLogErrors shows how errors are logged, those that a trigger logs and those that it throws.
func TestLogErrors(t *testing.T) {
	t.Parallel()
	b := load(t, `function (req, cb) { req.log.error(new TypeError("bad")); req.log.error({err: new Error("worse")}, "text"); throw new Error("thrown"); }`)
	b.want(put("k", `{}`), "Error: thrown")
	got := lines(b.log)
	for _, part := range []string{
		`ERROR bad {"err":{"message":"bad","name":"TypeError","stack":"TypeError: bad\n`,
		`ERROR text {"err":{"message":"worse",`,
		`WARN a trigger has thrown {"err":"Error: thrown\n`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("the log has no %s:\n%s", part, got)
		}
	}
}

// TestLogBounds: a trigger cannot flood the log.
func TestLogBounds(t *testing.T) {
	t.Parallel()
	b := load(t, `function (req, cb) { for (var i = 0; i < 2000; i++) { req.log.info(i); } cb(); }`)
	b.want(put("k", `{}`), "k {}")
	if len(b.log) != maxLines+1 {
		t.Errorf("%d lines were logged, want %d", len(b.log), maxLines+1)
	}
	b = load(t, `function (req, cb) { req.log.info({big: "x".repeat(100000)}, "é".repeat(100000)); cb(); }`)
	b.want(put("k", `{}`), "k {}")
	if n := len(lines(b.log)); n > maxMessage+100 {
		t.Errorf("a line of %d bytes was logged", n)
	}
}
