package tracing_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/rpc"
	"github.com/kaizengarden/moray/core/tracing"
	"github.com/kaizengarden/moray/core/tracing/tracingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecord(t *testing.T) {
	t.Parallel()
	c := tracingtest.New(t)
	tracer, err := tracing.New(tracing.Config{Endpoint: c.URL, Sample: 100, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.NewString()
	d := rpc.Done{Method: "putObject", Request: id, Began: time.Now(), Took: time.Second, Err: fmt.Errorf("broken")}
	d.Trail.Detailed = true
	for range 2 * object.MaxSteps {
		d.Trail.AddUntil(object.SQL, d.Began, d.Began.Add(time.Millisecond), "\n select 1")
	}
	d.Trail.Steps = append(d.Trail.Steps[:2], object.Step{Phase: object.Hooks, Began: d.Began, Text: "audit.record"}, object.Step{Phase: object.Queue})
	tracer.Record(&d)
	tracer.Record(&rpc.Done{Method: "ping", Request: "no id"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tracer.Run(ctx); err != nil {
		t.Error(err)
	}
	want := []string{"SELECT<putObject ", "SELECT<putObject ", "hook audit.record<putObject ", "putObject<- InternalError", "queue<putObject "}
	if got := c.Spans(id); !slices.Equal(got, want) || c.Traces() != 1 {
		t.Errorf("%d traces, spans %q, want %q", c.Traces(), got, want)
	}
}

func TestTraces(t *testing.T) {
	t.Parallel()
	for sample, want := range map[int][2]int{0: {0, 0}, 10: {50, 200}, 100: {1000, 1000}} {
		tracer, err := tracing.New(tracing.Config{Endpoint: "http://127.0.0.1:1", Sample: sample, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		defer tracer.Run(ctx) //nolint:errcheck // because nothing was sent
		n := 0
		for range 1000 {
			id := uuid.NewString()
			yes := tracer.Traces(id)
			if yes != tracer.Traces(id) {
				t.Error("it changes its mind")
			}
			if yes {
				n++
			}
		}
		if n < want[0] || n > want[1] {
			t.Errorf("%d of 1000 requests are traced at %d %%", n, sample)
		}
	}
}
