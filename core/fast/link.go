package fast

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// link is what the two ends of a connection have in common: the lock, the frames that wait to be sent, and who sends them.
//
// Whoever appends frames pushes them, or starts a writer, once there are no more to be appended just then. A push hands them to
// the system without waiting; what it does not take is for a writer, which writes until nothing is left. So a lone frame
// leaves at once and without a hand-off, and frames that come while a write is on its way leave together in the next one.
type link struct {
	nc      net.Conn
	socket  net.Conn       // under nc's encryption, if any: closing it never waits
	timeout time.Duration  // a write that makes no progress for so long ends the connection
	armed   time.Time      // when the write deadline was set; belongs to the writer
	try     *trial         // nil if nc cannot be written to without waiting
	tasks   sync.WaitGroup // goroutines of this end, added only while the link lives
	sent    atomic.Uint64  // bytes

	mu      sync.Mutex // guards what follows, and what the owner declares to be guarded by it
	changed sync.Cond  // on mu; broadcast when anything that someone may wait for has changed
	out     *buffer    // frames that wait for the writer; nil if there are none
	uts     int64      // when the first of them was made, in µs since 1970
	leaving int        // bytes of frames that the writer has taken
	writing bool       // there is a writer
	err     error      // why the link is dead; nil while it lives
}

func (l *link) init(nc net.Conn, timeout time.Duration) {
	l.nc, l.socket, l.timeout, l.try = nc, socketOf(nc), timeout, newTrial(nc)
	l.changed.L = &l.mu
}

// socketOf returns what is under the encryption of nc, or nc itself.
func socketOf(nc net.Conn) net.Conn {
	if encrypted, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return encrypted.NetConn()
	}
	return nc
}

// buffer holds frames. Those of ordinary size are used again by other connections, so that idle ones hold none.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

const maxPooledBuffer = 64 << 10

func (b *buffer) free() {
	if cap(b.b) <= maxPooledBuffer {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// appendFrame appends one frame: m is {"uts":now,"name":method}, and d is what appendD appends. mu is held, the link lives.
func (l *link) appendFrame(v Version, s Status, id uint32, method string, appendD func(dst []byte) []byte) {
	if l.out == nil {
		l.out = buffers.Get().(*buffer)
		l.uts = time.Now().UnixMicro() // of all that leaves together
	}
	start := len(l.out.b)
	b := append(l.out.b, emptyHeader[:]...)
	b = strconv.AppendInt(append(b, `{"m":{"uts":`...), l.uts, 10)
	b = append(b, `,"name":`...)
	if method == "" {
		b = append(b, jsvalue.Null...) // the answer to a request that names no method
	} else {
		b = jsvalue.AppendString(b, method)
	}
	b = appendD(append(b, `},"d":`...))
	l.out.b = sealFrame(append(b, '}'), start, v, s, id)
}

// waiting returns the number of bytes that were appended and did not leave yet. mu is held.
func (l *link) waiting() int {
	if l.out == nil {
		return l.leaving
	}
	return l.leaving + len(l.out.b)
}

// push sends the frames that wait as far as that is possible without waiting, and leaves the rest to a writer. mu is held, but
// not while writing.
func (l *link) push() {
	for l.out != nil && l.err == nil && !l.writing {
		if l.try == nil {
			l.startWriter()
			return
		}
		l.writing = true
		batch := l.take()
		l.mu.Unlock()
		n := l.try.write(batch.b)
		l.sent.Add(uint64(n))
		l.mu.Lock()
		l.writing = false
		if n < len(batch.b) && l.err == nil {
			l.writing = true
			l.tasks.Go(func() { l.write(batch, n) })
			return
		}
		l.left(batch)
	}
}

// take takes the frames that wait, for the writer. mu is held.
func (l *link) take() *buffer {
	batch := l.out
	l.out, l.leaving = nil, len(batch.b)
	return batch
}

// left notes that the frames in batch were sent. mu is held.
func (l *link) left(batch *buffer) {
	batch.free()
	l.leaving = 0
	l.changed.Broadcast()
}

// startWriter starts a writer for the frames that wait: there are some, and no writer. mu is held.
func (l *link) startWriter() {
	l.writing = true
	batch := l.take()
	l.tasks.Go(func() { l.write(batch, 0) })
}

// write is the writer. It sends batch from its n-th byte, and then frames until none are left or the link is dead.
func (l *link) write(batch *buffer, n int) {
	for {
		err := l.send(batch.b[n:])
		l.mu.Lock()
		l.left(batch)
		if err != nil {
			l.fail(err)
		}
		if l.out == nil || l.err != nil {
			l.writing = false
			l.mu.Unlock()
			return
		}
		batch, n = l.take(), 0
		l.mu.Unlock()
	}
}

// send writes p. It fails when no byte could be written for the whole timeout. Only the writer calls it.
func (l *link) send(p []byte) error {
	for {
		// The deadline is renewed now and then, not for every write.
		if now := time.Now(); now.Sub(l.armed) > l.timeout/4 {
			if err := l.nc.SetWriteDeadline(now.Add(l.timeout + l.timeout/4)); err != nil {
				return err
			}
			l.armed = now
		}
		n, err := l.nc.Write(p)
		l.sent.Add(uint64(n))
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		p, l.armed = p[n:], time.Time{}
	}
}

// fail makes the link dead, unless it is already: it drops what waits and closes the socket, which ends a read or a write
// that is on its way. mu is held.
func (l *link) fail(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	if l.out != nil {
		l.out.free()
		l.out = nil
	}
	l.changed.Broadcast()
	l.socket.Close()
}
