package zktest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and one server, on a port of its own. It hands on everything until it is told otherwise, and it
// notes the sessions that clients get. Its methods may be called at any time; those that take t are for the test's goroutine.
type Proxy struct {
	target  string
	address string // ours; it stays the same over Down and Up

	mu       sync.Mutex // guards all below
	listener net.Listener
	held     chan struct{} // closed when bytes may pass; nil if they may
	deaf     bool          // watches do not get through
	conns    map[net.Conn]bool
	session  session // the last one
	running  sync.WaitGroup
}

// session is what it takes to take over a session.
type session struct {
	id       uint64
	password []byte
}

// NewProxy starts a proxy in front of server i of the tree's ensemble; it ends with the test.
func NewProxy(t testing.TB, tree *Tree, i int) *Proxy {
	t.Helper()
	p := &Proxy{target: tree.Servers()[i], conns: map[net.Conn]bool{}}
	p.address = p.listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		p.Down()
		p.Release()
		p.running.Wait()
	})
	return p
}

// Address is where clients connect to.
func (p *Proxy) Address() string { return p.address }

// Cut ends all connections. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Down ends all connections and refuses new ones.
func (p *Proxy) Down() {
	p.mu.Lock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Cut()
}

// Up accepts connections again after [Proxy.Down], at the same address.
func (p *Proxy) Up(t testing.TB) { t.Helper(); p.listen(t, p.address) }

// Hold keeps all bytes back, in both directions and on new connections too: a network that swallows everything.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = make(chan struct{})
	}
}

// Deafen swallows what the server says about watched nodes, until it is told otherwise: as if a watch had got lost.
func (p *Proxy) Deafen(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// Release hands on what was held and what comes.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

func (p *Proxy) listen(t testing.TB, address string) string {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = ln
	p.running.Go(func() { p.accept(ln) })
	return ln.Addr().String()
}

// accept ends when Down closes the listener.
func (p *Proxy) accept(ln net.Listener) {
	for {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		if p.listener != ln {
			client.Close()
			server.Close()
			p.mu.Unlock()
			return
		}
		p.conns[client], p.conns[server] = true, true
		p.running.Go(func() { p.copy(server, client, false) })
		p.running.Go(func() { p.copy(client, server, true) })
		p.mu.Unlock()
	}
}

// copy hands on the packets of one direction until one side ends. The first packet of a server says which session the client got.
func (p *Proxy) copy(to, from net.Conn, fromServer bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, from)
	}()
	for first := true; ; first = false {
		packet := make([]byte, 4)
		if _, err := io.ReadFull(from, packet); err != nil {
			return
		}
		packet = append(packet, make([]byte, binary.BigEndian.Uint32(packet))...)
		if _, err := io.ReadFull(from, packet[4:]); err != nil {
			return
		}
		p.mu.Lock()
		held := p.held
		if first && fromServer {
			// after the length: version 4, timeout 4, session 8, password with its length 4+16
			p.session = session{binary.BigEndian.Uint64(packet[12:]), packet[24:40]}
		}
		const watchEvent = 0xffffffff // the id -1
		swallowed := p.deaf && fromServer && !first && binary.BigEndian.Uint32(packet[4:]) == watchEvent
		p.mu.Unlock()
		if swallowed {
			continue
		}
		if held != nil {
			<-held
		}
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

// HasSession reports whether a client has got a session through the proxy.
func (p *Proxy) HasSession() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session.id != 0
}

// Expire ends the session that a client got last, as the server does with one it has not heard of for too long: by taking it over
// and closing it.
func (p *Proxy) Expire(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	if s.id == 0 {
		t.Fatal("no client has got a session through the proxy")
	}
	conn, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		t.Fatalf("expire a session: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := s.end(conn); err != nil {
		t.Fatalf("expire a session: %v", err)
	}
}

// end takes the session over and closes it.
func (s session) end(conn net.Conn) error {
	connect := binary.BigEndian.AppendUint32(nil, 0)        // version of the protocol
	connect = binary.BigEndian.AppendUint64(connect, 0)     // last transaction seen
	connect = binary.BigEndian.AppendUint32(connect, 10000) // timeout in ms
	connect = binary.BigEndian.AppendUint64(connect, s.id)  //
	connect = binary.BigEndian.AppendUint32(connect, uint32(len(s.password)))
	connect = append(append(connect, s.password...), 0) // not read-only
	const opClose = 0xfffffff5                          // -11
	bye := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1), opClose)
	if err := exchange(conn, connect); err != nil {
		return err
	}
	if err := exchange(conn, bye); !errors.Is(err, io.EOF) { // the connection may end before the answer
		return err
	}
	return nil
}

// exchange sends a packet and reads one.
func exchange(conn net.Conn, packet []byte) error {
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(packet))), packet...)); err != nil {
		return err
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(conn, length); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length)))
	return err
}
