package rpc_test

import (
	"context"
	"net"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
	"github.com/kaizengarden/moray/core/rpc"
)

// instant is a database that answers every statement at once: what is measured over it is our own work.
type instant struct {
	object.Store
	read, written, deleted object.Row
}

func (s *instant) LoadBucket(_ context.Context, name string) (*bucket.Record, error) {
	return &bucket.Record{
		Name: name, Index: []byte(`{"name":{"type":"string"},"size":{"type":"number"},"active":{"type":"boolean"}}`),
		Pre: []byte(`[]`), Post: []byte(`[]`), Options: []byte(`{"version":1}`), Generation: 7,
		Attributes: []string{"_id", "_txn_snap", "_key", "_value", "_etag", "_mtime", "_vnode", "name", "size", "active"},
	}, nil
}

func (s *instant) Do(_ context.Context, st *query.Statement, row func(object.Row) error) error {
	if st.Sharing != query.Write {
		return row(s.read)
	}
	if st.Args[1] == nil { // the etag of a delete
		return row(s.deleted)
	}
	return row(s.written)
}

const benchValue = `{"name":"1000000017","size":17,"active":true,"owner":"930896af-bf8c-48d4-885c-6573a94b1853",` +
	`"created":"2024-05-17T09:23:11.250Z","tags":["a","b"],"network":{"ip":"10.0.0.17","netmask":"255.255.255.0","mtu":1500},` +
	`"revision":3,"notes":"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL` +
	`MNOPQRSTUVWXYZ0123456789-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_abcdefghijklmnopqrstuvwxyz01234567"}`

// The options as node-moray 4.1 sends them.
const benchOptions = `{"req_id":"6d9c1f3e-9b1f-4c55-8d3f-6f2b7a1c0e42","headers":{},"no_count":true,"sql_only":false,"noCache":true}`

var benchRequests = map[string]string{
	"getObject":   `["bench","1000000017",` + benchOptions + `]`,
	"putObject":   `["bench","1000000017",` + benchValue + `,` + benchOptions + `]`,
	"delObject":   `["bench","1000000017",` + benchOptions + `]`,
	"findObjects": `["bench","(name=1000000017)",` + benchOptions + `]`,
}

// cpuTime is the CPU time of the process in ns, which others on the machine disturb less than the time that passes.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// inFlight is how many requests are sent at a time.
const inFlight = 64

// traffic is a connection that asks the same again and again, of a server over an instant database.
type traffic struct {
	t     testing.TB
	nc    net.Conn
	d     *fast.Decoder
	batch []byte
}

func newTraffic(t testing.TB, method string) *traffic {
	t.Helper()
	text := func(words ...string) (r object.Row) {
		for _, w := range words {
			if w == "NULL" {
				r = append(r, nil)
				continue
			}
			r = append(r, []byte(w))
		}
		return r
	}
	store := &instant{
		read:    text("1000000017", benchValue, "0B8D89E4", "1795331078130", "17", "NULL", "NULL", "1000000017", "17", "t"),
		written: text("t", "NULL", "17"),
		deleted: text("0B8D89E4", "17", "NULL", "t"),
	}
	objects := &object.Service{Store: store, Buckets: &bucket.Cache{}}
	addr := fasttest.Serve(t, &fast.Server{
		Handler: &rpc.Handler{Objects: objects, Buckets: &bucket.Service{Cache: objects.Buckets}},
		Trace:   &fast.Trace{RequestDone: rpc.NewMetrics(prometheus.NewRegistry(), []float64{0.001, 0.01, 0.1}).RequestDone},
	})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &traffic{t: t, nc: nc, d: fast.NewDecoder(nc, 1<<20)}
	for id := range inFlight {
		c.batch = append(c.batch, fasttest.Request(fast.V2, uint32(id), method, benchRequests[method])...)
	}
	return c
}

// run makes at least n requests.
func (c *traffic) run(n int) {
	var m fast.Message
	for ; n > 0; n -= inFlight {
		if _, err := c.nc.Write(c.batch); err != nil {
			c.t.Fatal(err)
		}
		for pending := inFlight; pending > 0; {
			if err := c.d.Decode(&m); err != nil {
				c.t.Fatal(err)
			}
			switch m.Status {
			case fast.StatusError:
				c.t.Fatalf("%s", m.Payload)
			case fast.StatusEnd:
				pending--
			}
		}
	}
}

// BenchmarkRequest measures what a request costs from its frame to the frames of its answer, the client's work included, over a
// database that answers at once.
func BenchmarkRequest(b *testing.B) {
	for _, method := range []string{"getObject", "putObject", "delObject", "findObjects"} {
		b.Run(method, func(b *testing.B) {
			c := newTraffic(b, method)
			b.ReportAllocs()
			start := cpuTime(b)
			b.ResetTimer()
			c.run(b.N)
			b.ReportMetric(float64(cpuTime(b)-start)/float64(b.N), "cpu-ns/op")
		})
	}
}
