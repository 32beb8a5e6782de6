package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// maxLine is how long a line of a plugin may be; the rest of a longer one is left out.
const maxLine = 64 << 10

// lineReader splits what a plugin prints into lines of bounded length.
type lineReader struct{ r *bufio.Reader }

func newLineReader(f *os.File) *lineReader { return &lineReader{bufio.NewReaderSize(f, 16<<10)} }

// next returns the next line without its end. Of one that is too long it says how much is missing.
func (l *lineReader) next() (string, error) {
	var line []byte
	omitted := 0
	for {
		piece, err := l.r.ReadSlice('\n')
		room := min(len(piece), maxLine-len(line))
		line = append(line, piece[:room]...)
		omitted += len(piece) - room
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && len(line) == 0:
			return "", err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if omitted > 1 {
			text += fmt.Sprintf("… (%d bytes more)", omitted)
		}
		return text, nil
	}
}

// handshakeLine is how go-plugin's handshake begins: the versions of the protocols, and a network.
var handshakeLine = regexp.MustCompile(`^\d+\|\d+\|[a-z]+\|`)

// maxNoise is how much of what is no handshake is kept for an error.
const maxNoise = 1 << 10

// handshakeReader is the stdout of a plugin: go-plugin sees the line of the handshake, everything else is noise for the log.
type handshakeReader struct {
	r     *os.File
	lines *lineReader
	noise func(line string)
	rest  []byte // of the handshake, not read yet

	mu   sync.Mutex
	done chan struct{} // closed when everything was read
	kept []byte        // the first noise
	got  bool          // the handshake
}

// Read implements io.Reader.
func (h *handshakeReader) Read(b []byte) (int, error) {
	for len(h.rest) == 0 {
		line, err := h.lines.next()
		if err != nil {
			h.finish()
			return 0, err
		}
		h.mu.Lock()
		if !h.got && handshakeLine.MatchString(line) {
			h.got = true
			h.mu.Unlock()
			h.rest = []byte(line + "\n")
			break
		}
		if !h.got && len(h.kept) < maxNoise {
			h.kept = append(h.kept, line[:min(len(line), maxNoise-len(h.kept))]...)
			h.kept = append(h.kept, '\n')
		}
		h.mu.Unlock()
		h.noise(line)
	}
	n := copy(b, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (h *handshakeReader) Close() error { return h.r.Close() }

// ending returns the channel that is closed when everything was read.
func (h *handshakeReader) ending() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done == nil {
		h.done = make(chan struct{})
	}
	return h.done
}

func (h *handshakeReader) finish() {
	done := h.ending()
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-done:
	default:
		close(done)
	}
}

// drain waits until everything was read, but not for long, and closes the pipe.
func (h *handshakeReader) drain(limit time.Duration) {
	select {
	case <-h.ending():
	case <-time.After(limit):
	}
	h.r.Close()
}

// shookHands reports whether the handshake came.
func (h *handshakeReader) shookHands() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

// said returns what the plugin printed in place of the handshake.
func (h *handshakeReader) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(string(h.kept))
}
