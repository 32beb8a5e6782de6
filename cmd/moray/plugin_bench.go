package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/hooks/sdk"
	"github.com/kaizengarden/moray/hooks/trial"
)

// benchLoad is what a plugin is measured with.
type benchLoad struct {
	hook, phase, config, value string
	clients                    int
	duration                   time.Duration
}

func pluginBenchCommand() *cobra.Command {
	var f trialFlags
	var l benchLoad
	cmd := &cobra.Command{
		Use:   "bench --hook NAME PROGRAM [ARGUMENT]...",
		Short: "Measure a hook without a database",
		Long: `Measure how long a hook takes to answer events, over the same connection as in a server. There is no database: a statement of
the hook is answered at once and has no rows.`,
		Example: `  moray plugin bench --hook tidy --config '{"members":["name"]}' --value '{"name":"REX"}' bin/moray-plugin-example`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if l.phase != "pre" && l.phase != "post" || l.clients < 1 || l.duration <= 0 {
				return fmt.Errorf("--phase should be pre or post, --clients and --duration more than 0")
			}
			t, err := f.start(cmd.Context(), args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			took, err := l.run(trial.On(t.Conn(), nil))
			if closing := t.Close(); err == nil {
				err = closing
			}
			if err != nil {
				return err
			}
			at := func(percent int) time.Duration { return took[len(took)*percent/100].Round(time.Microsecond) }
			fmt.Fprintf(cmd.OutOrStdout(), "%d clients: %.0f calls/s, p50 %v, p99 %v, longest %v\n",
				l.clients, float64(len(took))/l.duration.Seconds(), at(50), at(99), took[len(took)-1].Round(time.Microsecond))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&l.hook, "hook", "", "`name` of the hook")
	flags.StringVar(&l.phase, "phase", "pre", "`phase`: pre or post")
	flags.StringVar(&l.config, "config", "", "`JSON` of the binding")
	flags.StringVar(&l.value, "value", `{"name":"rex","owner":"ann","size":3}`, "`JSON` of the object")
	flags.IntVar(&l.clients, "clients", 1, "`number` of events under way at once")
	flags.DurationVar(&l.duration, "duration", 5*time.Second, "how long")
	f.register(cmd)
	cobra.CheckErr(cmd.MarkFlagRequired("hook"))
	return cmd
}

// run returns how long the events took, sorted.
func (l *benchLoad) run(p *trial.Plugin) ([]time.Duration, error) {
	defer p.Close()
	event := trial.Event{
		Bucket: "bench", Key: "key", Value: l.value, ID: 1, Schema: "{}",
		Bindings: []trial.Binding{{Phase: phases[l.phase], Hook: l.hook, Config: l.config}},
		SQL:      func(trial.Statement) trial.Reply { return trial.Reply{} },
	}
	if err := p.Fire(event).Err; err != nil {
		return nil, err
	}
	took := make([][]time.Duration, l.clients)
	errs := make([]error, l.clients)
	end := time.Now().Add(l.duration)
	var all sync.WaitGroup
	for i := range l.clients {
		all.Go(func() {
			for began := time.Now(); began.Before(end) && errs[i] == nil; {
				errs[i] = p.Fire(event).Err
				now := time.Now()
				took[i], began = append(took[i], now.Sub(began)), now
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	every := slices.Concat(took...)
	slices.Sort(every)
	return every, nil
}

var phases = map[string]sdk.Phase{"pre": sdk.Pre, "post": sdk.Post}
