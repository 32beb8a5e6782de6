package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// shop is a server, its database, and a client of it.
type shop struct {
	db     *pgtest.DB
	server *servertest.Server
	*client.Client
}

func newShop(t *testing.T) *shop {
	t.Helper()
	db := pgtest.New(t)
	s := servertest.Start(t, db.URL(), servertest.Options{})
	return &shop{db, s, clientOf(t, s.Addr)}
}

func clientOf(t *testing.T, address string) *client.Client {
	t.Helper()
	c := client.New(client.Config{Addresses: []string{address}, Connections: 1})
	t.Cleanup(c.Close)
	return c
}

// make makes a bucket.
func (s *shop) make(t *testing.T, name, index, options string) {
	t.Helper()
	c := client.BucketConfig{Index: json.RawMessage(index), Options: json.RawMessage(options)}
	if err := s.PutBucket(t.Context(), name, &c, nil); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) put(t *testing.T, bucket, key, value string) {
	t.Helper()
	if _, err := s.PutObject(t.Context(), bucket, key, json.RawMessage(value), nil); err != nil {
		t.Fatalf("put %s %s: %v", bucket, key, err)
	}
}

// fill puts n objects with the keys k0 and so on into a bucket of two indexes.
func (s *shop) fill(t *testing.T, bucket string, n int) {
	t.Helper()
	s.make(t, bucket, `{"name":{"type":"string","unique":true},"n":{"type":"number"}}`, `{"version":1}`)
	for begin := 0; begin < n; begin += 500 {
		var all []client.BatchRequest
		for i := begin; i < min(begin+500, n); i++ {
			value := fmt.Sprintf(`{"name":"%s %d","n":%d,"more":"%s"}`, bucket, i, i, strings.Repeat("x", 60))
			all = append(all, client.BatchRequest{Bucket: bucket, Key: fmt.Sprint("k", i), Value: json.RawMessage(value)})
		}
		if _, err := s.Batch(t.Context(), all, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// runTool runs the program on a server and returns what it prints.
func runTool(t *testing.T, address string, args ...string) (output string, err error) {
	t.Helper()
	cmd, out := tool(t, address, args...)
	err = cmd.Run()
	return out.String(), err
}

// tool is a run of the program that is yet to be started.
func tool(t *testing.T, address string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, output := moray(t, args...)
	cmd.Env = append(os.Environ(), "MORAY_URL=tcp://"+address)
	return cmd, output
}

func mustRun(t *testing.T, address string, args ...string) string {
	t.Helper()
	output, err := runTool(t, address, args...)
	if err != nil {
		t.Fatalf("moray %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// rows returns the rows of the table of a bucket without what the server decides: ids and times.
func (s *shop) rows(t *testing.T, bucket, columns string) []string {
	t.Helper()
	return s.db.Strings(t, `SELECT _key, _value, _etag, `+columns+` FROM `+bucket+` ORDER BY _key`)
}

// difference says in what two lists differ.
func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			at := func(all []string) string { return strings.Join(all[min(i, len(all)):min(i+1, len(all))], "") }
			return fmt.Sprintf("%d and %d; number %d: got  %s\nwant %s", len(got), len(want), i, at(got), at(want))
		}
	}
	return ""
}

// What was dumped and loaded into another database is there as it was: keys, stored texts, etags, columns.
func TestDumpLoad(t *testing.T) {
	t.Parallel()
	from, to := newShop(t), newShop(t)
	from.make(t, "odd", `{"s":{"type":"string"},"n":{"type":"number"},"d":{"type":"date"},"tags":{"type":"[string]"},"net":{"type":"subnet"}}`, `{"version":3}`)
	for key, value := range map[string]string{
		"plain":         `{"s":"a","n":1}`,
		"a/b \"ü\" 😀\n": `{"s":"ü\"\\\n😀","tags":["x","y, z"]}`,
		"typed":         `{"s":1,"n":"17","d":"2012-07-31T08:50:04Z","net":"10.88.88.200/24","tags":"one"}`,
		"own members":   `{"s":"b","_id":7,"_key":"no","_etag":"mine","_count":1}`,
		"empty":         `{}`,
		"deep":          `{"a":{"b":[1,2,{"c":null}]},"s":null}`,
		"to update 1":   `{"s":"old","n":5,"_id":9}`,
		"to update 2":   `{"s":"old","n":6}`,
		"to reindex":    `{"s":"c","when":"2015-01-01"}`,
	} {
		from.put(t, "odd", key, value)
	}
	if _, err := from.UpdateObjects(t.Context(), "odd", json.RawMessage(`{"s":"new"}`), "(s=old)", nil); err != nil {
		t.Fatal(err)
	}
	from.make(t, "Ordered", `{"x":{"type":"number"}}`, `{"version":2,"guaranteeOrder":true}`)
	from.put(t, "Ordered", "k", `{"x":1.5}`)
	from.make(t, "nothing", `{}`, `{}`)
	from.fill(t, "many", 700)

	const columns = "s, n, d, tags, net"
	for _, name := range []string{"plain.ndjson", "zipped.ndjson.gz"} {
		file := filepath.Join(t.TempDir(), name)
		if got := mustRun(t, from.server.Addr, "dump", "--all", "-o", file); !strings.HasPrefix(got, "dumped 4 buckets with 710 objects in ") {
			t.Errorf("dump says %s", got)
		}
		if got := mustRun(t, to.server.Addr, "load", file); !strings.HasPrefix(got, "710 objects stored, 2 with an etag that is no checksum in ") {
			t.Errorf("load says %s", got)
		}
	}
	updated := func(row string) bool { return strings.HasPrefix(row, "to update") }
	got, want := to.rows(t, "odd", columns), from.rows(t, "odd", columns)
	if d := difference(slices.DeleteFunc(got, updated), slices.DeleteFunc(want, updated)); d != "" {
		t.Errorf("odd: %s", d)
	}
	for _, q := range []string{
		`SELECT _key, _etag, ` + columns + ` FROM odd ORDER BY _key`, `SELECT _key, _value, _etag, x FROM ordered`,
		`SELECT _key, _value, _etag, name, n FROM many ORDER BY _key`, `SELECT count(*) FROM nothing`,
		`SELECT name, index, pre, post, options FROM buckets_config ORDER BY name`,
	} {
		if d := difference(to.db.Strings(t, q), from.db.Strings(t, q)); d != "" {
			t.Errorf("%s: %s", q, d)
		}
	}
	for _, key := range []string{"to update 1", "to update 2", "typed", "own members"} {
		a, err := from.GetObject(t.Context(), "odd", key, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := to.GetObject(t.Context(), "odd", key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Value, b.Value) || a.Etag != b.Etag {
			t.Errorf("%s: got %s %s, want %s %s", key, b.Etag, b.Value, a.Etag, a.Value)
		}
	}
}

// meter is a proxy before a server that does something when so many bytes have passed, before it passes on the next ones.
type meter struct {
	address string
	up      bool // count what goes to the server
	mu      sync.Mutex
	left    int
	then    func()
}

// metered starts a meter. then is called once.
func metered(t *testing.T, address string, up bool, after int, then func()) *meter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{address: ln.Addr().String(), up: up, left: after, then: then}
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); ln.Close(); tasks.Wait() })
	tasks.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			tasks.Go(func() { m.pass(far, near, up); far.Close(); near.Close() })
			tasks.Go(func() { m.pass(near, far, !up); near.Close(); far.Close(); stop() })
		}
	})
	return m
}

func (m *meter) pass(to io.Writer, from io.Reader, counts bool) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if counts {
			m.note(n)
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

// note counts bytes. Others wait while something is done.
func (m *meter) note(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left -= n; m.left <= 0 && m.then != nil {
		m.then()
		m.then = nil
	}
}

// done reports whether it came to the point.
func (m *meter) done() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.then == nil
}

// killed starts the program over a meter that kills it, with SIGKILL, after so many bytes.
func killed(t *testing.T, address string, up bool, after int, args ...string) {
	t.Helper()
	var cmd *exec.Cmd
	m := metered(t, address, up, after, func() { cmd.Process.Kill() })
	cmd, output := tool(t, m.address, args...)
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != -1 || !m.done() {
		t.Fatalf("the %s that is killed after %d bytes: %v\n%s", args[0], after, err, output)
	}
}

// content returns the lines of a dump.
func content(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil && strings.HasSuffix(file, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(text)); err == nil {
			text, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// A dump that was killed, several times, is in the end what it would have been at once.
func TestDumpKilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.fill(t, "a", 300)
	s.fill(t, "b", 6000)
	s.fill(t, "c", 5)
	whole := filepath.Join(t.TempDir(), "whole")
	mustRun(t, s.server.Addr, "dump", "--all", "-o", whole)
	want := content(t, whole)
	for _, name := range []string{"plain", "zipped.gz"} {
		file := filepath.Join(t.TempDir(), name)
		for _, after := range []int{10, 30_000, 500_000, 700_000} {
			killed(t, s.server.Addr, false, after, "dump", "--all", "-o", file, "--resume")
		}
		mustRun(t, s.server.Addr, "dump", "--all", "-o", file, "--resume")
		if d := difference(content(t, file), want); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		mustRun(t, s.server.Addr, "dump", "--all", "-o", file, "--resume") // of a whole one changes nothing
		if d := difference(content(t, file), want); d != "" {
			t.Errorf("%s, resumed once more: %s", name, d)
		}
		if _, err := runTool(t, s.server.Addr, "dump", "--all", "-o", file); err == nil {
			t.Error("a dump replaces a file that is there")
		}
	}
}

// A load that was killed, several times, has in the end stored everything, and nothing twice.
func TestLoadKilled(t *testing.T) {
	t.Parallel()
	from := newShop(t)
	from.fill(t, "a", 100)
	from.fill(t, "b", 3000)
	for _, name := range []string{"plain", "zipped.gz"} {
		file := filepath.Join(t.TempDir(), name)
		mustRun(t, from.server.Addr, "dump", "--all", "-o", file)
		to := newShop(t)
		killed(t, to.server.Addr, true, 20_000, "load", file)
		for _, after := range []int{100_000, 200_000} {
			killed(t, to.server.Addr, true, after, "load", file, "--resume")
		}
		mustRun(t, to.server.Addr, "load", file, "--resume")
		for _, bucket := range []string{"a", "b"} {
			if d := difference(to.rows(t, bucket, "name, n"), from.rows(t, bucket, "name, n")); d != "" {
				t.Errorf("%s: %s", bucket, d)
			}
		}
		if _, err := os.Stat(file + ".load"); err == nil {
			t.Error("the state of a load that has ended is still there")
		}
	}
}

// process is a server in a process of its own, which can be killed.
type process struct {
	t       *testing.T
	config  string
	address string
	cmd     *exec.Cmd
}

func startProcess(t *testing.T, db *pgtest.DB) *process {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close() // nobody else asks for just this port meanwhile
	p := &process{t: t, config: filepath.Join(t.TempDir(), "config.json"), address: ln.Addr().String()}
	text := fmt.Sprintf(`{"bindip":"127.0.0.1","port":%s,"monitorPort":0,"bunyan":{},"server_uuid":"test","datacenter":"test",
 "plugins":{"js":{"enabled":false}},"standalone":{"pg":{},"url":%q}}`, port, db.URL())
	if err := os.WriteFile(p.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.start()
	t.Cleanup(p.kill)
	return p
}

// start starts the server. It listens when start returns.
func (p *process) start() {
	p.cmd, _ = moray(p.t, "serve", "-f", p.config)
	log := &lineWriter{want: "listening", seen: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Error(err)
		return
	}
	go p.cmd.Wait() //nolint:errcheck // because it is killed
	select {
	case <-log.seen:
	case <-p.t.Context().Done():
		p.t.Errorf("the server does not start: %s", log.text.String())
	}
}

func (p *process) kill() { p.cmd.Process.Kill() }

// lineWriter tells when a text was written.
type lineWriter struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := strings.Contains(w.text.String(), w.want)
	w.text.Write(b)
	if !before && strings.Contains(w.text.String(), w.want) {
		close(w.seen)
	}
	return len(b), nil
}

// A server that is killed in the middle, and started again, costs a dump and a load nothing but time.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	from := newShop(t)
	from.fill(t, "b", 6000)
	file := filepath.Join(t.TempDir(), "dump")
	for _, step := range []struct {
		up   bool
		db   *pgtest.DB
		args []string
	}{
		{false, from.db, []string{"dump", "b", "-o", file}},
		{true, pgtest.New(t), []string{"load", file}},
	} {
		p := startProcess(t, step.db)
		m := metered(t, p.address, step.up, 300_000, func() {
			p.kill()
			p.start()
		})
		output := mustRun(t, m.address, step.args...)
		if !m.done() || !strings.Contains(output, "going on after") && !strings.Contains(output, "trying again") {
			t.Errorf("%s: killed: %t; it says %s", step.args[0], m.done(), output)
		}
		got := step.db.Strings(t, `SELECT _key, _value, _etag, name, n FROM b ORDER BY _key`)
		if d := difference(got, from.rows(t, "b", "name, n")); d != "" {
			t.Errorf("%s: %s", step.args[0], d)
		}
	}
	keys := map[string]int{}
	for _, line := range content(t, file) {
		var o struct{ Key string }
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		keys[o.Key]++
	}
	if delete(keys, ""); len(keys) != 6000 {
		t.Errorf("%d keys, want 6000", len(keys))
	}
	for key, n := range keys {
		if n != 1 {
			t.Errorf("%s is there %d times", key, n)
		}
	}
}

// A bucket that changes while it is dumped is dumped as it was when the dump began; what updateObjects changes comes as it is
// when its turn comes.
func TestDumpChanging(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.fill(t, "b", 6000)
	before := s.rows(t, "b", "n")
	if _, err := s.UpdateObjects(t.Context(), "b", json.RawMessage(`{"n":-1}`), "(n=5990)", nil); err != nil {
		t.Fatal(err)
	}
	change := func() {
		s.put(t, "b", "k5000", `{"name":"changed"}`)
		s.put(t, "b", "new", `{"name":"new"}`)
		if err := s.DelObject(t.Context(), "b", "k5001", nil); err != nil {
			t.Error(err)
		}
		if err := s.DelObject(t.Context(), "b", "k5002", nil); err != nil {
			t.Error(err)
		}
		s.put(t, "b", "k5002", `{"name":"again"}`)
		if _, err := s.UpdateObjects(t.Context(), "b", json.RawMessage(`{"n":-2}`), "(|(n=5990)(n=-1)(n=5991))", nil); err != nil {
			t.Error(err)
		}
	}
	m := metered(t, s.server.Addr, false, 20_000, change)
	file := filepath.Join(t.TempDir(), "dump")
	mustRun(t, m.address, "dump", "b", "-o", file)
	if !m.done() {
		t.Fatal("nothing was changed")
	}
	to := newShop(t)
	mustRun(t, to.server.Addr, "load", file)
	marked := func(row string) bool { return strings.HasPrefix(row, "k5990|") }
	got, want := to.rows(t, "b", "n"), before
	if d := difference(slices.DeleteFunc(slices.Clone(got), marked), slices.DeleteFunc(want, marked)); d != "" {
		t.Errorf("what was there at the begin: %s", d)
	}
	if i := slices.IndexFunc(got, marked); i < 0 || !strings.HasSuffix(got[i], "|-2") {
		t.Errorf("what updateObjects had changed before: %s", got[max(i, 0)])
	}
}
