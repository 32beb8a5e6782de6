package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// session carries events to a plugin, one after the other: the server's half of the protocol in hook.proto. It is for one
// goroutine.
type session struct {
	generation *generation
	stream     grpc.BidiStreamingClient[wire.ServerMessage, wire.PluginMessage]
	ctx        context.Context // of the stream
	cancel     context.CancelCauseFunc
	timer      *time.Timer
}

var errTimeout = errors.New("the time of the hook is up")

// session returns one that carries no event, and reports whether it is a fresh one.
func (g *generation) session() (s *session, fresh bool, err error) {
	g.mu.Lock()
	if n := len(g.idle); n > 0 {
		s = g.idle[n-1]
		g.idle[n-1] = nil
		g.idle = g.idle[:n-1]
		g.mu.Unlock()
		return s, false, nil
	}
	g.mu.Unlock()
	s = &session{generation: g}
	s.ctx, s.cancel = context.WithCancelCause(g.ctx)
	stream, err := g.calls.Session(s.ctx)
	if err != nil {
		s.cancel(err)
		return nil, true, err
	}
	s.stream = stream
	s.timer = time.AfterFunc(time.Hour, func() { s.cancel(errTimeout) })
	s.timer.Stop()
	g.open.Add(1)
	return s, true, nil
}

// keep takes back a session that ended its event as it should.
func (g *generation) keep(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle = append(g.idle, s)
}

// drop ends a session.
func (s *session) drop() {
	s.timer.Stop()
	s.cancel(context.Canceled)
	s.generation.open.Add(-1)
}

// start lets the time of a hook begin. After it the session is ended, whatever is under way.
func (s *session) start(limit time.Duration) { s.timer.Reset(limit) }

// sound reports whether the session can be used again.
func (s *session) sound() bool { return s.timer.Stop() && s.ctx.Err() == nil }

// whyBroken says why a message could not be sent or received: a kind and a text.
func (s *session) whyBroken(err error) (kind, string) {
	cause := context.Cause(s.ctx)
	switch {
	case errors.Is(cause, errTimeout):
		return timedOut, ""
	case s.ctx.Err() != nil && !errors.Is(cause, errStopped) && !errors.Is(cause, context.Canceled):
		return exited, cause.Error()
	}
	switch st := status.Convert(err); st.Code() {
	case codes.ResourceExhausted:
		return protocol, "its message is too large: " + st.Message()
	case codes.Unavailable, codes.Canceled, codes.Unknown:
		// The process may be gone, and this be the first sign of it.
		if end := s.generation.ending(exitNews); end != "" {
			return exited, "its process ended: " + end
		}
		return exited, "it ended the session: " + st.Message()
	default:
		return protocol, fmt.Sprintf("it broke the protocol: %s: %s", st.Code(), st.Message())
	}
}

// exitNews is how long the news of a process's end may take.
const exitNews = 100 * time.Millisecond

// ending says how the process ended, or nothing if it goes on.
func (g *generation) ending(wait time.Duration) string {
	select {
	case <-g.process.ended:
		return g.process.end()
	case <-time.After(wait):
		return ""
	}
}

func isUnimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }
