package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// hotKeys are few, so that clients meet.
const hotKeys = 20

// checkTime bounds the search for an order in which one after the other the operations on a key could have been done.
const checkTime = 30 * time.Second

// hotCall is an operation on a hot key. Where it has a precondition it demands that etag, "" being that there is no object.
type hotCall struct {
	key     int
	verb    string // get, put, delete
	etag    string // that a put writes
	demands *string
}

// hotAnswer is what came of it.
type hotAnswer struct {
	unknown  bool
	etag     string // that was read, "" for no object
	conflict bool   // the precondition did not hold, or there was nothing to delete
}

// history is what clients did to the hot keys and were told. It is safe for concurrent use.
type history struct {
	start time.Time
	mu    sync.Mutex // guards all
	all   []porcupine.Operation
}

// record notes an operation. One whose fate is unknown may have been done at any time since, or never.
func (h *history) record(clientID int, call hotCall, called time.Time, answer hotAnswer) {
	returned := time.Since(h.start).Nanoseconds()
	if answer.unknown {
		returned = int64(1) << 62
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: clientID, Input: call, Call: called.Sub(h.start).Nanoseconds(), Output: answer, Return: returned})
}

// hotModel is one object: its state is the etag, "" for none.
var hotModel = (&porcupine.NondeterministicModel{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		keys := make([][]porcupine.Operation, hotKeys)
		for _, o := range all {
			key := o.Input.(hotCall).key
			keys[key] = append(keys[key], o)
		}
		return keys
	},
	Init:  func() []any { return []any{""} },
	Step:  stepHot,
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v: %+v", input, output)
	},
}).ToModel()

// stepHot returns what the state may be after an operation; nothing if the operation cannot have been answered so.
func stepHot(state, input, output any) []any {
	etag, call, answer := state.(string), input.(hotCall), output.(hotAnswer)
	holds := call.demands == nil || *call.demands == etag
	next := etag
	switch call.verb {
	case "get":
		if answer.unknown || answer.etag == etag {
			return []any{etag}
		}
		return nil
	case "put":
		next = call.etag
	case "delete":
		next = ""
		holds = holds && etag != ""
	}
	switch {
	case answer.unknown && holds:
		return []any{etag, next}
	case answer.unknown, answer.conflict && !holds:
		return []any{etag}
	case !answer.conflict && holds:
		return []any{next}
	}
	return nil
}

// race makes a client read, write and delete hot keys.
func (h *history) race(ctx context.Context, c *client.Client, id int) {
	random := rand.New(rand.NewPCG(uint64(id), 7)) // the same operations each time
	seen := map[int]string{}
	for n := 0; ctx.Err() == nil; n++ {
		call := hotCall{key: random.IntN(hotKeys), verb: "get"}
		switch random.IntN(10) {
		case 0, 1, 2:
			call.verb = "put"
		case 3, 4, 5:
			call.verb = "put"
			etag := seen[call.key]
			call.demands = &etag
		case 6:
			call.verb = "delete"
		}
		value := fmt.Sprintf(`{"by":%d,"n":%d}`, id, n)
		if call.verb == "put" {
			call.etag = jsvalue.Etag(jsvalue.Value(value))
		}
		called := time.Now()
		answer, undone := h.do(ctx, c, &call, value)
		if undone {
			pause(ctx)
			continue
		}
		h.record(id, call, called, answer)
		switch {
		case answer.unknown:
			pause(ctx)
		case call.verb == "get":
			seen[call.key] = answer.etag
		case !answer.conflict:
			seen[call.key] = call.etag
		}
	}
}

// do carries out an operation. undone says that it certainly was not done, for a reason that the model does not know.
func (h *history) do(ctx context.Context, c *client.Client, call *hotCall, value string) (answer hotAnswer, undone bool) {
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	key := fmt.Sprint("k", call.key)
	var err error
	switch call.verb {
	case "get":
		var o *client.Object
		if o, err = c.GetObject(request, hotBucket, key, nil); err == nil {
			answer.etag = o.Etag
		}
	case "put":
		o := &client.WriteOptions{}
		if call.demands != nil {
			if o.Etag = client.IfAbsent; *call.demands != "" {
				o.Etag = client.IfEtag(*call.demands)
			}
		}
		_, err = c.PutObject(request, hotBucket, key, []byte(value), o)
	case "delete":
		err = c.DelObject(request, hotBucket, key, nil)
	}
	var told *client.Error
	switch {
	case err == nil:
	case errors.As(err, &told) && (told.Name == "EtagConflictError" || told.Name == "ObjectNotFoundError"):
		answer.conflict = call.verb != "get"
	case fateOf(err) == refused:
		return answer, true
	default:
		answer.unknown = true
	}
	return answer, false
}

// wantLinear fails the test unless there is an order of all operations that explains all answers.
func (h *history) wantLinear(t testing.TB) {
	t.Helper()
	switch result, n := h.check(); result {
	case porcupine.Illegal:
		t.Errorf("the history of %d operations on %d keys is not linearizable", n, hotKeys)
	case porcupine.Unknown:
		t.Logf("no order of %d operations was found within %v, and none was excluded", n, checkTime)
	case porcupine.Ok:
		t.Logf("%d operations on %d keys are linearizable", n, hotKeys)
	}
}

func (h *history) check() (result porcupine.CheckResult, operations int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return porcupine.CheckOperationsTimeout(hotModel, h.all, checkTime), len(h.all)
}
