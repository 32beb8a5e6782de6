package fast

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// link is what the two ends of a connection have in common: the lock, the frames that wait to be sent, and who sends them.
//
// Whoever appends frames and finds no writer active becomes the writer, or starts one, and it writes until nothing is
// left. So a lone frame leaves at once and without a hand-off, and frames that come while a write is on its way leave
// together in the next one.
type link struct {
	nc      net.Conn
	socket  net.Conn       // under nc's encryption, if any: closing it never waits
	timeout time.Duration  // a write that makes no progress for so long ends the connection
	armed   time.Time      // when the write deadline was set; belongs to the writer
	tasks   sync.WaitGroup // goroutines of this end, added only while the link lives
	sent    atomic.Uint64  // bytes

	mu      sync.Mutex // guards what follows, and what the owner declares to be guarded by it
	changed sync.Cond  // on mu; broadcast when anything that someone may wait for has changed
	out     *buffer    // frames that wait for the writer; nil if there are none
	leaving int        // bytes of frames that the writer has taken
	writing bool       // there is a writer
	err     error      // why the link is dead; nil while it lives
}

func (l *link) init(nc net.Conn, timeout time.Duration) {
	l.nc, l.socket, l.timeout = nc, socketOf(nc), timeout
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
	}
	start := len(l.out.b)
	b := append(l.out.b, emptyHeader[:]...)
	b = strconv.AppendInt(append(b, `{"m":{"uts":`...), time.Now().UnixMicro(), 10)
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

// write sends frames until none are left or the link is dead. There was no writer before. mu is held, but not while
// writing. With yield set it first gives other goroutines the chance to append frames.
func (l *link) write(yield bool) {
	l.writing = true
	if yield {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	for l.out != nil && l.err == nil {
		batch := l.out
		l.out, l.leaving = nil, len(batch.b)
		l.mu.Unlock()
		err := l.send(batch.b)
		batch.free()
		l.mu.Lock()
		l.leaving = 0
		if err != nil {
			l.fail(err)
		}
		l.changed.Broadcast()
	}
	l.writing = false
}

// startWriter starts a writer. The caller is not kept writing for others. mu is held.
func (l *link) startWriter() {
	l.writing = true
	l.tasks.Go(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.write(false)
	})
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
