package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// TestMain is the plugin of the tests too: a server starts this program again.
func TestMain(m *testing.M) {
	if os.Getenv("MORAY_PLUGIN_ATTACH") != "" {
		sdk.Serve(acting())
		return
	}
	if os.Getenv("MORAY_TEST_HOST") != "" {
		host()
		return
	}
	if os.Getenv("MORAY_PLUGIN") == "" {
		pgtest.Main(m)
		return
	}
	switch mode := os.Args[1]; mode {
	case "act":
		sdk.Serve(acting())
	case "noisy":
		fmt.Println("this is not the handshake")
		child := exec.Command("echo", "nor is this, of a child")
		child.Stdout = os.NewFile(uintptr(syscall.Stdout), "stdout")
		child.Run()
		os.Stdout.WriteString("1|2")
		sdk.Serve(acting())
	case "family":
		if err := exec.Command("sleep", "1000").Start(); err != nil {
			panic(err)
		}
		sdk.Serve(acting())
	case "none":
		sdk.Serve(sdk.Plugin{})
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence")
		os.Exit(3)
	case "mute":
		time.Sleep(time.Hour)
	default:
		panic("what is " + mode)
	}
}

// acting is a plugin whose hook does what the configuration of its binding says.
func acting() sdk.Plugin {
	phases := []sdk.Phase{sdk.Pre, sdk.Post}
	return sdk.Plugin{Version: "1.2.3", Hooks: []sdk.Hook{
		{Name: "act", Summary: "does what it is told", Phases: phases, Bind: bindAct},
		{Name: "all", Phases: phases, WantsPrevious: true, WantsSchema: true, Bind: bindAct},
		{Name: "little", Phases: phases, WithoutValue: true, Bind: bindAct},
		{Name: "early", Phases: []sdk.Phase{sdk.Pre}, Bind: bindAct},
		{Name: "pure", Phases: phases, Pure: true, Bind: bindAct},
	}}
}

// act is what a binding asks for.
type act struct {
	Do   string
	With string
	N    int
	key  string // only for objects whose keys begin with it

	mu   sync.Mutex
	seen int
}

func bindAct(b *sdk.Binding) (sdk.Handler, error) {
	a := &act{}
	config := struct {
		Do, With, Key string
		N             int
	}{}
	if err := b.Decode(&config); err != nil {
		return nil, err
	}
	if config.Do == "refuse" {
		return nil, sdk.Reject(config.With, "the plugin refuses this bucket")
	}
	a.Do, a.With, a.N, a.key = config.Do, config.With, config.N, config.Key
	if acts[a.Do] == nil {
		return nil, fmt.Errorf("cannot do %q", a.Do)
	}
	return a, nil
}

func (a *act) Handle(ctx context.Context, e *sdk.Event) error {
	if !strings.HasPrefix(e.Key, a.key) {
		return nil
	}
	return acts[a.Do](ctx, a, e)
}

var acts = map[string]func(context.Context, *act, *sdk.Event) error{
	"":       func(context.Context, *act, *sdk.Event) error { return nil },
	"key":    func(_ context.Context, a *act, e *sdk.Event) error { return e.SetKey(e.Key + a.With) },
	"member": func(_ context.Context, a *act, e *sdk.Event) error { return e.SetMember(a.With, a.N) },
	"value": func(_ context.Context, a *act, e *sdk.Event) error {
		e.Value = json.RawMessage(a.With)
		return nil
	},
	"big": func(_ context.Context, a *act, e *sdk.Event) error {
		return e.SetMember("big", strings.Repeat("x", a.N))
	},
	"reject": func(_ context.Context, a *act, e *sdk.Event) error {
		r := sdk.Reject(a.With, "no %s", e.Key)
		if a.With != "" {
			r.With(map[string]any{"n": a.N})
			r.Errors = json.RawMessage(`[{"message":"first"}]`)
		}
		return fmt.Errorf("wrapped: %w", r)
	},
	"error": func(_ context.Context, a *act, _ *sdk.Event) error { return errors.New(a.With) },
	"fail":  func(_ context.Context, a *act, _ *sdk.Event) error { return sdk.Failed(errors.New(a.With)) },
	"panic": func(context.Context, *act, *sdk.Event) error { panic("oh") },
	"exit":  func(context.Context, *act, *sdk.Event) error { os.Exit(7); return nil },
	"exit after sql": func(_ context.Context, a *act, e *sdk.Event) error {
		if _, err := e.Tx.Exec(a.With); err != nil {
			return err
		}
		os.Exit(7)
		return nil
	},
	"exit later": func(context.Context, *act, *sdk.Event) error {
		time.AfterFunc(300*time.Millisecond, func() { os.Exit(7) })
		return nil
	},
	"hang": func(ctx context.Context, _ *act, _ *sdk.Event) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"deaf": func(context.Context, *act, *sdk.Event) error {
		time.Sleep(20 * time.Second)
		return nil
	},
	"stop": func(ctx context.Context, _ *act, _ *sdk.Event) error {
		err := syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-ctx.Done() // it takes a moment
		return err
	},
	"sql": func(_ context.Context, a *act, e *sdk.Event) error {
		_, err := e.Tx.Exec(a.With)
		return err
	},
	"swallow": func(_ context.Context, a *act, e *sdk.Event) error {
		e.Tx.Exec(a.With)
		return nil
	},
	"sql and hang": func(ctx context.Context, a *act, e *sdk.Event) error {
		if _, err := e.Tx.Exec(a.With); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	},
	"sql and reject": func(_ context.Context, a *act, e *sdk.Event) error {
		if _, err := e.Tx.Exec(a.With); err != nil {
			return err
		}
		return sdk.Reject("NoError", "after its SQL")
	},
	"eat": func(ctx context.Context, a *act, _ *sdk.Event) error {
		var all [][]byte
		for range a.N {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			all = append(all, b)
		}
		<-ctx.Done()
		return fmt.Errorf("%d MiB", len(all))
	},
	"count": func(_ context.Context, a *act, e *sdk.Event) error {
		a.mu.Lock()
		a.seen++
		n := a.seen
		a.mu.Unlock()
		return e.SetMember("n", n)
	},
	"env": func(_ context.Context, _ *act, e *sdk.Event) error { return e.SetMember("env", os.Environ()) },
	"files": func(_ context.Context, _ *act, e *sdk.Event) error {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		var targets []string
		for _, entry := range entries {
			if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil {
				targets = append(targets, target)
			}
		}
		return e.SetMember("files", targets)
	},
	"print": func(_ context.Context, a *act, _ *sdk.Event) error {
		fmt.Println("stdout:", a.With)
		fmt.Fprintln(os.Stderr, "stderr:", a.With)
		sdk.Log().Warn("log: "+a.With, "n", a.N)
		return nil
	},
	"log": func(ctx context.Context, a *act, e *sdk.Event) error {
		e.Log.Debug("debug "+a.With, "n", a.N)
		e.Log.Error("error "+a.With, "n", a.N)
		return nil
	},
	"flood": func(_ context.Context, a *act, e *sdk.Event) error {
		for range a.N {
			e.Log.Error("flood")
		}
		e.Log.Error(strings.Repeat("long", 100_000))
		fmt.Fprintln(os.Stderr, strings.Repeat("long", 100_000))
		return nil
	},
	"seen": func(_ context.Context, a *act, e *sdk.Event) error {
		text, err := json.Marshal(map[string]any{
			"phase": e.Phase.String(), "op": e.Operation.String(), "key": e.Key, "value": e.Value, "id": e.ID, "headers": e.Headers,
			"update": e.Update, "previous": e.Previous, "schema": e.Schema, "req": e.RequestID != "", "with": a.With,
		})
		if err != nil {
			return err
		}
		_, err = e.Tx.Exec("INSERT INTO seen (event) VALUES ($1)", json.RawMessage(text))
		return err
	},
	"meet": func(ctx context.Context, a *act, e *sdk.Event) error {
		select {
		case meeting <- e.Key:
		case other := <-meeting:
			return e.SetKey(e.Key + " met " + other)
		case <-ctx.Done():
		}
		return nil
	},
}

var meeting = make(chan string)
