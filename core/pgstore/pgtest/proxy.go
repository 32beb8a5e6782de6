package pgtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Message is one message of the PostgreSQL protocol on its way through a [Proxy].
type Message struct {
	FromClient bool
	// Type is the message's first byte as the protocol's documentation names it; the two messages without one (the start of
	// a session and a cancel request) have 0.
	Type byte
	// Body is what follows the length. It is valid until the rule returns.
	Body []byte
}

// Action says what a [Proxy] does with a message.
type Action int

const (
	// Pass hands the message on.
	Pass Action = iota
	// Drop swallows the message.
	Drop
	// Cut ends the connection instead of handing the message on: the client sees a reset.
	Cut
	// PassAndCut hands the message on and then ends the connection.
	PassAndCut
)

// Rule decides about each message of each connection. It is called from several goroutines, in order for one direction of
// one connection. It may wait, which holds up that direction; ctx ends with the connection.
type Rule func(ctx context.Context, m Message) Action

// Proxy stands between clients and the PostgreSQL of one database, on a TCP port of the loopback interface. It hands on
// everything until a [Rule] says otherwise. Its methods may be called at any time; those that take t are for the test's own
// goroutine.
type Proxy struct {
	database string
	socket   string // PostgreSQL's
	address  string // ours; it stays the same over Down and Up

	mu       sync.Mutex // guards all below
	listener net.Listener
	rule     Rule
	conns    map[*proxied]bool
	running  sync.WaitGroup
}

// NewProxy starts a proxy in front of db; it ends with the test.
func NewProxy(t testing.TB, db *DB) *Proxy {
	t.Helper()
	p := &Proxy{
		database: db.Name,
		socket:   filepath.Join(db.cluster.server.SocketDir(), ".s.PGSQL.5432"),
		conns:    map[*proxied]bool{},
	}
	p.address = p.listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		p.Down()
		p.running.Wait()
	})
	return p
}

// URL returns the connection URL of the role moray through the proxy, which does not speak TLS.
func (p *Proxy) URL() string {
	return fmt.Sprintf("postgres://moray@%s/%s?sslmode=disable", p.address, p.database)
}

// Address returns where the proxy listens, host:port.
func (p *Proxy) Address() string { return p.address }

// SetRule makes rule decide from the next message on; nil hands everything on.
func (p *Proxy) SetRule(rule Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// Cut ends all connections with a reset and returns how many there were. New ones are accepted.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.cut()
	}
	return len(p.conns)
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
func (p *Proxy) Up(t testing.TB) {
	t.Helper()
	p.listen(t, p.address)
}

func (p *Proxy) listen(t testing.TB, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	p.running.Go(func() { p.accept(listener) })
	return listener.Addr().String()
}

// accept ends when Down closes the listener.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.socket)
		if err != nil { // the server is down: so are we
			client.Close()
			continue
		}
		c := &proxied{proxy: p, client: client, server: server}
		c.ctx, c.cancel = context.WithCancel(context.Background())
		p.add(c, listener)
	}
}

// add takes the connection up, unless the proxy went down meanwhile.
func (p *Proxy) add(c *proxied, listener net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		c.cut()
		return
	}
	p.conns[c] = true
	p.running.Go(func() {
		c.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	})
}

func (p *Proxy) decide(ctx context.Context, m Message) Action {
	p.mu.Lock()
	rule := p.rule
	p.mu.Unlock()
	if rule == nil {
		return Pass
	}
	return rule(ctx, m)
}

// proxied is one connection through the proxy.
type proxied struct {
	proxy          *Proxy
	client, server net.Conn
	ctx            context.Context // ends with the connection
	cancel         context.CancelFunc
}

// run hands messages on in both directions until one of them ends; then it ends the other.
func (c *proxied) run() {
	var both sync.WaitGroup
	both.Go(func() { c.copy(c.server, c.client, true) })
	both.Go(func() { c.copy(c.client, c.server, false) })
	both.Wait()
}

// cut closes both ends, the client's with a reset.
func (c *proxied) cut() {
	c.cancel()
	if tcp, ok := c.client.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.client.Close()
	c.server.Close()
}

// copy hands on the messages of one direction. It ends with the connection.
func (c *proxied) copy(to, from net.Conn, fromClient bool) {
	defer c.cancel()
	defer to.Close()
	defer from.Close()
	for started := !fromClient; ; started = true {
		raw, m, err := readMessage(from, started)
		if err != nil {
			return
		}
		m.FromClient = fromClient
		switch action := c.proxy.decide(c.ctx, m); action {
		case Drop:
			continue
		case Cut:
			c.cut()
			return
		case Pass, PassAndCut:
			if _, err := to.Write(raw); err != nil {
				return
			}
			if action == PassAndCut {
				return // closed the ordinary way: a reset could overtake the message
			}
		}
	}
}

// readMessage reads one message: a type byte, unless the session has not started yet, then a length that counts itself,
// then the body. (PostgreSQL's manual, "Frontend/Backend Protocol", "Message Formats".)
func readMessage(r io.Reader, started bool) (raw []byte, m Message, err error) {
	head := 4
	if started {
		head = 5
	}
	raw = make([]byte, head)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, m, err
	}
	length := int(binary.BigEndian.Uint32(raw[head-4:]))
	if length < 4 || length > 1<<30 {
		return nil, m, errors.New("not a message of PostgreSQL")
	}
	raw = append(raw, make([]byte, length-4)...)
	if _, err := io.ReadFull(r, raw[head:]); err != nil {
		return nil, m, err
	}
	if started {
		m.Type = raw[0]
	}
	m.Body = raw[head:]
	return raw, m, nil
}
