package cluster

import (
	"bytes"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// cutter stands between moray and PostgreSQL. From time to time it resets a connection instead of handing on the answer to a write.
type cutter struct {
	target   string
	listener net.Listener
	cuts     atomic.Int64
	answers  atomic.Int64
	running  sync.WaitGroup
	mu       sync.Mutex // guards conns
	conns    map[net.Conn]bool
}

// cutEvery is how many answers to writes get through between two that do not.
const cutEvery = 40

func newCutter(t testing.TB, target string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{target: target, listener: ln, conns: map[net.Conn]bool{}}
	c.running.Go(c.accept)
	t.Cleanup(func() {
		ln.Close()
		c.mu.Lock()
		for conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		c.running.Wait()
	})
	return c
}

func (c *cutter) address() string { return c.listener.Addr().String() }

// accept ends with the listener.
func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.target)
		if err != nil {
			client.Close()
			continue
		}
		c.mu.Lock()
		c.conns[client], c.conns[server] = true, true
		c.mu.Unlock()
		c.running.Go(func() { c.copy(server, client, false) })
		c.running.Go(func() { c.copy(client, server, true) })
	}
}

func (c *cutter) copy(to, from net.Conn, answers bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		written := answers && (bytes.Contains(buf[:n], []byte("INSERT 0 ")) || bytes.Contains(buf[:n], []byte("UPDATE ")) ||
			bytes.Contains(buf[:n], []byte("COMMIT\x00")) || bytes.Contains(buf[:n], []byte("SELECT 1\x00")))
		if written && c.answers.Add(1)%cutEvery == 0 {
			c.cuts.Add(1)
			if tcp, ok := to.(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// fileHas reports whether a file has a text in it.
func fileHas(path, text string) bool {
	b, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(b), text)
}
