package fast

import (
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/strand"
)

// MaxArgs is the number of arguments of a request that are looked at.
const MaxArgs = 1024

// Request is one request of a client. It is valid until the handler returns.
type Request struct {
	ID      uint32  // unique among the pending requests of the connection
	Version Version // in which it came and is answered
	Method  string  // as the client spells it; may be a method that does not exist
	// Args are the arguments: any JSON values, null among them. Of more than [MaxArgs] the rest is cut off, which leaves
	// more than any method takes.
	Args []jsvalue.Value
	// Printed says that the arguments stand as JSON.stringify prints them, which is how stock clients write.
	Printed bool

	conn     *conn
	payload  []byte
	envelope Envelope
	started  time.Time
	strand   *strand.Strand
	standing bool // guarded by conn.mu
	onEnd    func()
}

// Gone returns a channel that is closed when the client has ended its side of the connection, when the connection is lost
// or dropped, and when the server begins to shut down. An answer can still reach a client that has only ended its side.
func (r *Request) Gone() <-chan struct{} { return r.conn.gone }

// Stopping reports whether the server is shutting down, which closes [Request.Gone] as well.
func (r *Request) Stopping() bool {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	return r.conn.stopped
}

// Standing says that the request may last for ever. It no longer counts against the limit of requests in flight, and its
// values leave at once. The handler must end it when [Request.Gone] is closed.
func (r *Request) Standing() {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if !r.standing {
		r.standing = true
		r.conn.inFlight--
		r.conn.changed.Broadcast()
	}
}

// OnEnd makes f be called when the end of the answer has its place among what is sent to the client, or is lost with the
// connection. It is for the handler. f must not wait, and must not use r or the server.
func (r *Request) OnEnd(f func()) { r.onEnd = f }

// Strand returns what runs the handler.
func (r *Request) Strand() *strand.Strand { return r.strand }

// Received returns when the request came.
func (r *Request) Received() time.Time { return r.started }

// Conn returns the number of the connection: 1 and up, unique among those that are open.
func (r *Request) Conn() uint64 { return r.conn.id }

// Client returns what [Server.Identify] said of the connection, or nil.
func (r *Request) Client() any { return r.conn.client }

// RemoteAddr returns the client's address, as host:port for TCP.
func (r *Request) RemoteAddr() string { return r.conn.remote }

var requests = sync.Pool{New: func() any { return new(Request) }}

// maxPooledPayload bounds the memory that an ended request leaves for the next one.
const maxPooledPayload = 16 << 10

// fill makes r the request in message m, whose payload becomes r's.
func (r *Request) fill(c *conn, m *Message, e Envelope) {
	r.ID, r.Version, r.Method, r.Printed = m.ID, m.Version, c.methodOf(&e), e.Printed
	r.conn, r.envelope, r.started = c, e, time.Now()
	for v := range e.D.Elements() {
		if len(r.Args) == MaxArgs {
			break
		}
		r.Args = append(r.Args, v)
	}
}

// methodOf returns the name of the method, like [Envelope.Method]. Clients tend to ask for the same again: then no copy is made.
func (c *conn) methodOf(e *Envelope) string {
	name := member(e.Meta, "name")
	if name.Kind() != jsvalue.KindString {
		return ""
	}
	if body := name[1 : len(name)-1]; string(body) != c.method {
		text := name.Text()
		if len(text) != len(body) { // it has escapes
			return text
		}
		c.method = text
	}
	return c.method
}

// release gives the memory of r to later requests.
func (r *Request) release() {
	payload, args := r.payload, r.Args
	if cap(payload) > maxPooledPayload {
		payload = nil
	}
	clear(args)
	*r = Request{payload: payload[:0], Args: args[:0]}
	requests.Put(r)
}
