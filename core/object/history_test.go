package object_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/query"
)

// What is promised of single keys: each behaves as if its operations happened one after the other, each at some moment between
// its call and its answer, with every etag that was compared and reported being the one of that moment. Operations that fail
// have no effect; of those whose outcome is unknown nobody knows. A history is what clients saw; it is kept here, and checked.

// call is what a client asks of one key.
type call struct {
	key     int
	verb    verb
	expects string // an etag, or absent; "" for anything
	etag    string // of the value that a put writes
	value   string // that a put writes
}

type verb string

const (
	get        verb = "get"
	put        verb = "put"
	del        verb = "del"
	update     verb = "update"     // an updateObjects that finds the key
	deleteMany verb = "deleteMany" // that finds the key
)

// absent expects that there is no object.
const absent = "absent"

// answer is what became of it.
type answer struct {
	outcome outcome
	etag    string // found or written; "" is that of no object
}

type outcome string

const (
	done     outcome = "done"
	conflict outcome = "conflict"
	missing  outcome = "missing"
	refused  outcome = "refused" // for any other reason: it has had no effect
	unknown  outcome = "unknown"
)

// step tells whether a call can have its answer when the object has the etag state, and the object's etag afterwards.
func (c call) step(state string, a answer) (possible bool, after string) {
	fits := c.expects == "" || c.expects == absent && state == "" || c.expects == state
	switch {
	case a.outcome == conflict:
		return !fits && a.etag == state, state
	case a.outcome == missing:
		return state == "", state
	case c.verb == get:
		return a.etag == state, state
	case c.verb == put:
		return fits, a.etag
	case c.verb == update:
		return state != "", a.etag
	}
	return fits && state != "", "" // a deletion
}

func (c call) String() string {
	text := fmt.Sprintf("%s k%d", c.verb, c.key)
	if c.expects != "" {
		text += " if " + c.expects
	}
	return text + " " + c.etag
}

// maxKeys bounds the keys of a history.
const maxKeys = 8

// state has the etags of all keys.
type state [maxKeys]string

// step makes all calls of an operation at one moment. If their outcome is unknown they are made if they can be, all or none; that
// they were never made is as if they were made at the end.
func (s state) step(calls []call, answers []answer) (possible bool, after state) {
	after = s
	for i, c := range calls {
		a := answers[i]
		if a.outcome == unknown {
			a = answer{done, c.etag}
		}
		if possible, after[c.key] = c.step(after[c.key], a); !possible {
			return answers[i].outcome == unknown, s
		}
	}
	return true, after
}

// together is the model of operations on several keys, apart that of each key for itself.
var (
	together = porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, input, output any) (bool, any) { return s.(state).step(input.([]call), output.([]answer)) },
		DescribeOperation: func(input, output any) string {
			return strings.Trim(fmt.Sprint(input), "[]") + " → " + strings.Trim(fmt.Sprint(output), "[]")
		},
	}
	apart = func() porcupine.Model {
		m := together
		m.Partition = byKey
		return m
	}()
)

func byKey(all []porcupine.Operation) [][]porcupine.Operation {
	keys := make([][]porcupine.Operation, maxKeys)
	for _, o := range all {
		answers := o.Output.([]answer)
		for i, c := range o.Input.([]call) {
			part := o
			part.Input, part.Output = []call{c}, answers[i:i+1]
			keys[c.key] = append(keys[c.key], part)
		}
	}
	return slices.DeleteFunc(keys, func(part []porcupine.Operation) bool { return part == nil })
}

// history collects the operations of clients. It is safe for concurrent use.
type history struct {
	start time.Time

	mu  sync.Mutex // guards all
	all []porcupine.Operation
}

// record makes calls through do and records them with their answers. Those that were refused have had no effect: they are left
// out, so that the history has no order if they had one.
func (h *history) record(client int, calls []call, do func([]call) []answer) []answer {
	called := time.Since(h.start).Nanoseconds()
	answers := do(calls)
	returned := time.Since(h.start).Nanoseconds()
	switch answers[0].outcome {
	case refused:
		return answers
	case unknown:
		returned = math.MaxInt64 // it may happen at any time from now on
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: client, Input: calls, Output: answers, Call: called, Return: returned})
	return answers
}

// count returns how many answers have an outcome.
func (h *history) count(o outcome) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, operation := range h.all {
		for _, a := range operation.Output.([]answer) {
			if a.outcome == o {
				n++
			}
		}
	}
	return n
}

// checkTime bounds the search for an order.
const checkTime = time.Minute

// linearizable reports whether there is an order of the operations that explains all answers.
func (h *history) linearizable(t *testing.T, model porcupine.Model) bool {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(model, h.all, checkTime)
	switch result {
	case porcupine.Ok:
		return true
	case porcupine.Unknown:
		t.Fatalf("no order was found for %d operations in %v, nor that there is none", len(h.all), checkTime)
	}
	path := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		t.Error(err)
	}
	t.Logf("the history, with -artifacts, is in %s", path)
	parts := [][]porcupine.Operation{h.all}
	if model.Partition != nil {
		parts = model.Partition(h.all)
	}
	for _, part := range parts {
		if result, info := porcupine.CheckOperationsVerbose(model, part, checkTime); result == porcupine.Illegal {
			t.Logf("where the order ends:\n%s", impasse(model, part, info))
			break
		}
	}
	return false
}

// impasse describes the end of the longest order that explains some of the operations, and those that cannot come next.
func impasse(model porcupine.Model, part []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, order := range info.PartialLinearizationsOperations() {
		for _, o := range order {
			if len(o) > len(longest) {
				longest = o
			}
		}
	}
	var text strings.Builder
	line := func(o porcupine.Operation) {
		fmt.Fprintf(&text, "%9.3f to %9.3f ms, client %d: %s\n", float64(o.Call)/1e6, float64(o.Return)/1e6, o.ClientId, model.DescribeOperation(o.Input, o.Output))
	}
	for _, o := range longest[max(0, len(longest)-8):] {
		line(o)
	}
	text.WriteString("--\n")
	left := slices.DeleteFunc(slices.Clone(part), func(o porcupine.Operation) bool {
		return slices.ContainsFunc(longest, func(l porcupine.Operation) bool { return l.Call == o.Call && l.ClientId == o.ClientId })
	})
	slices.SortFunc(left, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for _, o := range left[:min(8, len(left))] {
		line(o)
	}
	return text.String()
}

// perform makes calls of the server: one call, puts and deletions as a batch, or reads of several keys as one find.
func (s *server) perform(ctx context.Context, bucket string, calls []call) (answers []answer, err error) {
	answers = make([]answer, len(calls))
	switch {
	case len(calls) == 1:
		answers[0].etag, err = s.performOne(ctx, bucket, calls[0])
	case calls[0].verb == get:
		err = s.readAll(ctx, bucket, calls, answers)
	default:
		err = s.batchAll(ctx, bucket, calls, answers)
	}
	o, etag := outcomeOf(err)
	if len(calls) > 1 && (o == conflict || o == missing) {
		o = refused // it is not said which of them is to blame
	}
	for i := range answers {
		if answers[i].outcome = o; o != done {
			answers[i].etag = etag
		}
	}
	return answers, err
}

// outcomeOf tells what an error means for what was asked for. etag is that of the object which did not fit.
func outcomeOf(err error) (o outcome, etag string) {
	f := fault.From(err)
	switch {
	case err == nil:
		return done, ""
	case f == nil:
		panic(fmt.Sprintf("no fault: %v", err))
	case f.Context != nil && f.Context.Member("outcome") != nil:
		return unknown, ""
	case errors.Is(err, fault.EtagConflict):
		etag = f.Context.Member("actual").Text()
		if etag == "null" {
			etag = ""
		}
		return conflict, etag
	case errors.Is(err, fault.ObjectNotFound):
		return missing, ""
	}
	return refused, ""
}

// performOne returns the etag that was read or written.
func (s *server) performOne(ctx context.Context, bucket string, c call) (etag string, err error) {
	key := fmt.Sprint("k", c.key)
	switch c.verb {
	case get:
		record, err := s.Get(ctx, &object.Get{Bucket: bucket, Key: key})
		if err != nil {
			return "", err
		}
		return record.Member("_etag").Text(), nil
	case put:
		return s.Put(ctx, c.put(bucket))
	case del:
		return "", s.Delete(ctx, &object.Delete{Bucket: bucket, Key: key, Etag: c.expects})
	}
	var count int64
	page := query.Page{Limit: query.DefaultLimit}
	if c.verb == update {
		count, etag, err = s.Update(ctx, &object.Update{Bucket: bucket, Fields: parse(c.value), Filter: "(_key=" + key + ")", Page: page})
	} else {
		count, err = s.DeleteMany(ctx, &object.DeleteMany{Bucket: bucket, Filter: "(_key=" + key + ")", Page: page})
	}
	if err == nil && count == 0 {
		err = fault.New(fault.ObjectNotFound, "none")
	}
	return etag, err
}

func (c call) put(bucket string) *object.Put {
	p := &object.Put{Bucket: bucket, Key: fmt.Sprint("k", c.key), Value: parse(c.value)}
	switch c.expects {
	case "":
	case absent:
		p.Expects = object.Absent
	default:
		p.Expects = object.EtagIs(c.expects)
	}
	return p
}

func (s *server) batchAll(ctx context.Context, bucket string, calls []call, answers []answer) error {
	operations := make([]object.Operation, len(calls))
	for i, c := range calls {
		switch c.verb {
		case put:
			operations[i].Put = c.put(bucket)
		case del:
			operations[i].Delete = &object.Delete{Bucket: bucket, Key: fmt.Sprint("k", c.key), Etag: c.expects}
		default:
			panic(c.verb)
		}
	}
	outcomes, err := s.Batch(ctx, operations)
	if err == nil {
		for i, o := range outcomes {
			answers[i].etag = o.Etag
		}
	}
	return err
}

// readAll reads several keys with one statement.
func (s *server) readAll(ctx context.Context, bucket string, calls []call, answers []answer) error {
	var filter strings.Builder
	at := map[string]int{}
	for i, c := range calls {
		fmt.Fprintf(&filter, "(_key=k%d)", c.key)
		at[fmt.Sprint("k", c.key)] = i
	}
	return s.Find(ctx, &object.Find{Bucket: bucket, Filter: "(|" + filter.String() + ")"}, func(record jsvalue.Value) error {
		answers[at[record.Member("key").Text()]].etag = record.Member("_etag").Text()
		return nil
	})
}
