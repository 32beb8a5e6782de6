package fast_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// pipes is a listener whose connections have no buffers, so that a test with fake time sees each write of the server.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// inBubble runs a server in a bubble of fake time. The test ends the connections that it opens.
func inBubble(t *testing.T, s *fast.Server, test func(t *testing.T, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPipes()
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, p) }()
		test(t, p)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped with: %v", err)
		}
	})
}

// statuses returns the statuses and the number of the frames in one write.
func statuses(t *testing.T, write []byte) string {
	t.Helper()
	all, err := decodeAll(bytes.NewReader(write), 1<<30)
	if err != io.EOF {
		t.Fatalf("a write does not hold whole frames: %v", err)
	}
	var s []string
	for _, m := range all {
		s = append(s, m.Status.String())
	}
	return strings.Join(s, " ")
}

// A value is held back for the end of the answer, or 5 ms, or 16 KiB; a value of a standing request is not.
func TestWrites(t *testing.T) {
	t.Parallel()
	big := jsvalue.Value(`{"x":"` + strings.Repeat("x", 9_000) + `"}`)
	pause := func(w fast.Sender, values ...jsvalue.Value) {
		for _, v := range values {
			w.Send(v)
		}
		time.Sleep(time.Second)
	}
	s := &fast.Server{Handler: handlers{
		"ping": ping,
		"echo": echo,
		"slow": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			pause(w, r.Args...)
			pause(w, r.Args...)
			return nil
		},
		"big": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			pause(w, big, big)
			return w.Send(big)
		},
		"stand": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			r.Standing()
			pause(w, r.Args...)
			return nil
		},
	}}
	type write struct {
		after  time.Duration
		frames string
	}
	const held = 5 * time.Millisecond
	inBubble(t, s, func(t *testing.T, p *pipes) {
		nc := p.dial()
		defer nc.Close()
		buf := make([]byte, 1<<20)
		for _, c := range []struct {
			method, args string
			want         []write
		}{
			{"ping", `[]`, []write{{0, "END"}}},
			{"nope", `[]`, []write{{0, "ERROR"}}},
			{"echo", `[{}]`, []write{{0, "DATA END"}}},
			{"echo", `[{},{},{}]`, []write{{0, "DATA DATA DATA END"}}},
			{"slow", `[{},{}]`, []write{{held, "DATA DATA"}, {time.Second + held, "DATA DATA"}, {2 * time.Second, "END"}}},
			{"big", `[]`, []write{{0, "DATA DATA"}, {time.Second, "DATA END"}}},
			{"stand", `[{}]`, []write{{0, "DATA"}, {time.Second, "END"}}},
		} {
			time.Sleep(time.Second) // nothing is left of the case before
			start := time.Now()
			if _, err := nc.Write(fasttest.Request(fast.V2, 1, c.method, c.args)); err != nil {
				t.Fatal(err)
			}
			var got []write
			for len(got) == 0 || !strings.HasSuffix(got[len(got)-1].frames, "END") && c.method != "nope" {
				n, err := nc.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, write{time.Since(start), statuses(t, buf[:n])})
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s %s:\ngot  %v\nwant %v", c.method, c.args, got, c.want)
			}
		}
	})
}

// Answers that become ready while a write is on its way leave together.
func TestWritesCoalesce(t *testing.T) {
	t.Parallel()
	inBubble(t, &fast.Server{Handler: handlers{"ping": ping}}, func(t *testing.T, p *pipes) {
		nc := p.dial()
		defer nc.Close()
		for id := range uint32(20) {
			if _, err := nc.Write(fasttest.Request(fast.V2, id, "ping", `[]`)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		buf := make([]byte, 1<<20)
		var got []string
		for range 2 {
			n, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, statuses(t, buf[:n]))
		}
		if want := []string{"END", strings.Repeat(" END", 19)[1:]}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A client that accepts nothing is disconnected, and its handlers learn of it; one that is only slow is not.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	var failed chan error // made in the bubble, as waiting for it must let the time pass
	s := &fast.Server{Handler: handlers{
		"echo": echo,
		"flood": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			for {
				if err := w.Send(r.Args[0]); err != nil {
					<-r.Gone()
					failed <- err
					return err
				}
			}
		},
	}}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		failed = make(chan error, 1)
		nc := p.dial()
		defer nc.Close()
		start := time.Now()
		nc.Write(fasttest.Request(fast.V2, 1, "flood", `[{}]`))
		if err := <-failed; !errors.Is(err, fast.ErrGone) {
			t.Errorf("Send failed with %v, want %v", err, fast.ErrGone)
		}
		if waited := time.Since(start); waited < 30*time.Second || waited > 60*time.Second {
			t.Errorf("disconnected after %v, want 30 s to 60 s", waited)
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still open")
		}

		slow := p.dial()
		defer slow.Close()
		slow.Write(fasttest.Request(fast.V2, 1, "echo", `[{"x":"abcdefghijklmnopqrstuvwxyz"}]`))
		var got []byte
		for len(got) < 200 {
			time.Sleep(29 * time.Second)
			piece := make([]byte, 5)
			n, err := slow.Read(piece)
			if err != nil {
				t.Fatalf("after %d bytes and %v: %v", len(got), time.Since(start), err)
			}
			got = append(got, piece[:n]...)
			if all, _ := decodeAll(bytes.NewReader(got), 1000); len(all) == 2 {
				return
			}
		}
		t.Errorf("got %q, want two frames in it", got)
	})
}

// What waits for a client that does not read is bounded, for large answers and for floods of small ones.
func TestUnsentBound(t *testing.T) {
	t.Parallel()
	const unsent = 10_000
	var sent atomic.Int32
	s := &fast.Server{Limits: fast.Limits{UnsentBytes: unsent, WriteTimeout: time.Hour}, Handler: handlers{
		"ping": ping,
		"flood": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			for range 1000 {
				if err := w.Send(r.Args[0]); err != nil {
					return err
				}
				sent.Add(1)
			}
			return nil
		},
	}}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		nc := p.dial()
		defer nc.Close()
		go nc.Write(fasttest.Request(fast.V2, 1, "flood", `[{"x":"`+strings.Repeat("x", 900)+`"}]`))
		synctest.Wait()
		if n := sent.Load(); n < 5 || n > unsent/900 {
			t.Errorf("%d values were taken, want about %d", n, unsent/1000)
		}
		d := fast.NewDecoder(nc, 1<<20)
		var m fast.Message
		values := 0
		for m.Status != fast.StatusEnd {
			if err := d.Decode(&m); err != nil {
				t.Fatal(err)
			}
			values++
		}
		if values != 1001 {
			t.Errorf("got %d messages, want 1001", values)
		}

		var taken atomic.Int32
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for id := uint32(0); ; id++ {
				n, err := nc.Write(fasttest.Request(fast.V2, id, "ping", `[]`))
				if taken.Add(int32(n)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if n := taken.Load(); n < unsent/2 || n > 10*unsent {
			t.Errorf("%d bytes of requests were taken from a client that does not read", n)
		}
		nc.Close()
		<-stop
	})
}

// A client that does not read is no concern of the others.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{
		"ping": ping,
		"flood": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			big := jsvalue.Value(`{"x":"` + strings.Repeat("x", 100_000) + `"}`)
			for w.Send(big) == nil {
			}
			return fast.ErrGone
		},
	}})
	slow, other := fasttest.Dial(t, addr), fasttest.Dial(t, addr)
	for id := range uint32(10) {
		slow.Request(fast.V2, id, "flood", `[]`)
	}
	for range 1000 {
		other.Request(fast.V2, 1, "ping", `[]`)
		other.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
	}
	slow.Conn.Close()
}

// Requests that were received are answered when the server stops, standing ones end, and no client sees a reset.
func TestDrain(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	release := make(chan struct{})
	s := &fast.Server{Handler: handlers{
		"ping": ping,
		"hang": func(ctx context.Context, w fast.Sender, r *fast.Request) error {
			running.Done()
			<-release
			if ctx.Err() != nil {
				return errors.New("the context ended before the grace period")
			}
			return w.Send(jsvalue.Value(`{"late":true}`))
		},
		"listen": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			r.Standing()
			running.Done()
			<-r.Gone()
			return w.Send(jsvalue.Value(`{"last":true}`))
		},
	}}
	addr, stop := fasttest.Start(t, s)
	const conns, each = 5, 20
	var peers []*fasttest.Peer
	running.Add(conns * (each + 1))
	for range conns {
		p := fasttest.Dial(t, addr)
		p.Request(fast.V1, 99, "listen", `[]`)
		for id := range uint32(each) {
			p.Request(fast.V2, id, "hang", `[]`)
		}
		peers = append(peers, p)
	}
	running.Wait()
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	for _, p := range peers {
		p.Expect(fast.V1, fast.StatusData, 99, `[{"last":true}]`)
		p.Expect(fast.V1, fast.StatusEnd, 99, `[]`)
	}
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("the server still accepts connections")
	}
	for _, p := range peers {
		p.Request(fast.V2, 50, "ping", `[]`) // most likely too late to be answered, and must not cause a reset
	}
	close(release)
	for _, p := range peers {
		ended := map[uint32]bool{}
		for _, m := range p.Rest() {
			if m.Status == fast.StatusEnd && m.ID < each {
				ended[m.ID] = true
			}
		}
		if len(ended) != each {
			t.Errorf("%d of %d requests were answered", len(ended), each)
		}
		p.Conn.Close()
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// A client that never ends its side keeps the server for a second.
func TestDrainLingers(t *testing.T) {
	t.Parallel()
	addr, stop := fasttest.Start(t, &fast.Server{Handler: handlers{"ping": ping}})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "ping", `[]`)
	p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
	if err := stop(); err != nil {
		t.Error(err)
	}
	p.Ended()
}

// At the end of the grace period requests are cut off, and their handlers must end.
func TestGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log records
		s := &fast.Server{Log: log.logger(), Handler: handlers{
			"hang": func(ctx context.Context, _ fast.Sender, _ *fast.Request) error {
				<-ctx.Done()
				time.Sleep(3 * time.Second)
				return ctx.Err()
			},
		}}
		ctx, cancel := context.WithCancel(t.Context())
		p := newPipes()
		ended := make(chan error)
		go func() { ended <- s.Run(ctx, p) }()
		nc := p.dial()
		nc.Write(fasttest.Request(fast.V2, 6, "hang", `[]`))
		start := time.Now()
		cancel()
		if _, err := nc.Read(make([]byte, 1)); err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("got error %v after %v, want the end of the connection after 10s", err, time.Since(start))
		}
		if err := <-ended; !errors.Is(err, fast.ErrCutOff) || time.Since(start) != 13*time.Second {
			t.Errorf("Run returned %v after %v, want %v after 13s", err, time.Since(start), fast.ErrCutOff)
		}
		log.await(`msg="gracefully terminating connection".*err="the server shuts down"`)
		log.await(`msg="disconnecting request".*msgid=6`)
	})
}
