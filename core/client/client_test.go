package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

func ping(context.Context, fast.Sender, *fast.Request) error { return nil }

func newClient(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	c := client.New(config)
	t.Cleanup(c.Close)
	return c
}

// Requests are spread over all connections and all servers.
func TestConnections(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	var addresses []string
	for i := range 2 {
		s := &fast.Server{Handler: fast.HandlerFunc(func(_ context.Context, _ fast.Sender, r *fast.Request) error {
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprintf("server %d, connection %d", i, r.Conn())] = true
			return nil
		})}
		addresses = append(addresses, fasttest.Serve(t, s))
	}
	c := newClient(t, client.Config{Addresses: addresses})
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 6
	}
	for !all() { // the test's time limit ends it otherwise
		if err := c.Ping(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		if err := c.Ping(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if !all() {
		t.Errorf("more than 6 connections: %v", seen)
	}
}

// While one server is down, the others serve; when it is back, it serves again.
func TestServerDown(t *testing.T) {
	t.Parallel()
	var second atomic.Int32
	first := fasttest.Serve(t, &fast.Server{Handler: fast.HandlerFunc(ping)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run := func(ln net.Listener) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			s := &fast.Server{Handler: fast.HandlerFunc(func(context.Context, fast.Sender, *fast.Request) error {
				second.Add(1)
				return nil
			})}
			ended <- s.Run(ctx, ln)
		}()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	c := newClient(t, client.Config{Addresses: []string{first, ln.Addr().String()}, Connections: 2})
	untilSecond := func() {
		for before := second.Load(); second.Load() == before; {
			if err := c.Ping(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop := run(ln)
	untilSecond()
	stop()
	for range 200 {
		if err := c.Ping(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if ln, err = net.Listen("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	stop = run(ln)
	untilSecond()
	stop()
}

// Without a server a request fails, and the pause between attempts to connect grows.
func TestBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		var mu sync.Mutex
		var attempts []string
		start := time.Now()
		c := client.New(client.Config{
			Addresses:   []string{"a", "b", "c"},
			Connections: 1,
			Dial: func(_ context.Context, address string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				attempts = append(attempts, fmt.Sprint(address, " ", time.Since(start)))
				return nil, refused
			},
		})
		defer c.Close()
		for time.Since(start) < 20*time.Second {
			if err := c.Ping(t.Context(), nil); !errors.Is(err, refused) || err.Error() != "ping: no connection: connection refused" {
				t.Fatalf("got %v, want %v", err, refused)
			}
			time.Sleep(10 * time.Millisecond)
		}
		want := []string{"a 0s", "b 200ms", "c 600ms", "a 1.4s", "b 3s", "c 6.2s", "a 11.2s", "b 16.2s"}
		if !slices.Equal(attempts, want) {
			t.Errorf("got  %v\nwant %v", attempts, want)
		}
	})
}

// A server that accepts and closes is not connected to again at once.
func TestLostAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		c := client.New(client.Config{
			Addresses:   []string{"a"},
			Connections: 1,
			Dial: func(context.Context, string) (net.Conn, error) {
				dials++
				near, far := net.Pipe()
				far.Close()
				return near, nil
			},
		})
		defer c.Close()
		for range 100 {
			if err := c.Ping(t.Context(), nil); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if dials < 5 || dials > 10 {
			t.Errorf("%d attempts to connect in a second, want one in 100 ms", dials)
		}
	})
}

// A request waits for a connection, but not longer than its context; an attempt to connect ends by itself, or by Close.
func TestWaitForConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := client.New(client.Config{
			Addresses:   []string{"a"},
			DialTimeout: 3 * time.Second,
			Dial: func(ctx context.Context, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ping(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v, want the end of the context after 1s", err, time.Since(start))
		}
		if err := c.Ping(t.Context(), nil); !strings.HasPrefix(fmt.Sprint(err), "ping: no connection") || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v, want the end of the attempt after 3s", err, time.Since(start))
		}
		time.Sleep(10 * time.Second)
		ended := make(chan error)
		go func() { ended <- c.Ping(t.Context(), nil) }()
		synctest.Wait()
		c.Close()
		if err := <-ended; !errors.Is(err, client.ErrClosed) {
			t.Errorf("got %v, want %v", err, client.ErrClosed)
		}
		if err := c.Ping(t.Context(), nil); !errors.Is(err, client.ErrClosed) {
			t.Errorf("got %v, want %v", err, client.ErrClosed)
		}
	})
}

// A connection that comes when the client has been closed is closed too.
func TestCloseDuringDial(t *testing.T) {
	t.Parallel()
	dialing, release := make(chan struct{}), make(chan struct{})
	near, far := net.Pipe()
	c := client.New(client.Config{Addresses: []string{"a"}, Connections: 1, Dial: func(context.Context, string) (net.Conn, error) {
		close(dialing)
		<-release
		return near, nil
	}})
	ended := make(chan error)
	go func() { ended <- c.Ping(t.Context(), nil) }()
	<-dialing
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.Close()
	}()
	for !errors.Is(c.Ping(canceled(t), nil), client.ErrClosed) { // until Close has begun
	}
	close(release)
	<-closed
	if err := <-ended; !errors.Is(err, client.ErrClosed) {
		t.Errorf("got %v, want %v", err, client.ErrClosed)
	}
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A request that was sent when the connection is lost fails, and is not sent again. The next one connects anew.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		servers := make(chan net.Conn, 10)
		c := client.New(client.Config{Addresses: []string{"a"}, Connections: 1, Dial: func(context.Context, string) (net.Conn, error) {
			near, far := net.Pipe()
			servers <- far
			return near, nil
		}})
		defer c.Close()
		ended := make(chan error)
		for range 3 {
			go func() { ended <- c.Ping(t.Context(), nil) }()
			p := fasttest.New(t, <-servers)
			m := p.Next()
			m.Status, m.Payload = fast.StatusEnd, []byte(`{"d":[]}`)
			p.Write(m.AppendTo(nil))
			if err := <-ended; err != nil {
				t.Error(err)
			}
			go func() { ended <- c.Ping(t.Context(), nil) }()
			p.Next()
			p.Conn.Close()
			if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), "ping: unexpected end of transport stream") {
				t.Errorf("got %v, want the end of the stream", err)
			}
			time.Sleep(time.Second)
		}
	})
}

// stuck is a connection that cannot be written to, and whose reader does not notice the end.
type stuck struct {
	net.Conn
	release chan struct{}
}

func (s *stuck) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func (s *stuck) Read([]byte) (int, error) {
	<-s.release
	return 0, net.ErrClosed
}

// A connection that has failed, and is not known to have ended, costs no request after the first one.
func TestFailedConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := &stuck{release: make(chan struct{})}
		servers := make(chan net.Conn, 1)
		c := client.New(client.Config{Addresses: []string{"a"}, Connections: 1, Dial: func(context.Context, string) (net.Conn, error) {
			near, far := net.Pipe()
			if first.Conn == nil {
				first.Conn = near
				return first, nil
			}
			servers <- far
			return near, nil
		}})
		defer c.Close()
		defer close(first.release)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ping(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		ended := make(chan error)
		go func() { ended <- c.Ping(t.Context(), nil) }()
		p := fasttest.New(t, <-servers)
		m := p.Next()
		m.Status, m.Payload = fast.StatusEnd, []byte(`{"d":[]}`)
		p.Write(m.AppendTo(nil))
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Connections are lost all the time: a request fails only if it was sent.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	addr := fasttest.Serve(t, &fast.Server{Handler: fast.HandlerFunc(func(context.Context, fast.Sender, *fast.Request) error {
		requests.Add(1)
		return nil
	})})
	var mu sync.Mutex
	var conns []net.Conn
	c := newClient(t, client.Config{Addresses: []string{addr}, Connections: 3, Dial: func(ctx context.Context, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			conns = append(conns, nc)
		}
		return nc, err
	}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				err := c.Ping(t.Context(), nil)
				if errors.Is(err, fast.ErrDetached) {
					t.Errorf("a request that was not sent failed: %v", err)
				}
				if i == 0 && j%50 == 49 {
					mu.Lock()
					for _, nc := range conns {
						nc.Close()
					}
					conns = nil
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if requests.Load() == 0 {
		t.Error("no request got through")
	}
}

// The values of Call are the server's, and its errors too.
func TestCall(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: fast.HandlerFunc(func(_ context.Context, w fast.Sender, r *fast.Request) error {
		if r.Method != "echo" {
			return fast.Unsupported(r)
		}
		return w.Send(r.Args[0])
	})})
	for _, v := range []fast.Version{0, fast.V1} {
		c := newClient(t, client.Config{Addresses: []string{addr}, Version: v})
		var got string
		err := c.Call(t.Context(), "echo", jsvalue.Value(`[{"é":1}]`), func(v jsvalue.Value) error {
			got = string(v)
			return nil
		})
		if err != nil || got != `{"é":1}` {
			t.Errorf("got %s, %v", got, err)
		}
		answer := (*client.Error)(nil)
		err = c.Call(t.Context(), "nope", jsvalue.Value(`[]`), nil)
		if !errors.As(err, &answer) || answer.Name != "FastError" || err.Error() != `FastError: unsupported RPC method: "nope"` || string(answer.Context) != "{}" {
			t.Errorf("got %v", err)
		}
		enough := errors.New("enough")
		err = c.Call(t.Context(), "echo", jsvalue.Value(`[{}]`), func(jsvalue.Value) error { return enough })
		if !errors.Is(err, enough) {
			t.Errorf("got %v, want %v", err, enough)
		}
	}
}
