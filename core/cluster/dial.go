package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dialTimeout = time.Second
	// helloTimeout bounds the wait for a server's first answer. The library's own bound is some minutes.
	helloTimeout = 2 * time.Second
	// silence is how long a peer may leave data unacknowledged: then the connection is lost. Without it the kernel tries for a
	// quarter of an hour.
	silence    = 3 * time.Second
	firstDelay = 50 * time.Millisecond
	// maxPacket is the longest packet that is read: ZooKeeper's own limit of 1 MiB for a node, and room for what goes with it.
	maxPacket = 1<<20 + 64<<10
)

// dialer connects to servers in turn. After all of them failed there is a pause, which grows.
type dialer struct {
	servers []string
	longest time.Duration
	failure func(error) // told why an attempt failed

	mu     sync.Mutex // guards what follows
	next   int
	failed int // attempts since the last success
}

// succeeded notes that a server was of use.
func (d *dialer) succeeded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = 0
}

// attempt counts an attempt, as failed until it is known to be of use, and returns the pause to make before it.
func (d *dialer) attempt() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	rounds, into := d.failed/len(d.servers), d.failed%len(d.servers)
	d.failed++
	if rounds == 0 || into > 0 {
		return 0
	}
	return min(firstDelay<<min(rounds-1, 10), d.longest)
}

// hosts is a dialer as the library wants it, for one session. The library's own way waits for a second before it tries anew,
// resolves names only once, and believes lengths.
type hosts struct {
	*dialer
	ctx context.Context // of the session

	mu          sync.Mutex // guards what follows
	established bool
	conn        net.Conn
}

// Init implements zk.HostProvider.
func (h *hosts) Init([]string) error { return nil }

// Len implements zk.HostProvider.
func (h *hosts) Len() int { return len(h.servers) }

// Next implements zk.HostProvider. With retry the library makes no attempt before a second has passed, and looks whether it is to
// end: so it is once the session has been lost.
func (h *hosts) Next() (server string, retry bool) {
	retry = h.lost() || h.ctx.Err() != nil
	h.dialer.mu.Lock()
	defer h.dialer.mu.Unlock()
	server = h.servers[h.next%len(h.servers)]
	h.next++
	return server, retry
}

// Connected implements zk.HostProvider.
func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.established = true
}

// lost reports whether there was a session, which counts once it is known that the connection is not there any more.
func (h *hosts) lost() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.established
}

// dial connects to a server.
func (h *hosts) dial(network, address string, _ time.Duration) (net.Conn, error) {
	if pause := h.attempt(); pause > 0 {
		select {
		case <-time.After(pause):
		case <-h.ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(h.ctx, dialTimeout)
	defer cancel()
	conn, err := watchful.DialContext(ctx, network, address)
	if err != nil {
		if h.ctx.Err() == nil {
			h.failure(err)
		}
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = &framed{Conn: conn}
	return h.conn, nil
}

// close ends the connection, if the library has not.
func (h *hosts) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		h.conn.Close()
	}
}

// watchful notices a peer that went away without a word.
var watchful = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3},
	Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		control := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
		})
		return errors.Join(control, err)
	},
}

// framed checks the lengths of packets, before the library makes room for what they claim, and bounds the wait for the first.
type framed struct {
	net.Conn
	head  []byte // of the packet that is being read
	left  int    // bytes of its body to come
	heard bool
}

// The shortest packet is the header of an answer.
const minPacket = 16

// Read implements net.Conn.
func (f *framed) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	for rest := b[:n]; len(rest) > 0; {
		if f.left > 0 {
			skip := min(f.left, len(rest))
			f.left -= skip
			rest = rest[skip:]
			continue
		}
		f.head, rest = append(f.head, rest[0]), rest[1:]
		if len(f.head) < 4 {
			continue
		}
		length := binary.BigEndian.Uint32(f.head)
		if f.head = f.head[:0]; length < minPacket || length > maxPacket {
			return 0, fmt.Errorf("a packet of %d bytes: %s is no ZooKeeper server", length, f.RemoteAddr())
		}
		f.left, f.heard = int(length), true
	}
	return n, err
}

// SetReadDeadline implements net.Conn.
func (f *framed) SetReadDeadline(t time.Time) error {
	if first := time.Now().Add(helloTimeout); !f.heard && t.After(first) {
		t = first
	}
	return f.Conn.SetReadDeadline(t)
}
