package fast

import (
	"net"
	"syscall"
)

// trial writes to a socket what it takes at once. It is for one goroutine at a time.
type trial struct {
	raw  syscall.RawConn
	p    []byte
	n    int
	once func(fd uintptr) bool
}

// newTrial returns nil if nc is not a socket, or not just that: encryption cannot take back what a socket refuses.
func newTrial(nc net.Conn) *trial {
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	t := &trial{raw: raw}
	t.once = func(fd uintptr) bool {
		t.n, _ = syscall.Write(int(fd), t.p)
		return true
	}
	return t
}

// write returns how many bytes of p were written. Why it was not all is found out by whoever writes the rest.
func (t *trial) write(p []byte) int {
	t.p, t.n = p, 0
	if t.raw.Write(t.once) != nil {
		t.n = 0
	}
	t.p = nil
	return max(t.n, 0)
}
