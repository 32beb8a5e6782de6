package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/kaizengarden/moray/hooks/internal/wire"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// Event is an object being put or deleted. Texts that are empty stand for nothing.
type Event struct {
	Bindings  []Binding // consecutive hooks, all of one phase
	Operation sdk.Operation
	Bucket    string
	Key       string
	Value     string // JSON
	ID        int64  // after the write
	Headers   string // JSON
	Update    bool
	Previous  string // JSON
	Schema    string // JSON
	RequestID string

	// SQL answers the statements of the hooks. Without it a statement fails the test.
	SQL func(Statement) Reply
}

// Result is what became of an event.
type Result struct {
	Key, Value string // as the hooks left them
	Answered   int    // how many of the bindings answered
	Log        []Line // of the hooks

	// Err is nil if all hooks accept; otherwise a *[sdk.Rejection], an *[sdk.StatementError] that the hook passed on, a *[Failure],
	// [ErrTimeout], or what broke the protocol.
	Err error
}

// Line is what a hook logged.
type Line struct {
	Level   slog.Level
	Message string
	Fields  string // JSON, or empty
}

// session is one that is kept open, as the server does.
type session struct {
	stream grpc.BidiStreamingClient[wire.ServerMessage, wire.PluginMessage]
	cancel context.CancelFunc
}

func (p *Plugin) session() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.sessions); n > 0 {
		s := p.sessions[n-1]
		p.sessions = p.sessions[:n-1]
		return s, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := p.client.Session(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return &session{stream, cancel}, nil
}

func (p *Plugin) keep(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = append(p.sessions, s)
}

// Close ends the sessions that are kept open.
func (p *Plugin) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		s.cancel()
	}
	p.sessions = nil
}

// Fire passes an event to the hooks that it names, as a server does in a transaction.
func (p *Plugin) Fire(e Event) Result {
	r := &run{plugin: p, event: &e, result: Result{Key: e.Key, Value: e.Value}}
	s, err := p.session()
	if err != nil {
		r.result.Err = err
		return r.result
	}
	r.session = s
	r.result.Err = r.all()
	if err := r.result.Err; err == nil || r.sound {
		p.keep(s)
	} else {
		s.cancel()
	}
	return r.result
}

// run is an event under way.
type run struct {
	plugin  *Plugin
	session *session
	event   *Event
	result  Result
	refused []*sdk.StatementError
	sound   bool // the session ended the event as it should
}

func (r *run) all() error {
	if err := r.session.stream.Send(&wire.ServerMessage{Message: &wire.ServerMessage_Event{Event: r.message()}}); err != nil {
		return fmt.Errorf("send the event: %w", err)
	}
	for i := range r.event.Bindings {
		if err := r.binding(&r.event.Bindings[i]); err != nil {
			return err
		}
		r.result.Answered++
	}
	return nil
}

func (r *run) message() *wire.Event {
	e := r.event
	m := &wire.Event{
		Operation: wire.Operation(e.Operation), Bucket: e.Bucket, Key: e.Key, Value: []byte(e.Value), Headers: []byte(e.Headers),
		Update: e.Update, Previous: []byte(e.Previous), Schema: []byte(e.Schema), RequestId: e.RequestID,
	}
	if e.Operation == 0 {
		m.Operation = wire.Operation_PUT
	}
	if e.ID != 0 {
		m.Id = &e.ID
	}
	for i := range e.Bindings {
		m.Phase = wire.Phase(e.Bindings[i].Phase)
		m.Bindings = append(m.Bindings, e.Bindings[i].wire(e.Bucket))
	}
	return m
}

// binding serves one hook until it answers.
func (r *run) binding(b *Binding) error {
	var late atomic.Bool
	timer := time.AfterFunc(b.limit(), func() {
		late.Store(true)
		r.session.cancel()
	})
	defer timer.Stop()
	for {
		m, err := r.session.stream.Recv()
		switch {
		case late.Load():
			return ErrTimeout
		case err != nil:
			return fmt.Errorf("the plugin ended the session: %w", err)
		}
		switch m := m.GetMessage().(type) {
		case *wire.PluginMessage_Log:
			r.result.Log = append(r.result.Log, line(m.Log))
		case *wire.PluginMessage_Statement:
			if err := r.statement(m.Statement); late.Load() {
				return ErrTimeout
			} else if err != nil {
				return err
			}
		case *wire.PluginMessage_Answer:
			return r.answer(b, m.Answer)
		default:
			return errors.New("the plugin sent an empty message")
		}
	}
}

func (r *run) answer(b *Binding, a *wire.Answer) error {
	switch v := a.GetVerdict().(type) {
	case *wire.Answer_Accept:
		if b.Phase == sdk.Post && (v.Accept.Key != nil || v.Accept.Value != nil) {
			return errors.New("a hook after the write changes the object")
		}
		if v.Accept.Key != nil {
			r.result.Key = v.Accept.GetKey()
		}
		if v.Accept.Value != nil {
			r.result.Value = string(v.Accept.GetValue())
		}
		return nil
	case *wire.Answer_Reject:
		r.sound = true
		return rejected(v.Reject, r.refused)
	case *wire.Answer_Fail:
		r.sound = true
		return &Failure{v.Fail.GetMessage()}
	}
	return errors.New("the plugin sent an empty answer")
}

func line(l *wire.LogLine) Line {
	return Line{Level: slog.Level((int(l.GetLevel()) - 30) * 2 / 5), Message: l.GetMessage(), Fields: string(l.GetFields())}
}
