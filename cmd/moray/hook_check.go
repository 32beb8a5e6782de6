package main

import (
	"context"
	"sync"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/server"
)

// hookChecker checks the hooks of definitions with the plugins of a server, for commands that are none. The plugins are started
// when the first hook is to be checked: most definitions have none.
type hookChecker struct {
	make func(server.HookSettings) (server.Hooks, error)

	once  sync.Once
	hooks server.Hooks
	err   error
	stop  context.CancelFunc
	ended chan error
}

// Check implements bucket.Triggers.
func (h *hookChecker) Check(ctx context.Context, name string, post, pre []bucket.Trigger) error {
	h.once.Do(func() { h.start(ctx) })
	if h.err != nil {
		return h.err
	}
	return h.hooks.Check(ctx, name, post, pre)
}

func (h *hookChecker) start(ctx context.Context) {
	const frame = 64 << 20 // no definition is longer than a message
	if h.hooks, h.err = h.make(server.HookSettings{MessageBytes: frame, Log: discard}); h.err != nil {
		return
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop, h.ended = stop, make(chan error, 1)
	go func() { h.ended <- h.hooks.Run(run) }()
}

// close ends the plugins.
func (h *hookChecker) close() {
	h.once.Do(func() {})
	if h.stop != nil {
		h.stop()
		<-h.ended // that they could not be started is what Check has said
	}
}
