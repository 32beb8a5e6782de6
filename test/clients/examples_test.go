package clients

import (
	"os/exec"
	"testing"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// TestPython runs the client of docs/protocol.md.
func TestPython(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	call := func(method, arguments string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "python3", "../../docs/examples/client-python/moray.py", s.Addr, method, arguments).CombinedOutput()
		return string(out), err
	}
	for _, c := range []struct{ method, arguments, want string }{
		{"version", `[{}]`, "{\"version\": 2}\n"},
		{"createBucket", `["pets",{"index":{"name":{"type":"string"}}},{}]`, ""},
		{"putObject", `["pets","rex",{"name":"Zoë ☃"},{}]`, "{\"etag\": \"0B8D89E4\"}\n"},
		{"sql", `["select name from pets",[],{}]`, "{\"name\": \"Zo\\u00eb \\u2603\"}\n"},
	} {
		if got, err := call(c.method, c.arguments); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", c.method, got, err, c.want)
		}
	}
	if got, err := call("getObject", `["pets","none",{}]`); err == nil || got != "ObjectNotFoundError: pets::none does not exist\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestGo runs the example of the Go client, twice: the second time there is an object already, which it makes older.
func TestGo(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	for _, want := range []string{
		"zoe {\"email\":\"zoe@example.com\",\"age\":31}\n",
		"there is one already\nzoe {\"email\":\"zoe@example.com\",\"age\":32}\n",
	} {
		out, err := exec.CommandContext(t.Context(), "go", "run", "../../docs/examples/client-go", s.Addr).CombinedOutput()
		if string(out) != want || err != nil {
			t.Errorf("%q, %v, want %q", out, err, want)
		}
	}
}
