package js

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

// TestCRC compares the module crc with the package of that name.
func TestCRC(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/crc.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := load(t, `function (req, cb) {
		var f = require("crc"), argument = req.value.argument === "undefined" ? undefined : JSON.parse(req.value.argument);
		req.value.name.split(".").forEach(function (part) { f = f[part]; });
		try { req.value.result = f(argument); } catch (e) { req.value.result = e.name; }
		cb();
	}`)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var asked struct{ Name, Argument string }
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			t.Fatal(err)
		}
		ask, err := json.Marshal(map[string]string{"name": asked.Name, "argument": asked.Argument})
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if err := json.Unmarshal([]byte(b.fire(put("k", string(ask)))[2:]), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if g, w := got.(map[string]any)["result"], want.(map[string]any)["result"]; g != w {
			t.Errorf("%s(%s) = %v, want %v", asked.Name, asked.Argument, g, w)
		}
	}
}
