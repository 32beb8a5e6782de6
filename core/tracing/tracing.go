// Package tracing sends traces of requests to an OpenTelemetry collector: a span for each request, and below it one for each wait, each
// statement of SQL and each call of hooks.
//
// A request is told of when it is done, so tracing costs it nothing but the notes in its [object.Trail], and a collector that is
// slow or gone costs it nothing at all: what cannot be sent in time is dropped.
package tracing

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/rpc"
)

// Config says which requests are traced, and where their traces go.
type Config struct {
	Endpoint string // URL of a collector that takes OTLP over HTTP
	Sample   int    // of how many requests, in percent
	// What tells this server from others.
	Version, Instance, Host, Datacenter string
	Log                                 *slog.Logger
}

// Tracer makes traces. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	sample   uint64 // of 100
}

// stopTimeout bounds the sending of what is left at the end.
const stopTimeout = 5 * time.Second

// New makes a tracer. Nothing is connected to before there is something to send.
func New(c Config) (*Tracer, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint = endpoint.JoinPath("v1/traces") // as the OTEL_EXPORTER_OTLP_ENDPOINT variable means it
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(endpoint.String()))
	if err != nil {
		return nil, fmt.Errorf("tracing to %s: %w", c.Endpoint, err)
	}
	of := resource.NewSchemaless(
		attribute.String("service.name", "moray"), attribute.String("service.version", c.Version),
		attribute.String("service.instance.id", c.Instance), attribute.String("host.name", c.Host),
		attribute.String("moray.datacenter", c.Datacenter),
	)
	provider := sdk.NewTracerProvider(
		sdk.WithResource(of), sdk.WithIDGenerator(ids{}), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithBatcher(&reporting{exporter, c.Log.With("component", "tracing", "endpoint", c.Endpoint)}),
	)
	return &Tracer{
		provider: provider, tracer: provider.Tracer("github.com/kaizengarden/moray"), sample: uint64(c.Sample),
	}, nil
}

// Run waits until ctx ends and then sends what is left, for some seconds at most.
func (t *Tracer) Run(ctx context.Context) error {
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	t.provider.Shutdown(stop) //nolint:errcheck // because the exporter has logged it
	return nil
}

// Traces reports whether the request with an id is traced. All servers say the same of one id.
func (t *Tracer) Traces(requestID string) bool {
	id, err := uuid.Parse(requestID)
	return err == nil && binary.BigEndian.Uint64(id[8:])%100 < t.sample
}

// Record makes the spans of a request.
func (t *Tracer) Record(d *rpc.Done) {
	id, err := uuid.Parse(d.Request)
	if err != nil {
		return
	}
	ctx, span := t.tracer.Start(context.WithValue(context.Background(), idKey{}, trace.TraceID(id)), d.Method,
		trace.WithTimestamp(d.Began), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("rpc.system", "node-fast"), attribute.String("rpc.method", d.Method),
			attribute.String("client.address", d.Client), attribute.Int64("moray.connection", int64(d.Conn)),
			attribute.String("moray.bucket", d.Bucket), attribute.String("moray.req_id", d.Request),
		))
	for i := range d.Trail.Steps {
		t.step(ctx, &d.Trail.Steps[i])
	}
	if name := d.ErrorName(); name != "" {
		span.SetAttributes(attribute.String("error.type", name))
		span.SetStatus(codes.Error, name)
	}
	span.End(trace.WithTimestamp(d.Began.Add(d.Took)))
}

func (t *Tracer) step(ctx context.Context, s *object.Step) {
	name, kind := s.Phase.String(), trace.SpanKindInternal
	var attributes []attribute.KeyValue
	switch s.Phase {
	case object.SQL:
		kind = trace.SpanKindClient
		if words := strings.Fields(s.Text[:min(len(s.Text), 64)]); len(words) > 0 {
			name = strings.ToUpper(words[0])
		}
		attributes = []attribute.KeyValue{attribute.String("db.system.name", "postgresql"), attribute.String("db.query.text", s.Text)}
	case object.Hooks:
		kind, name = trace.SpanKindClient, "hook "+s.Text
		attributes = []attribute.KeyValue{attribute.String("moray.hook", s.Text)}
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(s.Began), trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	span.End(trace.WithTimestamp(s.Began.Add(s.Took)))
}

// ids gives a trace the id of its request.
type ids struct{}

type idKey struct{}

// NewIDs implements sdk.IDGenerator.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(idKey{}).(trace.TraceID)
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // 0 is no id
	return id
}

// reporting logs what cannot be sent.
type reporting struct {
	sdk.SpanExporter
	log *slog.Logger
}

// ExportSpans implements sdk.SpanExporter.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := r.SpanExporter.ExportSpans(ctx, spans); err != nil {
		r.log.Warn("spans are lost: the collector does not take them", "spans", len(spans), "err", err)
	}
	return nil
}
