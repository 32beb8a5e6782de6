package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// session carries events, one after the other: the plugin's half of the protocol in hook.proto.
type session struct {
	service *service
	stream  grpc.BidiStreamingServer[wire.ServerMessage, wire.PluginMessage]

	mu     sync.Mutex // one message is sent at a time; guards what follows
	number uint64     // of the event under way
	over   bool       // it is not under way any longer
}

// Session implements wire.PluginServer.
func (s *service) Session(stream grpc.BidiStreamingServer[wire.ServerMessage, wire.PluginMessage]) error {
	ss := &session{service: s, stream: stream, over: true}
	defer s.watch(stream.Context())()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e := m.GetEvent()
		if e == nil {
			return status.Errorf(codes.InvalidArgument, "%T in the place of an event", m.GetMessage())
		}
		if err := ss.run(e); err != nil {
			return err
		}
	}
}

// run passes an event to the handlers of its bindings, one after the other, and sends their answers.
func (s *session) run(m *wire.Event) error {
	s.mu.Lock()
	s.number++
	s.over = false
	s.mu.Unlock()
	defer s.end()

	f := firing{session: s, event: m, key: m.GetKey(), value: nonEmpty(m.GetValue())}
	for _, b := range m.GetBindings() {
		answer, err := f.fire(b)
		if err != nil {
			return err
		}
		if err := s.send(&wire.PluginMessage{Message: &wire.PluginMessage_Answer{Answer: answer}}); err != nil {
			return err
		}
		if answer.GetAccept() == nil {
			break
		}
	}
	return nil
}

// end makes what is left of an event unable to reach the next one.
func (s *session) end() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
}

func (s *session) send(m *wire.PluginMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}

// sendOf sends a message that belongs to an event.
func (s *session) sendOf(event uint64, m *wire.PluginMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.number != event {
		return errEventEnd
	}
	return s.stream.Send(m)
}

func (s *session) receive() (*wire.ServerMessage, error) { return s.stream.Recv() }

// log sends a line of an event, and reports false if the event is over.
func (s *session) log(event uint64, line *wire.LogLine) bool {
	return s.sendOf(event, &wire.PluginMessage{Message: &wire.PluginMessage_Log{Log: line}}) == nil
}

// firing is an event on its way through the handlers.
type firing struct {
	session *session
	event   *wire.Event
	key     string          // as the handlers left it
	value   json.RawMessage // the same
	shared  any
}

// fire runs the handler of one binding. An error means that there is nobody to answer.
func (f *firing) fire(b *wire.Binding) (*wire.Answer, error) {
	s, m := f.session, f.event
	kept, err := s.service.handlers.acquire(b, func() (Handler, error) {
		return s.service.bind(m.GetBucket(), m.GetPhase(), b)
	})
	if err != nil {
		return verdict(Failed(err)), nil
	}
	defer s.service.handlers.release(kept)

	ctx, cancel := s.stream.Context(), context.CancelFunc(func() {})
	if timeout := b.GetTimeoutMs(); timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(timeout)*time.Millisecond)
	}
	defer cancel()
	e := &Event{
		Phase: Phase(m.GetPhase()), Operation: Operation(m.GetOperation()), Bucket: m.GetBucket(),
		Key: f.key, Value: f.value, ID: m.GetId(), Headers: nonEmpty(m.GetHeaders()), Update: m.GetUpdate(),
		Previous: nonEmpty(m.GetPrevious()), Schema: nonEmpty(m.GetSchema()), RequestID: m.GetRequestId(),
		Tx:     &Tx{session: s, event: s.number},
		Log:    newEventLog(s, m.GetBucket(), b.GetHook(), m.GetRequestId()),
		Shared: f.shared,
	}
	// What another hook of the same call wants travels too.
	hook := s.service.hooks[b.GetHook()]
	if hook.WithoutValue {
		e.Value = nil
	}
	if hook.Pure {
		e.Update, e.Tx.err = false, errPure
	}
	if !hook.WantsPrevious {
		e.Previous = nil
	}
	if !hook.WantsSchema {
		e.Schema = nil
	}
	err = call(ctx, kept.handler, e)
	if e.Tx.open != nil {
		e.Tx.open.Close() //nolint:errcheck // because the handler did not care
	}
	if err == nil {
		return f.accept(e, hook.WithoutValue), nil
	}
	if ctx.Err() != nil { // the server has given it up, or does so any moment: only it can tell the client
		<-s.stream.Context().Done()
		return nil, s.stream.Context().Err()
	}
	return verdict(err), nil
}

// call runs a handler and turns its panic into an error.
func call(ctx context.Context, h Handler, e *Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error("the hook panics", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = Failed(fmt.Errorf("panic: %v", p))
		}
	}()
	return h.Handle(ctx, e)
}

// accept notes what a handler changed. One that did not see the value can still replace it.
func (f *firing) accept(e *Event, withoutValue bool) *wire.Answer {
	f.shared = e.Shared
	a := &wire.Acceptance{}
	if e.Phase == Pre {
		if e.Key != f.key {
			f.key = e.Key
			a.Key = &f.key
		}
		if !same(e.Value, f.value) && !(withoutValue && e.Value == nil) {
			f.value = e.Value
			a.Value = e.Value
		}
	}
	return &wire.Answer{Verdict: &wire.Answer_Accept{Accept: a}}
}

func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

func nonEmpty(b []byte) json.RawMessage {
	if len(b) == 0 {
		return nil
	}
	return b
}
