// Package trial drives a plugin over the real protocol, without a server and without a database: for the tests of its author, see
// package hooktest, and for the commands that try a plugin out.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/kaizengarden/moray/hooks/internal/wire"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// Plugin is a plugin under test. Its methods may be called by several goroutines at once.
type Plugin struct {
	fail   func(format string, args ...any) // says what is wrong beside the result
	client wire.PluginClient

	mu       sync.Mutex
	sessions []*session // that carry no event
}

// On returns a plugin that runs already, behind a connection. What is wrong beside a result, such as a statement that nobody expects,
// is told to fail. [Plugin.Close] ends what it has open; the connection is the caller's.
func On(conn grpc.ClientConnInterface, fail func(format string, args ...any)) *Plugin {
	return &Plugin{fail: fail, client: wire.NewPluginClient(conn)}
}

// Describe asks the plugin for its hooks, as a server does at first, and for all that it logs.
func (p *Plugin) Describe() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := p.client.Describe(ctx, &wire.DescribeRequest{ServerVersion: "test", LogLevel: wire.LogLine_TRACE})
	return err
}

// Binding is a hook as a bucket binds it.
type Binding struct {
	Phase  sdk.Phase
	Hook   string
	Config string        // JSON, or empty
	ID     string        // stands for the binding; by default one that the same binding of the same bucket always has
	Limit  time.Duration // how long the hook may take; 0 stands for 10 s
	// Definition stands for the definition of the bucket; by default all bindings of a bucket belong to one.
	Definition string
}

func (b *Binding) wire(bucket string) *wire.Binding {
	m := &wire.Binding{Hook: b.Hook, Id: b.ID, TimeoutMs: b.limit().Milliseconds(), Definition: b.Definition}
	if b.Config != "" {
		m.Config = []byte(b.Config)
	}
	if m.Definition == "" {
		m.Definition = bucket
	}
	if m.Id == "" {
		m.Id = fmt.Sprint(bucket, "/", b.Phase, "/", b.Hook, "/", b.Config)
	}
	return m
}

func (b *Binding) limit() time.Duration {
	if b.Limit == 0 {
		return 10 * time.Second
	}
	return b.Limit
}

// Check does what happens before a bucket is created or changed, and returns the configurations to be stored: those of the bindings,
// unless the plugin replaces them. The bindings have to stand in the order in which a server sends them: those of post first.
func (p *Plugin) Check(bucket string, bindings ...Binding) ([]json.RawMessage, error) {
	r := &wire.CheckRequest{Bucket: bucket}
	configs := make([]json.RawMessage, len(bindings))
	for i, b := range bindings {
		m := b.wire(bucket)
		m.Id, m.TimeoutMs, m.Definition = "", 0, ""
		configs[i] = m.GetConfig()
		r.Bindings = append(r.Bindings, &wire.CheckRequest_Bound{Phase: wire.Phase(b.Phase), Binding: m})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	result, err := p.client.Check(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case result.GetRejection() != nil:
		return nil, rejected(result.GetRejection(), nil)
	case len(result.GetConfigs()) == 0:
		return configs, nil
	case len(result.GetConfigs()) != len(bindings):
		return nil, fmt.Errorf("the plugin answers %d configurations for %d bindings", len(result.GetConfigs()), len(bindings))
	}
	for i, c := range result.GetConfigs() {
		configs[i] = c
	}
	return configs, nil
}

// rejected returns the error that a rejection stands for.
func rejected(r *wire.Rejection, refused []*sdk.StatementError) error {
	if n := int(r.GetStatementError()); n > 0 {
		if n > len(refused) {
			return fmt.Errorf("the hook rejects because of the refused statement number %d, and there were %d", n, len(refused))
		}
		return refused[n-1]
	}
	rejection := &sdk.Rejection{Name: r.GetName(), Message: r.GetMessage()}
	if len(r.GetContext()) > 0 {
		rejection.Context = r.GetContext()
	}
	if len(r.GetErrors()) > 0 {
		rejection.Errors = r.GetErrors()
	}
	return rejection
}

// Failure is the error of a hook that did not get as far as an answer, such as one that panics.
type Failure struct{ Message string }

func (f *Failure) Error() string { return f.Message }

// ErrTimeout is the error of a hook that took longer than Binding.Limit.
var ErrTimeout = errors.New("the hook took too long")
