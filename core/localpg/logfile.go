package localpg

import (
	"bytes"
	"os"
	"sync"
	"syscall"
)

// tailSize is how many bytes of the log are kept in memory for error messages.
const tailSize = 4 << 10

// logFile is PostgreSQL's log: a file that is renamed to *.1 when it would grow over its limit, so that both together never
// take more than twice the limit. It is safe for concurrent use.
type logFile struct {
	path  string
	limit int64 // bytes

	mu   sync.Mutex // guards all below
	file *os.File   // nil after a failed rotation and after Close
	size int64
	tail []byte
}

// openLog opens the log at path and goes on at its end.
func openLog(path string, limit int64) (*logFile, error) {
	l := &logFile{path: path, limit: limit}
	if err := l.open(); err != nil {
		return nil, err
	}
	info, err := l.file.Stat()
	if err != nil {
		l.file.Close()
		return nil, err
	}
	l.size = info.Size()
	return l, nil
}

func (l *logFile) open() (err error) {
	l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	l.size = 0
	return err
}

// Write never fails: with a full disk lines are lost, but PostgreSQL must not lose the pipe it writes to.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if excess := len(l.tail) - tailSize; excess > 0 {
		l.tail = append(l.tail[:0], l.tail[excess:]...)
	}
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		l.rotate()
	}
	if l.file != nil {
		n, _ := l.file.Write(p)
		l.size += int64(n)
	}
	return len(p), nil
}

func (l *logFile) rotate() {
	if l.file != nil {
		l.file.Close()
	}
	if os.Rename(l.path, l.path+".1") != nil || l.open() != nil {
		l.file = nil
	}
}

// last returns the last lines of the log.
func (l *logFile) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(tail(l.tail))
}

// Close closes the file.
func (l *logFile) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// tail returns the last ten lines of text.
func tail(text []byte) []byte {
	text = bytes.TrimSpace(text)
	lines := bytes.Split(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-10):], []byte("\n"))
}
