package fast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// handlers are the methods of the test server.
type handlers map[string]fast.HandlerFunc

func (h handlers) ServeFast(ctx context.Context, w fast.Sender, r *fast.Request) error {
	if method, ok := h[r.Method]; ok {
		return method(ctx, w, r)
	}
	return fast.Unsupported(r)
}

func ping(context.Context, fast.Sender, *fast.Request) error { return nil }

// echo sends each of its arguments as a value.
func echo(_ context.Context, w fast.Sender, r *fast.Request) error {
	for _, v := range r.Args {
		if err := w.Send(v); err != nil {
			return err
		}
	}
	return nil
}

// wait lasts until the client is gone.
func wait(_ context.Context, _ fast.Sender, r *fast.Request) error {
	<-r.Gone()
	return nil
}

// records is a log whose lines a test can wait for.
type records struct {
	mu    sync.Mutex
	added sync.Cond
	text  bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added.Broadcast()
	return r.text.Write(p)
}

func (r *records) logger() *slog.Logger {
	r.added.L = &r.mu
	return slog.New(slog.NewTextHandler(r, nil))
}

// await waits for a line that the pattern matches. If none ever comes, the test's time limit ends it.
func (r *records) await(pattern string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for re := regexp.MustCompile(pattern); !re.Match(r.text.Bytes()); {
		r.added.Wait()
	}
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{
		"ping": ping,
		"echo": echo,
		"fail": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			if err := echo(t.Context(), w, r); err != nil {
				return err
			}
			return fmt.Errorf("wrapped: %w", &fast.Error{
				Name: "EtagConflictError", Message: "say \"x\"",
				Context: jsvalue.Value(`{"a":1}`), Info: jsvalue.Value(`{"b":2}`),
				Members: []jsvalue.Value{jsvalue.Value(`{"c":3}`), nil},
			})
		},
	}})
	p := fasttest.Dial(t, addr)
	const v1, v2 = fast.V1, fast.V2
	for _, c := range []struct {
		v            fast.Version
		id           uint32
		method, args string
		data         []string
		status       fast.Status
		d            string
	}{
		{v2, 1, "ping", `[{}]`, nil, fast.StatusEnd, `[]`},
		{v1, 1, "ping", `[]`, nil, fast.StatusEnd, `[]`},
		{v2, 0, "echo", `[{"a":"Zoë ☃"},{"b":[null]}]`, []string{`[{"a":"Zoë ☃"}]`, `[{"b":[null]}]`}, fast.StatusEnd, `[]`},
		{v1, fast.MaxID, "echo", `[{"a":"Zoë 😀"}]`, []string{`[{"a":"Zoë 😀"}]`}, fast.StatusEnd, `[]`},
		{
			v2, 5, "fail", `[{"a":1},{"a":2},{"a":3}]`,
			[]string{`[{"a":1}]`, `[{"a":2}]`, `[{"a":3}]`},
			fast.StatusError,
			`{"name":"EtagConflictError","message":"say \"x\"","context":{"a":1},"info":{"b":2},"ase_errors":[{"c":3},{}]}`,
		},
		{v1, 6, "toString", `[]`, nil, fast.StatusError, `{"name":"FastError","message":"unsupported RPC method: \"toString\"",` +
			`"context":{},"info":{"fastReason":"bad_method","rpcMethod":"toString","rpcMsgid":6}}`},
	} {
		p.Request(c.v, c.id, c.method, c.args)
		for _, d := range c.data {
			p.Expect(c.v, fast.StatusData, c.id, d)
		}
		p.Expect(c.v, c.status, c.id, c.d)
	}
}

// What cannot be UTF-8 must not leave as it is: the peers would take it for a broken message.
func TestAnswerIsUTF8(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{
		"lone": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			if err := w.Send(jsvalue.Value("{\"a\":\"x\xed\xa0\x80y\"}")); err != nil {
				return err
			}
			return &fast.Error{Name: "error", Message: "latin1 \xe9"}
		},
	}})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "lone", `[]`)
	p.Expect(fast.V2, fast.StatusData, 1, `[{"a":"x`+"\ufffd"+`y"}]`)
	p.Expect(fast.V2, fast.StatusError, 1, `{"name":"error","message":"latin1 `+"\ufffd"+`","context":{},"info":{}}`)
	p.Write(withPayload(fast.V1, fast.StatusData, 2, `{"m":{"name":"\ud800"},"d":[]}`))
	p.Expect(fast.V1, fast.StatusError, 2, `{"name":"FastError","message":"unsupported RPC method: \"`+"\ufffd"+`\"",`+
		`"context":{},"info":{"fastReason":"bad_method","rpcMethod":"`+"\ufffd"+`","rpcMsgid":2}}`)
}

// Messages carry the time and the method, which the Rust client demands.
func TestAnswerMeta(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{"echo": echo}})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "echo", `[{}]`)
	for range 2 {
		m := p.Next()
		if !regexp.MustCompile(`^\{"m":\{"uts":\d{16},"name":"echo"\},"d":\[`).Match(m.Payload) {
			t.Errorf("got %s", m.Payload)
		}
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	got := make(chan []string, 1)
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{
		"args": func(_ context.Context, _ fast.Sender, r *fast.Request) error {
			var all []string
			for _, v := range r.Args {
				all = append(all, string(v))
			}
			got <- all
			return nil
		},
	}})
	p := fasttest.Dial(t, addr)
	many := "[0" + strings.Repeat(",0", 5000) + "]"
	for args, want := range map[string][]string{
		`[]`:                              nil,
		` [ null , "a" , {"b":[1, 2]} ] `: {"null", `"a"`, `{"b":[1, 2]}`},
		many:                              slices.Repeat([]string{"0"}, fast.MaxArgs),
	} {
		p.Request(fast.V2, 1, "args", args)
		p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
		if all := <-got; !slices.Equal(all, want) {
			t.Errorf("%.40s: got %d arguments %.200q, want %.200q", args, len(all), all, want)
		}
	}
}

// A handler's own errors and panics are for the log; the client gets an InternalError, and the connection goes on.
func TestInternalError(t *testing.T) {
	t.Parallel()
	var log records
	addr := fasttest.Serve(t, &fast.Server{Log: log.logger(), Handler: handlers{
		"ping":  ping,
		"fail":  func(context.Context, fast.Sender, *fast.Request) error { return errors.New("secret reason") },
		"panic": func(_ context.Context, _ fast.Sender, r *fast.Request) error { return fmt.Errorf("%s", r.Args[7]) },
	}})
	p := fasttest.Dial(t, addr)
	const internal = `{"name":"InternalError","message":"the server failed to handle the request; its log says why","context":{},"info":{}}`
	p.Request(fast.V2, 1, "fail", `[]`)
	p.Expect(fast.V2, fast.StatusError, 1, internal)
	p.Request(fast.V2, 1, "panic", `[]`)
	p.Expect(fast.V2, fast.StatusError, 1, internal)
	p.Request(fast.V2, 1, "ping", `[]`)
	p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
	log.await(`level=ERROR msg="request failed" component=fast connId=1 client=127.0.0.1:\d+ msgid=1 route=fail err="secret reason"`)
	log.await(`route=panic err="panic: runtime error: index out of range.*server_test.go`)
}

func TestTrace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var done []string
	addr := fasttest.Serve(t, &fast.Server{
		Handler: handlers{"ping": ping},
		Trace: &fast.Trace{RequestDone: func(r *fast.Request, elapsed time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			done = append(done, fmt.Sprintf("%q %d %d %s %v %v", r.Method, r.ID, r.Conn(), r.RemoteAddr(), elapsed >= 0, err))
		}},
	})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "ping", `[]`)
	p.Next()
	p.Request(fast.V2, 2, "nope", `[]`)
	p.Next()
	p.Write(withPayload(fast.V2, fast.StatusData, 3, `{"d":[]}`))
	p.Next()
	client := p.Conn.LocalAddr().String()
	want := []string{
		`"ping" 1 1 ` + client + ` true <nil>`,
		`"nope" 2 1 ` + client + ` true FastError: unsupported RPC method: "nope"`,
		`"" 3 1 ` + client + ` true FastError: RPC request is not well-formed`,
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(done, want) {
		t.Errorf("got  %q\nwant %q", done, want)
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	running, release := make(chan struct{}, 3), make(chan struct{})
	s := &fast.Server{Handler: handlers{
		"ping": ping,
		"hang": func(context.Context, fast.Sender, *fast.Request) error {
			running <- struct{}{}
			<-release
			return nil
		},
	}}
	if shot := s.Snapshot(); shot.Connections != nil || shot.Requests != nil || shot.Stats != (fast.Stats{}) {
		t.Errorf("before Run: %+v", shot)
	}
	addr := fasttest.Serve(t, s)
	p, q := fasttest.Dial(t, addr), fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "ping", `[]`)
	p.Next()
	q.Request(fast.V2, 1, "nope", `[]`)
	q.Next()
	p.Request(fast.V2, 9, "hang", `[ "x" ]`)
	p.Request(fast.V2, 5, "hang", `["`+strings.Repeat("y", 70_000)+`"]`)
	<-running
	<-running
	p.Write(withPayload(fast.V2, fast.StatusError, 9, `{"d":{"name":"a","message":"b"}}`))
	p.Write(withPayload(fast.V2, fast.StatusEnd, 9, `{"d":[]}`)) // drops the connection, the handlers run on
	p.Gone()

	shot := s.Snapshot()
	want := fast.Stats{ConnectionsActive: 2, ConnectionsCreated: 2, AbortsIgnored: 1, RequestsStarted: 4, RequestsCompleted: 2, RequestsFailed: 1}
	if s.Stats() != shot.Stats {
		t.Errorf("the counts alone are %+v, with the rest %+v", s.Stats(), shot.Stats)
	}
	if received, sent := shot.Stats.BytesReceived, shot.Stats.BytesSent; received < 70_000 || received > 71_000 || sent < 100 || sent > 1000 {
		t.Errorf("%d bytes received, %d sent", received, sent)
	}
	shot.Stats.BytesReceived, shot.Stats.BytesSent = 0, 0
	if shot.Stats != want {
		t.Errorf("got %+v, want %+v", shot.Stats, want)
	}
	if len(shot.Connections) != 2 {
		t.Fatalf("got %d connections, want 2", len(shot.Connections))
	}
	c := shot.Connections[0]
	broken := (*fast.ProtocolError)(nil)
	if c.ID != 1 || c.Started != 3 || c.Completed != 1 || c.Failed != 0 || !c.Draining || c.Accepted.IsZero() ||
		!errors.As(c.Err, &broken) || broken.Reason != fast.UnexpectedStatus ||
		c.Local.String() != addr || c.Remote.String() != p.Conn.LocalAddr().String() {
		t.Errorf("first connection: %+v", c)
	}
	if c := shot.Connections[1]; c.ID != 2 || c.Draining || c.Err != nil || c.Failed != 1 {
		t.Errorf("second connection: %+v", c)
	}
	var requests []string
	for _, r := range shot.Requests {
		requests = append(requests, fmt.Sprintf("%d/%d %s %s %v %v", r.Conn, r.ID, r.Method, r.Args, r.Blackholed, r.Started.IsZero()))
	}
	if want := []string{`1/5 hang ["70004 bytes"] true false`, `1/9 hang [ "x" ] true false`}; !slices.Equal(requests, want) {
		t.Errorf("got %q, want %q", requests, want)
	}
	close(release)
}

// The limit does not count requests that stand; the rest waits in the socket until one ends.
func TestInFlightLimit(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	started, release := make(chan uint32, 100), make(chan struct{})
	addr := fasttest.Serve(t, &fast.Server{Limits: fast.Limits{InFlight: 3}, Handler: handlers{
		"listen": func(_ context.Context, _ fast.Sender, r *fast.Request) error {
			r.Standing()
			r.Standing() // counts once
			started <- r.ID
			<-r.Gone()
			return nil
		},
		"hang": func(_ context.Context, _ fast.Sender, r *fast.Request) error {
			most.Store(max(most.Load(), running.Add(1)))
			started <- r.ID
			<-release
			running.Add(-1)
			return nil
		},
	}})
	p := fasttest.Dial(t, addr)
	for id := range uint32(4) {
		p.Request(fast.V2, id, "listen", `[]`)
		<-started
	}
	const n = 20
	for id := range uint32(n) {
		p.Request(fast.V2, 10+id, "hang", `[]`)
	}
	for range 3 {
		<-started
	}
	for range n {
		release <- struct{}{}
		p.Next()
	}
	if got := most.Load(); got != 3 {
		t.Errorf("%d requests ran at once, want 3", got)
	}
}

// Payloads count too, but one request is always taken.
func TestInFlightBytes(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	started, release := make(chan uint32, 100), make(chan struct{})
	addr := fasttest.Serve(t, &fast.Server{Limits: fast.Limits{InFlightBytes: 10_000}, Handler: handlers{
		"hang": func(_ context.Context, _ fast.Sender, r *fast.Request) error {
			most.Store(max(most.Load(), running.Add(1)))
			started <- r.ID
			<-release
			running.Add(-1)
			return nil
		},
	}})
	p := fasttest.Dial(t, addr)
	for i, size := range []int{4_000, 4_000, 4_000, 20_000, 20_000, 4_000} {
		p.Request(fast.V2, uint32(i), "hang", `["`+strings.Repeat("x", size)+`"]`)
	}
	<-started
	<-started
	for range 6 {
		release <- struct{}{}
		p.Next()
	}
	if got := most.Load(); got != 2 {
		t.Errorf("%d requests ran at once, want 2", got)
	}
}

// A frame over the limit is refused by its header.
func TestFrameBytes(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Limits: fast.Limits{FrameBytes: 1000}, Handler: handlers{"ping": ping}})
	p := fasttest.Dial(t, addr)
	p.Write(fasttest.Request(fast.V2, 1, "ping", `["`+strings.Repeat("x", 1000)+`"]`)[:15])
	p.Gone()
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := (&fast.Server{Handler: handlers{}}).Run(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
}

// A listener that fails now and then is tried again.
func TestAcceptAgain(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log records
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		s := &fast.Server{Handler: handlers{"ping": ping}, Log: log.logger()}
		ended <- s.Run(ctx, &faultyListener{Listener: ln, faults: 3})
	}()
	p := fasttest.Dial(t, ln.Addr().String())
	p.Request(fast.V2, 1, "ping", `[]`)
	p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), `msg="cannot accept a connection"`); n != 3 {
		t.Errorf("%d failures logged, want 3:\n%s", n, log.String())
	}
}

type faultyListener struct {
	net.Listener
	faults int
}

func (l *faultyListener) Accept() (net.Conn, error) {
	if l.faults--; l.faults >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

// A request that waits for what OnEnd calls ends behind the other one.
func TestOnEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	addr := fasttest.Serve(t, &fast.Server{Handler: fast.HandlerFunc(func(_ context.Context, _ fast.Sender, r *fast.Request) error {
		if r.Method == "first" {
			r.OnEnd(func() { ended <- struct{}{} })
		} else {
			<-ended
		}
		return nil
	})})
	p := fasttest.Dial(t, addr)
	for range 200 {
		p.Request(fast.V2, 2, "second", `[]`)
		p.Request(fast.V2, 1, "first", `[]`)
		p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
		p.Expect(fast.V2, fast.StatusEnd, 2, `[]`)
	}
}
