// Command moray-plugin-example is the plugin that the tutorial docs/hooks.md builds: two small hooks for a bucket of dogs.
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kaizengarden/moray/hooks/sdk"
)

func main() { sdk.Serve(plugin()) }

// plugin is a function of its own so that the tests can call it.
func plugin() sdk.Plugin {
	return sdk.Plugin{
		Version: "1.0.0",
		Hooks: []sdk.Hook{
			{
				Name:    "tidy",
				Summary: "writes members of the value in lower case",
				Phases:  []sdk.Phase{sdk.Pre},
				Pure:    true, // it looks at the object alone, so the put needs no transaction around it
				Bind:    bindTidy,
			},
			{
				Name:    "limit",
				Summary: "refuses an object if its owner has too many already",
				Phases:  []sdk.Phase{sdk.Post},
				Bind:    bindLimit,
			},
		},
	}
}

// tidy is what a bucket says in the config of its binding. Every binding has its own.
type tidy struct {
	Members []string `json:"members"`
}

// bindTidy runs when a bucket is created or changed: whoever forgets the members hears of it then, not at the first put.
func bindTidy(b *sdk.Binding) (sdk.Handler, error) {
	var t tidy
	if err := b.Decode(&t); err != nil {
		return nil, err
	}
	if len(t.Members) == 0 {
		return nil, fmt.Errorf("config.members should name the members to be tidied")
	}
	return &t, nil
}

// Handle runs before each put. What it does to the event is what is stored.
func (t *tidy) Handle(_ context.Context, e *sdk.Event) error {
	var value map[string]any
	if err := e.Decode(&value); err != nil {
		return err
	}
	for name, v := range value {
		text, ok := v.(string)
		if !ok || !slices.Contains(t.Members, name) {
			continue
		}
		if err := e.SetMember(name, strings.ToLower(strings.TrimSpace(text))); err != nil {
			return err
		}
	}
	return nil
}

// limit counts the objects of an owner in the transaction of the put, so the one that is being put counts too.
type limit struct {
	Dogs int `json:"dogs"`
}

func bindLimit(b *sdk.Binding) (sdk.Handler, error) {
	l := limit{Dogs: 3}
	if err := b.Decode(&l); err != nil {
		return nil, err
	}
	return &l, nil
}

// Handle runs after each put and delete, before the commit: an error undoes the put.
func (l *limit) Handle(_ context.Context, e *sdk.Event) error {
	if e.Operation == sdk.Delete {
		return nil
	}
	var dog struct{ Owner string }
	if err := e.Decode(&dog); err != nil {
		return err
	}
	var have int
	// The index owner of the bucket is a column of its table.
	if err := e.Tx.QueryRow(`SELECT count(*) FROM dogs WHERE owner = $1`, dog.Owner).Scan(&have); err != nil {
		return err
	}
	if have > l.Dogs {
		return sdk.Reject("TooManyDogsError", "%s has %d dogs already", dog.Owner, l.Dogs).
			With(map[string]any{"owner": dog.Owner, "limit": l.Dogs})
	}
	e.Log.Info("dog counted", "owner", dog.Owner, "dogs", have)
	return nil
}
