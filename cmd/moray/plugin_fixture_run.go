package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"

	"github.com/kaizengarden/moray/hooks/sdk"
	"github.com/kaizengarden/moray/hooks/trial"
)

// run carries out one test and says what is wrong.
func (t *fixture) run(conn grpc.ClientConnInterface) (problems []string) {
	p := trial.On(conn, func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) })
	defer p.Close()
	binding := trial.Binding{Phase: sdk.Pre, Hook: t.Hook, Config: text(t.Config)}
	if t.Phase == "post" {
		binding.Phase = sdk.Post
	}
	e := t.Event
	if e == nil {
		_, err := p.Check("bucket", binding)
		return t.Want.compare(&trial.Result{Err: err})
	}
	event := trial.Event{
		Bindings: []trial.Binding{binding}, Bucket: e.Bucket, Key: e.Key, Value: text(e.Value), ID: e.ID, Headers: text(e.Headers),
		Update: e.Update, Previous: text(e.Previous), Schema: cmp.Or(text(e.Schema), "{}"), RequestID: e.Request,
	}
	switch e.Operation {
	case "", "put":
	case "delete":
		event.Operation = sdk.Delete
	default:
		return []string{fmt.Sprintf("operation should be put or delete, not %q", e.Operation)}
	}
	next := 0
	event.SQL = func(s trial.Statement) trial.Reply {
		next++
		if next > len(t.SQL) {
			problems = append(problems, fmt.Sprintf("it runs one statement more: %s %q", s.SQL, s.Args))
			return trial.Reply{}
		}
		return t.SQL[next-1].reply(s, &problems)
	}
	r := p.Fire(event)
	for ; next < len(t.SQL); next++ {
		problems = append(problems, "it does not run "+t.SQL[next].SQL)
	}
	return append(problems, t.Want.compare(&r)...)
}

// reply compares a statement and returns what it gives.
func (q *fixtureSQL) reply(s trial.Statement, problems *[]string) (r trial.Reply) {
	var args []string
	for i := range q.Args {
		args = append(args, cell(&q.Args[i]))
	}
	if strings.Join(strings.Fields(s.SQL), " ") != strings.Join(strings.Fields(q.SQL), " ") || !slices.Equal(args, s.Args) {
		*problems = append(*problems, fmt.Sprintf("it runs %s %q, want %s %q", s.SQL, s.Args, q.SQL, args))
	}
	r.Count = q.Count
	for i := range q.Rows {
		var row []string
		for j := 0; j+1 < len(q.Rows[i].Content); j += 2 {
			name, value := q.Rows[i].Content[j], q.Rows[i].Content[j+1]
			if i == 0 {
				r.Columns = append(r.Columns, sdk.Column{Name: name.Value, Type: typeOf(value)})
			}
			row = append(row, cell(value))
		}
		r.Rows = append(r.Rows, row)
	}
	if q.Error != nil {
		r.Err = &sdk.StatementError{Code: q.Error.Code, Message: q.Error.Message}
	}
	return r
}

// cell returns a scalar in PostgreSQL's text form.
func cell(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!null":
		return trial.Null
	case "!!bool":
		return n.Value[:1] // t or f
	}
	return n.Value
}

// typeOf returns the oid of the type that comes closest.
func typeOf(n *yaml.Node) uint32 {
	switch n.ShortTag() {
	case "!!int":
		return 20 // int8
	case "!!float":
		return 701 // float8
	case "!!bool":
		return 16
	}
	return 25 // text
}
