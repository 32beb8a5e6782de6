// Package fasttest helps tests that need a server of node-fast or one end of a connection that does what the test says,
// byte by byte. It knows nothing of the methods that a server has.
package fasttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fast"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// Serve runs s on a loopback port until the test ends, and returns the address. The test fails if s does not stop cleanly.
func Serve(t testing.TB, s *fast.Server) (addr string) {
	t.Helper()
	addr, stop := Start(t, s)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the server stopped with: %v", err)
		}
	})
	return addr
}

// Start runs s on a loopback port. The function stop stops it and returns what Run returned; it is called at the end of the
// test at the latest.
func Start(t testing.TB, s *fast.Server) (addr string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var result error
	go func() {
		defer close(ended)
		result = s.Run(ctx, ln)
	}()
	stop = func() error {
		cancel()
		<-ended
		return result
	}
	t.Cleanup(func() { stop() })
	return ln.Addr().String(), stop
}

// Peer is one end of a connection. Its methods end the test when something else happens than they are to bring about, or
// nothing happens for long. They are for the goroutine of the test.
type Peer struct {
	Conn net.Conn
	t    testing.TB
	d    *fast.Decoder
}

// Dial connects to a server.
func Dial(t testing.TB, addr string) *Peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, nc)
}

// New makes a peer of a connection, which is closed when the test ends.
func New(t testing.TB, nc net.Conn) *Peer {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &Peer{nc, t, fast.NewDecoder(nc, 1<<30)}
}

// Write sends bytes.
func (p *Peer) Write(b []byte) {
	p.t.Helper()
	if _, err := p.Conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// Request sends a request, whose arguments are the text of an array.
func (p *Peer) Request(v fast.Version, id uint32, method, args string) {
	p.t.Helper()
	p.Write(Request(v, id, method, args))
}

// Request returns the frame of a request, whose arguments are the text of an array.
func Request(v fast.Version, id uint32, method, args string) []byte {
	payload := fmt.Appendf(nil, `{"m":{"uts":1700000000000000,"name":%q},"d":%s}`, method, args)
	return (&fast.Message{Version: v, Status: fast.StatusData, ID: id, Payload: payload}).AppendTo(nil)
}

// CloseWrite ends this side of the connection.
func (p *Peer) CloseWrite() {
	p.t.Helper()
	half, ok := p.Conn.(interface{ CloseWrite() error })
	if !ok {
		p.t.Fatalf("a %T cannot be closed by half", p.Conn)
	}
	if err := half.CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

// Next returns the next message.
func (p *Peer) Next() *fast.Message {
	p.t.Helper()
	m := new(fast.Message)
	if err := p.d.Decode(m); err != nil {
		p.t.Fatalf("instead of a message: %v", err)
	}
	return m
}

// Expect waits for a message of the given version, status and id, and compares its member d with the text d.
func (p *Peer) Expect(v fast.Version, s fast.Status, id uint32, d string) {
	p.t.Helper()
	m := p.Next()
	e, err := m.Envelope()
	if err != nil {
		p.t.Fatalf("%q: %v", m.Payload, err)
	}
	if m.Version != v || m.Status != s || m.ID != id || string(e.D) != d {
		p.t.Fatalf("got version %d %v %d %s\nwant version %d %v %d %s", m.Version, m.Status, m.ID, e.D, v, s, id, d)
	}
}

// Gone waits for the end of the connection: by the other side's end or by a reset, and without a further message.
func (p *Peer) Gone() {
	p.t.Helper()
	m := new(fast.Message)
	err := p.d.Decode(m)
	if timeout := net.Error(nil); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatalf("instead of the end of the connection: %v %q, error %v", m.Status, m.Payload, err)
	}
}

// Ended is [Peer.Gone] where a reset is an error.
func (p *Peer) Ended() {
	p.t.Helper()
	for _, m := range p.Rest() {
		p.t.Fatalf("instead of the end of the stream: %v %q", m.Status, m.Payload)
	}
}

// Rest returns the messages up to the end of the stream. A reset is an error.
func (p *Peer) Rest() []*fast.Message {
	p.t.Helper()
	var rest []*fast.Message
	for {
		m := new(fast.Message)
		err := p.d.Decode(m)
		if errors.Is(err, io.EOF) {
			return rest
		}
		if err != nil {
			p.t.Fatalf("after %d messages, instead of the end of the stream: %v", len(rest), err)
		}
		rest = append(rest, m)
	}
}

// Listener waits for connections of the client under test.
type Listener struct {
	net.Listener
	t testing.TB
}

// Listen listens on a loopback port until the test ends.
func Listen(t testing.TB) *Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &Listener{ln, t}
}

// Peer accepts the next connection.
func (l *Listener) Peer() *Peer {
	l.t.Helper()
	if err := l.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	return New(l.t, nc)
}
