package main

import (
	"fmt"
	"testing"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

func TestTidy(t *testing.T) {
	t.Parallel()
	p := hooktest.Start(t, plugin())
	tidy := hooktest.Binding{Phase: sdk.Pre, Hook: "tidy", Config: `{"members":["name","owner"]}`}
	r := p.Fire(hooktest.Event{Bucket: "dogs", Key: "rex", Value: `{"size":3,"name":" REX","owner":5}`, Bindings: []hooktest.Binding{tidy}})
	if want := `{"size":3,"name":"rex","owner":5}`; r.Err != nil || r.Value != want {
		t.Errorf("got %s, %v; want %s", r.Value, r.Err, want)
	}
	if _, err := p.Check("dogs", hooktest.Binding{Phase: sdk.Pre, Hook: "tidy"}); fmt.Sprint(err) != "config.members should name the members to be tidied" {
		t.Errorf("a binding without members: %v", err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	p := hooktest.Start(t, plugin())
	for _, c := range []struct{ have, want string }{
		{"3", "<nil>"},
		{"4", "TooManyDogsError: ann has 3 dogs already"},
	} {
		count := hooktest.Step{SQL: `SELECT count(*) FROM dogs WHERE owner = $1`, Args: []string{"ann"}}
		count.Reply.Columns, count.Reply.Rows = []sdk.Column{{Name: "count", Type: 20}}, [][]string{{c.have}}
		r := p.Fire(hooktest.Event{
			Bucket: "dogs", Key: "rex", Value: `{"owner":"ann"}`, ID: 1, SQL: hooktest.Expect(t, count),
			Bindings: []hooktest.Binding{{Phase: sdk.Post, Hook: "limit"}},
		})
		if got := fmt.Sprint(r.Err); got != c.want {
			t.Errorf("with %s dogs: %s, want %s", c.have, got, c.want)
		}
	}
}
