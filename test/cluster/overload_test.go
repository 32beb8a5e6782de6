package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/fast"
)

// size is what overload means: for make cluster-test, and for the short form.
type size struct {
	idle, busy, storm, heads, giants, finds int
}

func overloadSize() size {
	if *all {
		return size{idle: 10000, busy: 1000, storm: 5000, heads: 10000, giants: 40, finds: 100000}
	}
	return size{idle: 500, busy: 100, storm: 300, heads: 100, giants: 4, finds: 5000}
}

// The bounds that hold for every overload: of memory beyond what the server takes when it is quiet.
const (
	perIdle     = 48 << 10  // a connection that is open and silent, or has sent the head of a frame
	perBusy     = 256 << 10 // one with a request under way
	perReader   = 8 << 20   // one that does not read what it asked for
	allGiants   = 512 << 20 // giant frames of all clients together, what is made of them, and garbage
	baseGrowth  = 64 << 20  // whatever the number of connections: garbage that is not collected yet
	giantLength = 60 << 20  // a length that is allowed
)

// TestOverload does to a server what clients may do, and looks at its memory, and at what another client notices.
func TestOverload(t *testing.T) {
	n := overloadSize()
	r := newReplication(t, 0, nil)
	m := newMoray(t, standalone(r), "GOMEMLIMIT=256MiB")
	m.awaitReady(t)
	createBuckets(t, m.address())
	v := newVictim(t, m)
	for _, o := range []struct {
		name  string
		bound int
		do    func(testing.TB, *moray)
	}{
		{"quiet", baseGrowth, func(testing.TB, *moray) { time.Sleep(time.Second) }},
		{fmt.Sprintf("%d idle connections", n.idle), baseGrowth + n.idle*perIdle, func(t testing.TB, m *moray) { idle(t, m, n.idle, nil) }},
		{fmt.Sprintf("%d heads of giant frames", n.heads), baseGrowth + n.heads*perIdle, func(t testing.TB, m *moray) {
			idle(t, m, n.heads, head(giantLength))
		}},
		{fmt.Sprintf("%d giant frames", n.giants), baseGrowth + allGiants, func(t testing.TB, m *moray) { giants(t, m, n.giants) }},
		{"lengths that are refused", baseGrowth, refusedLengths},
		{fmt.Sprintf("%d busy connections", n.busy), baseGrowth + n.busy*perBusy, func(t testing.TB, m *moray) { busy(t, m, n.busy) }},
		{fmt.Sprintf("%d new connections", n.storm), baseGrowth, func(t testing.TB, m *moray) { storm(t, m, n.storm) }},
		{fmt.Sprintf("%d finds that nobody reads", n.finds), baseGrowth + perReader, func(t testing.TB, m *moray) { deaf(t, m, n.finds) }},
	} {
		v.during(t, o.name, o.bound, o.do)
	}
	v.print(t)
	if !m.ready() {
		t.Error("the server is not ready afterwards")
	}
}

// standalone is the part of a configuration that names the first server, and gives up early on clients that do not read.
func standalone(r *replication) string {
	return fmt.Sprintf(`"fast":{"writeTimeout":3000},"standalone":{"url":"postgres://moray@%s/moray?sslmode=disable","pg":{"maxConnections":8}}`,
		r.nodes[0].address())
}

// victim is a client that wants one object every few milliseconds, and notices how long that takes.
type victim struct {
	server *moray
	client *client.Client
	quiet  time.Duration // its median when nobody else is there
	lines  []string
}

func newVictim(t testing.TB, m *moray) *victim {
	t.Helper()
	v := &victim{server: m, client: client.New(client.Config{Addresses: []string{m.address()}, Connections: 1})}
	t.Cleanup(v.client.Close)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := v.client.PutObject(ctx, ledgerBucket, "victim", []byte(`{"n":1}`), nil); err != nil {
		t.Fatal(err)
	}
	return v
}

// during does something to the server and holds it to a bound of its memory.
func (v *victim) during(t *testing.T, name string, bound int, do func(testing.TB, *moray)) {
	t.Helper()
	before := v.server.memory(t)
	ctx, stop := context.WithCancel(context.Background())
	var latencies []time.Duration
	most := 0
	var watch sync.WaitGroup
	watch.Go(func() {
		for ctx.Err() == nil {
			request, cancel := context.WithTimeout(context.Background(), requestTime)
			start := time.Now()
			_, err := v.client.GetObject(request, ledgerBucket, "victim", nil)
			cancel()
			if err != nil {
				t.Errorf("%s: another client got %v", name, err)
			}
			latencies = append(latencies, time.Since(start))
			time.Sleep(2 * time.Millisecond)
		}
	})
	watch.Go(func() {
		for ctx.Err() == nil {
			most = max(most, v.server.memory(t))
			time.Sleep(20 * time.Millisecond)
		}
	})
	do(t, v.server)
	stop()
	watch.Wait()
	slices.Sort(latencies)
	if growth := most - before; growth > bound {
		t.Errorf("%s: memory grew by %d MB, and may grow by %d MB", name, growth>>20, bound>>20)
	}
	at := func(share float64) time.Duration {
		return latencies[int(share*float64(len(latencies)-1))].Round(10 * time.Microsecond)
	}
	if v.quiet == 0 {
		v.quiet = at(0.5)
	}
	v.lines = append(v.lines, fmt.Sprintf("%s\t%d\t%d\t%v\t%.1f\t%v\t%v\t", name, before>>20, most>>20, at(0.5), float64(at(0.5))/float64(v.quiet), at(0.99), at(1)))
}

func (v *victim) print(t testing.TB) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "overload\tMB before\tMB at most\tothers' p50\ttimes quiet\tp99\tmax\t")
	for _, line := range v.lines {
		fmt.Fprintln(w, line)
	}
	w.Flush()
	t.Logf("\n%s", b.String())
	if *resultsDir != "" {
		if err := os.WriteFile(filepath.Join(*resultsDir, "overload.txt"), b.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// memory returns the bytes that the server holds.
func (m *moray) memory(t testing.TB) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.server.cmd.Process.Pid))
	if err != nil {
		t.Errorf("the server is gone: %v", err)
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Error(err)
			}
			return kB << 10
		}
	}
	t.Error("the server has no memory")
	return 0
}

// dialRaw connects without a client.
func dialRaw(t testing.TB, m *moray) net.Conn {
	conn, err := net.DialTimeout("tcp", m.address(), 10*time.Second)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return conn
}

// head is the head of a frame whose payload has a length.
func head(length uint32) []byte {
	frame := []byte{byte(fast.V2), 1, byte(fast.StatusData), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(frame[11:], length)
	return frame
}

// idle opens connections, sends each the same, and holds them for a second.
func idle(t testing.TB, m *moray, n int, first []byte) {
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dialRaw(t, m)
		if _, err := conns[i].Write(first); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second) // what is to be seen is what it costs to hold them
	for _, c := range conns {
		c.Close()
	}
}

// giants sends many giant frames at once.
func giants(t testing.TB, m *moray, n int) {
	arg := append(append([]byte(`["`), bytes.Repeat([]byte("x"), giantLength-100)...), `"]`...)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c, err := fast.Dial(ctx, m.address(), fast.V2)
			if err == nil {
				err = c.Call(ctx, "version", arg, nil)
				c.Close()
			}
			if answer := (*fast.Error)(nil); err != nil && !errors.As(err, &answer) {
				t.Errorf("a giant frame is not answered: %v", err)
			}
		})
	}
	all.Wait()
}

// refusedLengths claims lengths that no frame may have. The connection is closed.
func refusedLengths(t testing.TB, m *moray) {
	for _, length := range []uint32{1<<32 - 1, 1 << 31, 1 << 30, 64<<20 + 1} {
		conn := dialRaw(t, m)
		conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write(head(length)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Errorf("a frame of %d bytes is waited for: %v", length, err)
		}
		conn.Close()
	}
}

// busy has many clients, each with one request at a time, ten times.
func busy(t testing.TB, m *moray, n int) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c := client.New(client.Config{Addresses: []string{m.address()}, Connections: 1, DialTimeout: patience})
			defer c.Close()
			for range 10 {
				ctx, cancel := context.WithTimeout(context.Background(), requestTime)
				_, err := c.GetObject(ctx, ledgerBucket, "victim", nil)
				cancel()
				if err != nil {
					t.Errorf("one of %d busy clients: %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// storm opens connections one after the other, each for one request.
func storm(t testing.TB, m *moray, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := context.WithTimeout(context.Background(), requestTime)
				c, err := fast.Dial(ctx, m.address(), fast.V2)
				if err == nil {
					err = c.Call(ctx, "version", []byte(`[{}]`), nil)
					c.Close()
				}
				cancel()
				if err != nil {
					t.Errorf("a new connection: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// deaf asks again and again and reads nothing, until the server gives up on it.
func deaf(t testing.TB, m *moray, n int) {
	conn := dialRaw(t, m)
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(patience))
	payload := fmt.Appendf(nil, `{"m":{"uts":1,"name":"findObjects"},"d":["%s","(_key=*)",{}]}`, ledgerBucket)
	for i := range n {
		message := fast.Message{Version: fast.V2, Status: fast.StatusData, ID: uint32(i), Payload: payload}
		if _, err := conn.Write(message.AppendTo(nil)); err != nil {
			if os.IsTimeout(err) {
				t.Error("the server does not give up on a client that does not read")
			}
			return
		}
	}
	// All were taken, so there is little to send; what is sent stays where it is.
	time.Sleep(time.Second)
}
