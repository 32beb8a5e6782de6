package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/access/accesstest"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// call makes a request over a connection and returns its values, or the error.
func call(t *testing.T, nc net.Conn, method, args string) string {
	t.Helper()
	c := fast.NewClient(nc, fast.V2)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all []string
	err := c.Call(ctx, method, jsvalue.Value(args), func(v jsvalue.Value) error {
		all = append(all, string(v))
		return nil
	})
	var answer *fast.Error
	switch {
	case errors.As(err, &answer):
		return answer.Name + ": " + answer.Message
	case err != nil:
		return "no answer"
	}
	return strings.Join(all, " ")
}

// TestAccess: who may do what, by certificate, with an audit log, over TLS and beside it over a Unix socket.
func TestAccess(t *testing.T) {
	t.Parallel()
	ca := accesstest.New(t)
	certificate, key := ca.Issue("server", "moray")
	socket := filepath.Join(t.TempDir(), "s")
	more := fmt.Sprintf(`"tls":{"certificate":%q,"key":%q,"clientCA":%q,"clientAuth":"optional"},"socket":{"path":%q,"mode":"0600"},`+
		`"access":{"audit":true,"sql":"read-only","roles":{`+
		`"app":{"subjects":["app"],"permit":["read","write"],"buckets":["app_*"]},`+
		`"operator":{"subjects":["ops"],"permit":["read","write","admin","sql"]}}}`, certificate, key, ca.File, socket)
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{More: more})
	dial := func(name string) net.Conn {
		nc, err := tls.Dial("tcp", s.Addr, ca.Client(name))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	const denied = "AccessDeniedError: "
	for _, c := range []struct{ who, method, args, want string }{
		{"ops", "createBucket", `["app_a",{"index":{"n":{"type":"number"}}},{}]`, ""},
		{"ops", "createBucket", `["other",{},{}]`, ""},
		{"app", "putObject", `["app_a","k",{"n":1},{}]`, `{"etag":"`},
		{"app", "getObject", `["app_a","k",{}]`, `{"bucket":"app_a"`},
		{"app", "findObjects", `["app_a","(n=1)",{}]`, `{"bucket":"app_a"`},
		{"app", "getBucket", `[{},"app_a"]`, `{"name":"app_a"`},
		{"app", "ping", `[{"deep":true}]`, ""},
		{"app", "version", `[{}]`, `{"version":2}`},
		{"app", "putObject", `["other","k",{},{}]`, denied + "app (app) has no write access to bucket other"},
		{"app", "getBucket", `[{},"other"]`, denied + "app (app) has no read access to bucket other"},
		{"app", "listBuckets", `[{}]`, denied + "app (app) has no read access"},
		{"app", "listen", `["news",{}]`, denied + "app (app) has no read access"},
		{"app", "updateBucket", `["app_a",{},{}]`, denied + "app (app) has no admin access to bucket app_a"},
		{"app", "delBucket", `["app_a",{}]`, denied + "app (app) has no admin access to bucket app_a"},
		{"app", "sql", `["select 1",[],{}]`, denied + "app (app) has no sql access"},
		{"app", "batch", `[[{"bucket":"app_a","key":"x","value":{}},{"bucket":"other","key":"x","value":{}}],{}]`, denied + "app (app) has no write access to bucket other"},
		{"app", "getObject", `["app_a","x",{}]`, "ObjectNotFoundError: app_a::x does not exist"},
		{"app", "batch", `[[{"bucket":"app_a","key":"x","value":{}}],{}]`, `{"etags":[{`},
		{"ops", "sql", `["select 1 as a",[],{}]`, `{"a":1}`},
		{"ops", "sql", `["drop table app_a",[],{}]`, "error: cannot execute DROP TABLE in a read-only transaction"},
		{"", "getObject", `["app_a","k",{}]`, " has no role: read access to bucket app_a denied"},
		{"", "ping", `[{}]`, ""},
	} {
		got := call(t, dial(c.who), c.method, c.args)
		if ok := strings.HasPrefix(got, c.want) || c.who == "" && strings.HasPrefix(got, denied) && strings.HasSuffix(got, c.want); !ok || c.want == "" && got != "" {
			t.Errorf("%q: %s %s: %s, want %s", c.who, c.method, c.args, got, c.want)
		}
	}
	local, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, local, "getObject", `["app_a","k",{}]`); !strings.HasPrefix(got, denied) {
		t.Errorf("over the socket: %s", got)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	plain, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, plain, "ping", `[{}]`); got != "no answer" {
		t.Errorf("without TLS: %s", got)
	}
	for _, want := range []string{
		`msg="audit: done" component=audit route=createBucket client=ops`,
		`msg="audit: refused or failed" component=audit route=delBucket client=app`,
		`sql="drop table app_a" err="error: cannot execute DROP TABLE in a read-only transaction"`,
	} {
		if !strings.Contains(s.Log(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// Only networks that are named are served; what a server left behind is no obstacle, what somebody else made is.
func TestNetworks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := servertest.Start(t, db.URL(), servertest.Options{More: `"access":{"networks":["10.0.0.0/8"],"monitorNetworks":["10.0.0.0/8"]}`})
	for _, addr := range []string{s.Addr, s.Monitor} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := call(t, nc, "ping", `[{}]`); got != "no answer" {
			t.Errorf("from another network: %s", got)
		}
	}
	socket := filepath.Join(t.TempDir(), "s")
	left, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	s = servertest.Start(t, db.URL(), servertest.Options{More: fmt.Sprintf(`"socket":{"path":%q}`, socket)})
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, nc, "ping", `[{}]`); got != "" {
		t.Errorf("over the socket: %s", got)
	}
	s.Stop(t)
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the server has stopped, the socket: %v", err)
	}
}
