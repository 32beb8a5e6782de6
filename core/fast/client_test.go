package fast_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// dial connects a client.
func dial(t *testing.T, addr string, v fast.Version) *fast.Client {
	t.Helper()
	c, err := fast.Dial(t.Context(), addr, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// scripted returns a client and the peer that it is connected to.
func scripted(t *testing.T) (*fast.Client, *fasttest.Peer) {
	t.Helper()
	ln := fasttest.Listen(t)
	c := dial(t, ln.Addr().String(), fast.V2)
	return c, ln.Peer()
}

// call starts a call. What it returns comes from the channel.
func call(t *testing.T, ctx context.Context, c *fast.Client, method, args string, each func(jsvalue.Value) error) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- c.Call(ctx, method, jsvalue.Value(args), each) }()
	return ended
}

func answer(s fast.Status, id uint32, d string) []byte {
	return withPayload(fast.V2, s, id, `{"m":{"uts":1,"name":"x"},"d":`+d+`}`)
}

func TestClientCalls(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{
		"echo": echo,
		"fail": func(context.Context, fast.Sender, *fast.Request) error {
			return &fast.Error{
				Name: "VError", Message: "first of 1 error", Context: jsvalue.Value(`{"a":"é"}`), Info: jsvalue.Value(`{"b":1}`),
				Members: []jsvalue.Value{jsvalue.Value(`{"c":1}`)},
			}
		},
	}})
	for _, v := range []fast.Version{fast.V1, fast.V2} {
		c := dial(t, addr, v)
		var got []string
		err := c.Call(t.Context(), "echo", jsvalue.Value(`[{"é":1},"b",false,0,""]`), func(v jsvalue.Value) error {
			got = append(got, string(v))
			return nil
		})
		if want := []string{`{"é":1}`, `"b"`, `false`, `0`, `""`}; err != nil || !slices.Equal(got, want) {
			t.Errorf("version %d: got %q, %v, want %q", v, got, err, want)
		}
		err = c.Call(t.Context(), "fail", jsvalue.Value(`[]`), nil)
		want := &fast.Error{
			Name: "VError", Message: "first of 1 error", Context: jsvalue.Value(`{"a":"é"}`), Info: jsvalue.Value(`{"b":1}`),
			Members: []jsvalue.Value{jsvalue.Value(`{"c":1}`)},
		}
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Errorf("version %d: -want +got\n%s", v, diff)
		}
		if got, want := err.Error(), "VError: first of 1 error"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Many calls share a connection, and each gets its own values.
func TestClientConcurrent(t *testing.T) {
	t.Parallel()
	c := dial(t, fasttest.Serve(t, &fast.Server{Handler: handlers{"echo": echo}}), fast.V2)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for j := range 50 {
				args := fmt.Sprintf(`[{"i":%d},{"j":%d}]`, i, j)
				var got []string
				err := c.Call(t.Context(), "echo", jsvalue.Value(args), func(v jsvalue.Value) error {
					got = append(got, string(v))
					return nil
				})
				if err != nil || "["+strings.Join(got, ",")+"]" != args {
					t.Errorf("got %q, %v, want %s", got, err, args)
				}
			}
		})
	}
	wg.Wait()
}

// What the client sends, and what answers it takes: values in END, several in a message, another version, no m.
func TestClientWire(t *testing.T) {
	t.Parallel()
	c, p := scripted(t)
	var got []string
	ended := call(t, t.Context(), c, "getObject", `["demo","k",{}]`, func(v jsvalue.Value) error {
		got = append(got, string(v))
		return nil
	})
	m := p.Next()
	payload := uts.ReplaceAllString(string(m.Payload), `"uts":N`)
	if want := `{"m":{"uts":N,"name":"getObject"},"d":["demo","k",{}]}`; payload != want || m.ID != 1 || m.Status != fast.StatusData || m.Version != fast.V2 {
		t.Errorf("got %v %d %s, want DATA 1 %s", m.Status, m.ID, payload, want)
	}
	p.Write(withPayload(fast.V1, fast.StatusData, 1, `{"d":[]}`))
	p.Write(withPayload(fast.V1, fast.StatusData, 1, `{"d":[1,{"a":2}]}`))
	p.Write(withPayload(fast.V2, fast.StatusEnd, 1, `{"d":["last"]}`))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if want := []string{`1`, `{"a":2}`, `"last"`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	ended = call(t, t.Context(), c, "ping", `[]`, nil)
	if m := p.Next(); m.ID != 2 {
		t.Errorf("got id %d, want 2", m.ID)
	}
	p.Write(answer(fast.StatusError, 2, `{"name":"A","message":"","info":null,"extra":1}`))
	want := &fast.Error{Name: "A", Info: jsvalue.Null}
	if diff := cmp.Diff(error(want), <-ended); diff != "" {
		t.Error("-want +got\n" + diff)
	}
}

// A null value fails its request and no other; what follows for it is ignored.
func TestClientNull(t *testing.T) {
	t.Parallel()
	c, p := scripted(t)
	ended := call(t, t.Context(), c, "sql", `[]`, nil)
	p.Next()
	p.Write(answer(fast.StatusData, 1, `[{},null]`))
	if err := <-ended; err == nil || err.Error() != `fast protocol: server sent "null" value` {
		t.Errorf("got %v", err)
	}
	ended = call(t, t.Context(), c, "ping", `[]`, nil)
	p.Next()
	p.Write(answer(fast.StatusData, 1, `[{}]`))
	p.Write(answer(fast.StatusEnd, 1, `[]`))
	p.Write(answer(fast.StatusEnd, 2, `[]`))
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A call that its context or its own function ends is given up: the connection goes on, and skips the rest of the answer.
func TestClientGivesUp(t *testing.T) {
	t.Parallel()
	c, p := scripted(t)
	enough := errors.New("enough")
	first := call(t, t.Context(), c, "findObjects", `[]`, func(jsvalue.Value) error { return enough })
	p.Next()
	p.Write(answer(fast.StatusData, 1, `[{},{}]`))
	if err := <-first; err != enough {
		t.Errorf("got %v, want %v", err, enough)
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := call(t, ctx, c, "ping", `[]`, nil)
	p.Next()
	cancel()
	if err := <-second; err != context.Canceled {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := c.Call(ctx, "ping", jsvalue.Value(`[]`), nil); err != context.Canceled { // sends nothing
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	third := call(t, t.Context(), c, "ping", `[]`, nil)
	if m := p.Next(); m.ID != 3 {
		t.Errorf("got id %d, want 3", m.ID)
	}
	p.Write(answer(fast.StatusData, 1, `[{}]`))
	p.Write(answer(fast.StatusEnd, 1, `[]`))
	p.Write(answer(fast.StatusError, 2, `{"name":"A","message":"b"}`))
	p.Write(answer(fast.StatusEnd, 3, `[]`))
	if err := <-third; err != nil {
		t.Error(err)
	}
}

// What ends the connection fails the calls that wait, and later ones send nothing.
func TestClientFatal(t *testing.T) {
	t.Parallel()
	reset := func(p *fasttest.Peer) {
		p.Conn.(*net.TCPConn).SetLinger(0)
		p.Conn.Close()
	}
	send := func(frame []byte) func(*fasttest.Peer) {
		return func(p *fasttest.Peer) { p.Write(frame) }
	}
	for name, c := range map[string]struct {
		do     func(p *fasttest.Peer)
		reason fast.Reason // of a ProtocolError, if it is one
		text   string
	}{
		"unknown id":    {send(answer(fast.StatusEnd, 7, `[]`)), fast.UnknownID, "fast protocol: received message with unknown msgid 7"},
		"answer of 1":   {send(slices.Concat(answer(fast.StatusEnd, 1, `[]`), answer(fast.StatusData, 1, `[]`))), fast.UnknownID, "unknown msgid 1"},
		"bad version":   {send([]byte(strings.Repeat("\x03", 15))), fast.UnsupportedVersion, "unsupported version 3"},
		"bad JSON":      {send(answer(fast.StatusData, 2, `x`)), fast.InvalidJSON, "invalid JSON"},
		"bad error":     {send(answer(fast.StatusError, 2, `{}`)), fast.BadError, "must have name and message"},
		"end":           {func(p *fasttest.Peer) { p.CloseWrite() }, "", "unexpected end of transport stream"},
		"end in header": {func(p *fasttest.Peer) { p.Write([]byte{2}); p.CloseWrite() }, fast.IncompleteMessage, "incomplete message"},
		"reset":         {reset, "", "unexpected error on transport"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, p := scripted(t)
			first := call(t, t.Context(), client, "first", `[]`, nil)
			p.Next()
			second := call(t, t.Context(), client, "second", `[]`, nil)
			p.Next()
			c.do(p)
			if err := <-second; !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %s", err, c.text)
			} else if broken := (*fast.ProtocolError)(nil); errors.As(err, &broken) != (c.reason != "") || broken != nil && broken.Reason != c.reason {
				t.Errorf("got %v, want a ProtocolError %q", err, c.reason)
			}
			if err := <-first; (err == nil) != (name == "answer of 1") {
				t.Errorf("the other call ended with %v", err)
			}
			<-client.Closed()
			if err := client.Call(t.Context(), "later", jsvalue.Value(`[]`), nil); !errors.Is(err, fast.ErrDetached) {
				t.Errorf("a later call ended with %v, want %v", err, fast.ErrDetached)
			}
		})
	}
}

// A server may end an idle connection.
func TestClientIdleEnd(t *testing.T) {
	t.Parallel()
	c, p := scripted(t)
	p.CloseWrite()
	<-c.Closed()
	p.Ended()
	if err := c.Call(t.Context(), "ping", jsvalue.Value(`[]`), nil); !errors.Is(err, fast.ErrDetached) || !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want %v", err, fast.ErrDetached)
	}
}

func TestClientClose(t *testing.T) {
	t.Parallel()
	c, p := scripted(t)
	ended := call(t, t.Context(), c, "ping", `[]`, nil)
	p.Next()
	c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	c.Close()
	<-c.Closed()
	p.Gone()
}

// A call that is slow with its values does not keep others from their answers.
func TestClientSlowCall(t *testing.T) {
	t.Parallel()
	big := `{"x":"` + strings.Repeat("x", 100_000) + `"}`
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{
		"ping": ping,
		"flood": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			for range 500 {
				if err := w.Send(jsvalue.Value(big)); err != nil {
					return err
				}
			}
			return nil
		},
	}})
	c := dial(t, addr, fast.V2)
	got := 0
	err := c.Call(t.Context(), "flood", jsvalue.Value(`[]`), func(v jsvalue.Value) error {
		// A call in the middle of another one, on the same connection.
		if err := c.Call(t.Context(), "ping", jsvalue.Value(`[]`), nil); err != nil || string(v) != big {
			return fmt.Errorf("value %d of %d bytes, %w", got, len(v), err)
		}
		got++
		return nil
	})
	if err != nil || got != 500 {
		t.Errorf("got %d values and %v, want 500", got, err)
	}
}

// While the only call takes nothing, reading stops; when it is given up, reading goes on.
func TestClientStopsReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c, p := fast.NewClient(near, fast.V2), fasttest.New(t, far)
		defer c.Close()
		enough := make(chan struct{})
		ended := call(t, t.Context(), c, "flood", `[]`, func(jsvalue.Value) error {
			<-enough
			return io.ErrShortBuffer
		})
		p.Next()
		big := answer(fast.StatusData, 1, `["`+strings.Repeat("x", 100_000)+`"]`)
		taken := 0
		flooded := make(chan error)
		go func() {
			for range 100 {
				if _, err := p.Conn.Write(big); err != nil {
					flooded <- err
				}
				taken++
			}
			close(flooded)
		}()
		synctest.Wait()
		if taken < 10 || taken > 25 {
			t.Errorf("%d bytes were taken for a call that does not take them", taken*len(big))
		}
		close(enough)
		if err := <-ended; err != io.ErrShortBuffer {
			t.Errorf("got %v, want %v", err, io.ErrShortBuffer)
		}
		if err := <-flooded; err != nil {
			t.Error(err)
		}
		ended = call(t, t.Context(), c, "ping", `[]`, nil)
		p.Next()
		p.Write(answer(fast.StatusEnd, 2, `[]`))
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestDialFails(t *testing.T) {
	t.Parallel()
	ln := fasttest.Listen(t)
	addr := ln.Addr().String()
	ln.Close()
	if c, err := fast.Dial(t.Context(), addr, fast.V2); err == nil {
		c.Close()
		t.Error("no error")
	}
}

// Over TLS everything is the same: answers, a clean stop, a dropped connection.
func TestTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		s := &fast.Server{Handler: handlers{"echo": echo}}
		ended <- s.Run(ctx, tls.NewListener(inner, web.TLS))
	}()
	connect := func() net.Conn {
		nc, err := tls.Dial("tcp", inner.Addr().String(), &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"})
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	c := fast.NewClient(connect(), fast.V2)
	defer c.Close()
	big := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
	got := 0
	if err := c.Call(t.Context(), "echo", jsvalue.Value("["+big+"]"), func(v jsvalue.Value) error { got = len(v); return nil }); err != nil || got != len(big) {
		t.Errorf("got %d bytes and %v, want %d", got, err, len(big))
	}
	dropped := fasttest.New(t, connect())
	dropped.Write(answer(fast.StatusEnd, 1, `[]`))
	dropped.Gone()
	cancel()
	<-c.Closed()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
