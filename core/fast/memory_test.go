package fast_test

import (
	"encoding/binary"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
)

// Connections cost little, whatever lengths their headers claim. Not parallel: the whole process is measured.
func TestMemoryOfConnections(t *testing.T) {
	const n, limit = 1000, 32 << 10
	s := &fast.Server{Handler: handlers{"ping": ping}}
	addr := fasttest.Serve(t, s)
	ping := fasttest.Request(fast.V2, 1, "ping", `[]`)
	huge := edited(func(f []byte) { binary.BigEndian.PutUint32(f[11:], 64<<20) })[:16]

	before := memory()
	var conns []net.Conn
	for range n {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns = append(conns, nc)
		nc.SetDeadline(time.Now().Add(time.Minute))
		if _, err := nc.Write(ping); err != nil {
			t.Fatal(err)
		}
	}
	for _, nc := range conns {
		if _, err := nc.Read(make([]byte, 100)); err != nil { // the server has served it
			t.Fatal(err)
		}
		if _, err := nc.Write(huge); err != nil { // a header that claims 64 MiB, and one byte
			t.Fatal(err)
		}
	}
	if open := s.Snapshot().Stats.ConnectionsActive; open != n {
		t.Fatalf("%d connections are open, want %d", open, n)
	}
	if used := (memory() - before) / n; used > limit {
		t.Errorf("%d bytes a connection, want at most %d", used, limit)
	} else {
		t.Logf("%d bytes a connection", used)
	}
}

// memory returns what the heap and the stacks use.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// An answer costs few allocations.
func TestAllocations(t *testing.T) {
	const most = 6
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{"ping": ping}})
	p := fasttest.Dial(t, addr)
	frame := fasttest.Request(fast.V2, 1, "ping", `[{}]`)
	d := fast.NewDecoder(p.Conn, 1<<20)
	var m fast.Message
	allocs := testing.AllocsPerRun(2000, func() {
		p.Write(frame)
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > most {
		t.Errorf("%v allocations a ping, want at most %d", allocs, most)
	}
}
