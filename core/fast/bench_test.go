package fast_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// A putObject as a stock client sends it, about 660 bytes.
var putArgs = `["vms","c6b8f3a2-0d3c-4f0e-9c38-2f6a8f1f5a10",{"uuid":"c6b8f3a2-0d3c-4f0e-9c38-2f6a8f1f5a10","alias":"web01",` +
	`"owner_uuid":"930896af-bf8c-48d4-885c-6573a94b1853","brand":"joyent-minimal","state":"running","server_uuid":"44454c4c-5400",` +
	`"max_physical_memory":1024,"ram":1024,"quota":25,"cpu_cap":100,"create_timestamp":1560000000000,"destroyed":"","docker":true,` +
	`"tags":"-role=web--smoke=%b{true}-","nics":[{"mac":"90:b8:d0:12:34:56","ip":"10.0.0.5","primary":true}],"data_version":1},` +
	`{"req_id":"c707d065-2f3e-4b7e-9d53-0f8c2cf81ff4","headers":{},"no_count":false,"sql_only":false,"noCache":true}]`

type repeat struct {
	frame []byte
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], r.frame[r.at:])
		n += k
		if r.at += k; r.at == len(r.frame) {
			r.at = 0
		}
	}
	return n, nil
}

func BenchmarkDecode(b *testing.B) {
	frame := fasttest.Request(fast.V2, 7, "putObject", putArgs)
	d := fast.NewDecoder(&repeat{frame: frame}, 1<<20)
	var m fast.Message
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(&m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnvelope(b *testing.B) {
	frame := fasttest.Request(fast.V2, 7, "putObject", putArgs)
	m := fast.Message{Status: fast.StatusData, Payload: frame[15:]}
	b.SetBytes(int64(len(m.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		e, err := m.Envelope()
		if err != nil || e.Method() != "putObject" {
			b.Fatal(err, e.Method())
		}
	}
}

func BenchmarkAppendTo(b *testing.B) {
	m := fast.Message{Version: fast.V2, Status: fast.StatusData, ID: 7, Payload: []byte(putArgs)}
	var frame []byte
	b.SetBytes(int64(len(putArgs)))
	b.ReportAllocs()
	for b.Loop() {
		frame = m.AppendTo(frame[:0])
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, v := range []fast.Version{fast.V1, fast.V2} {
		b.Run(fmt.Sprintf("v%d", v), func(b *testing.B) {
			payload := []byte(putArgs)
			b.SetBytes(int64(len(payload)))
			for b.Loop() {
				v.Checksum(payload)
			}
		})
	}
}

// BenchmarkRequest measures requests over loopback TCP, server and client in one process, with so many in flight on one
// connection. An answer is END alone (ping) or a value and END (value).
func BenchmarkRequest(b *testing.B) {
	value := jsvalue.Value(`{"bucket":"demo","key":"k1","value":{"name":"x"},"_id":1,"_etag":"0B8D89E4","_mtime":1795331078130}`)
	addr := fasttest.Serve(b, &fast.Server{Handler: fast.HandlerFunc(func(_ context.Context, w fast.Sender, r *fast.Request) error {
		if r.Method == "value" {
			return w.Send(value)
		}
		return nil
	})})
	for _, method := range []string{"ping", "value"} {
		for _, inFlight := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", method, inFlight), func(b *testing.B) {
				c, err := fast.Dial(b.Context(), addr, fast.V2)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range inFlight {
					wg.Go(func() {
						for range (b.N + i) / inFlight {
							if err := c.Call(b.Context(), method, jsvalue.Value(`[{}]`), nil); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
