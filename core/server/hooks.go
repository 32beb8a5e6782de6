package server

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
)

// Hooks runs the hooks of buckets in plugins. The server starts it before it listens, and stops it after the last request.
type Hooks interface {
	bucket.Triggers
	object.Triggers

	// Run keeps the plugins running until ctx ends. It returns when all that it started has ended.
	Run(ctx context.Context) error

	// Ready returns an error while the plugins are being started for the first time.
	Ready(ctx context.Context) error
	// Impaired says which plugins do not run, for people; it is empty if all do.
	Impaired() string
	// Kang returns what the kang snapshot shows of each plugin: JSON objects by name.
	Kang() map[string]jsvalue.Value
}

// HookSettings are what the maker of [Hooks] gets from the server.
type HookSettings struct {
	MessageBytes int // longest message of a client
	Log          *slog.Logger
	Metrics      prometheus.Registerer
}
