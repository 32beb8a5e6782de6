package fast_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// gate holds up the first write of a connection that does not wait.
type gate struct {
	used          atomic.Bool
	entered, open chan struct{}
}

type gatedListener struct {
	net.Listener
	gate *gate
}

func (l gatedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return gatedConn{nc, l.gate}, nil
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c gatedConn) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	return gatedRaw{raw, c.gate}, err
}

type gatedRaw struct {
	syscall.RawConn
	gate *gate
}

func (r gatedRaw) Write(f func(fd uintptr) bool) error {
	if !r.gate.used.Swap(true) {
		close(r.gate.entered)
		<-r.gate.open
	}
	return r.RawConn.Write(f)
}

// A request may end while the reader, which has no capacity for the next one, writes: the reader notices it.
func TestCapacityWhileWriting(t *testing.T) {
	t.Parallel()
	g := &gate{entered: make(chan struct{}), open: make(chan struct{})}
	end := make(chan struct{})
	s := &fast.Server{
		Limits: fast.Limits{InFlight: 1},
		Inline: func(*fast.Request) bool { return true },
		Handler: handlers{"ping": ping, "first": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			if err := w.Send(jsvalue.Value(`{"a":1}`)); err != nil {
				return err
			}
			r.Strand().Detach()
			<-end
			return nil
		}},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, gatedListener{ln, g}) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped with: %v", err)
		}
	}()
	p := fasttest.Dial(t, ln.Addr().String())
	p.Write(append(fasttest.Request(fast.V2, 1, "first", `[]`), fasttest.Request(fast.V2, 2, "ping", `[]`)...))
	<-g.entered
	close(end)
	for s.Snapshot().Stats.RequestsCompleted == 0 {
		time.Sleep(time.Millisecond)
	}
	close(g.open)
	p.Expect(fast.V2, fast.StatusData, 1, `[{"a":1}]`)
	p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
	p.Expect(fast.V2, fast.StatusEnd, 2, `[]`)
}
