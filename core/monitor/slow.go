package monitor

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// SlowRequest is a request that took long and is answered.
type SlowRequest struct {
	Time     time.Time // when it came
	ID       string    // its req_id, or one that the server gave it
	Method   string
	Bucket   string // "" if it names none
	Client   string // address of the client
	Duration time.Duration
	Phases   Phases
	SQL      string // the statement that took longest, without its parameters; "" if none was sent
	Error    string // the name of the error that it was answered with; "" if it succeeded
}

// Phases are where the time of a request went. What is left of its duration went into the server itself, and to the client.
type Phases struct {
	Queue time.Duration // waiting for a connection to PostgreSQL
	SQL   time.Duration // waiting for PostgreSQL
	Hooks time.Duration // in hooks, without the SQL that they run
}

// object returns what the snapshot shows of the request. Times are in milliseconds.
func (s *SlowRequest) object() jsvalue.Value {
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	text, err := json.Marshal(map[string]any{
		"time": s.Time.UTC().Format(javaScriptTime), "req_id": s.ID, "rpcmethod": s.Method, "bucket": s.Bucket, "client": s.Client,
		"ms": millis(s.Duration), "queue_ms": millis(s.Phases.Queue), "sql_ms": millis(s.Phases.SQL), "hooks_ms": millis(s.Phases.Hooks),
		"sql": s.SQL, "error": s.Error,
	})
	if err != nil {
		panic("monitor: a slow request cannot be printed: " + err.Error())
	}
	return text
}

// slowObjects numbers the requests in their order: ids of requests are up to clients, and need not differ.
func slowObjects(all []SlowRequest) Objects {
	byID := make(map[string]jsvalue.Value, len(all))
	for i := range all {
		byID[strconv.Itoa(i+1)] = all[i].object()
	}
	return Objects{Type: "slowrequest", ByID: byID}
}
