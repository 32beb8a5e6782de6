package js

import (
	"log/slog"
	"testing"

	"github.com/kaizengarden/moray/hooks/sdk"
)

// sample is an object of some 500 bytes.
const sample = `{"dirname":"/8d085f9e/stor/photos","key":"/8d085f9e/stor/photos/cat.jpg","name":"cat.jpg","owner":"8d085f9e","roles":[],` +
	`"type":"object","mtime":1560000000000,"headers":{"m-album":"pets"},"contentType":"image/jpeg","contentLength":48211,` +
	`"contentMD5":"CbPRQHpU3XYbZ8zqnIZ4Kg==","etag":"f6a5","objectId":"f6a5","sharks":[{"datacenter":"dc1","manta_storage_id":` +
	`"2.stor.example.com"},{"datacenter":"dc2","manta_storage_id":"5.stor.example.com"}],"vnode":123456}`

// BenchmarkHandle is a call of a small trigger, without the way to the plugin and back.
func BenchmarkHandle(b *testing.B) {
	h, err := newPlugin(1 << 30).bind(&sdk.Binding{Definition: bucket, Config: []byte(quote(`function (req, cb) { req.value.two = 2; cb(); }`))})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	b.ReportAllocs()
	for b.Loop() {
		e := &sdk.Event{Phase: sdk.Pre, Bucket: bucket, Key: "k", Value: []byte(sample), Schema: []byte(`{}`), Log: log}
		if err := h.Handle(ctx, e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlugin is the same call over the protocol, one after the other.
func BenchmarkPlugin(b *testing.B) {
	x := load(b, `function (req, cb) { req.value.two = 2; cb(); }`)
	for b.Loop() {
		x.fire(put("k", sample))
	}
}

// BenchmarkBuckets is the same, on eight buckets at once.
func BenchmarkBuckets(b *testing.B) {
	x := load(b)
	b.SetParallelism(4)
	b.RunParallel(func(p *testing.PB) {
		one := x.with(`function (req, cb) { req.value.two = 2; cb(); }`)
		for p.Next() {
			one.fire(put("k", sample))
		}
	})
}

// BenchmarkEngine is the making of an engine, which every definition has.
func BenchmarkEngine(b *testing.B) {
	w := newPlugin(1 << 30).watch
	b.ReportAllocs()
	for b.Loop() {
		newEngine(w)
	}
}

// BenchmarkEvaluate is the check of a trigger that a client sends.
func BenchmarkEvaluate(b *testing.B) {
	w := newPlugin(1 << 30).watch
	for b.Loop() {
		if _, err := evaluate(ctx, w, `(function (req, cb) { req.value.two = 2; cb(); })`); err != nil {
			b.Fatal(err)
		}
	}
}
