package top

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Report is what a server did between two looks, and is doing at the second. Durations are in seconds.
type Report struct {
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"` // between the looks
	Server  Server    `json:"server"`
	Checks  []Check   `json:"checks"`
	Cluster *Cluster  `json:"cluster"`  // null if the server does not tell
	Pool    *Pool     `json:"pool"`     // likewise
	Methods []Method  `json:"methods"`  // the busiest first
	Flight  []Request `json:"inFlight"` // the oldest first
	Plugins []Plugin  `json:"plugins"`
	Jobs    []Job     `json:"jobs"`
	Buckets Buckets   `json:"buckets"`
	Slow    []Slow    `json:"slow"` // the latest first
}

// Server is the process and its sums.
type Server struct {
	Ident     string    `json:"ident"` // host/pid
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Ready     bool      `json:"ready"`
	Clients   int       `json:"clients"`
	Memory    uint64    `json:"memory"` // bytes
	Requests  float64   `json:"requestsPerSecond"`
	Errors    float64   `json:"errorsPerSecond"`
	Completed uint64    `json:"completed"` // since the start
	Failed    uint64    `json:"failed"`    // likewise
}

// Check is one of the conditions for being ready.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// Cluster says which server is the primary.
type Cluster struct {
	Kind       string `json:"kind"`
	Primary    string `json:"primary"`
	Generation uint64 `json:"generation"`
	Standby    string `json:"standby"`
	Problem    string `json:"problem"`
}

// Pool is the connections to PostgreSQL.
type Pool struct {
	State      string            `json:"state"`
	Problem    string            `json:"problem"`
	Limit      int               `json:"limit"`
	Idle       int               `json:"idle"`
	Busy       int               `json:"busy"`
	Connecting int               `json:"connecting"`
	Claims     int               `json:"waitingClaims"`
	Statements int               `json:"waitingStatements"`
	OldestWait int64             `json:"oldestWaitMs"`
	Counters   map[string]uint64 `json:"counters"`
}

// Method is the requests of one method.
type Method struct {
	Method   string   `json:"method"`
	Rate     float64  `json:"perSecond"`
	Errors   float64  `json:"errorsPerSecond"`
	Median   *float64 `json:"p50"` // null without requests
	P95      *float64 `json:"p95"`
	P99      *float64 `json:"p99"`
	Total    float64  `json:"requests"` // since the start
	Failures float64  `json:"errors"`   // likewise
}

// Request is one that is not answered yet.
type Request struct {
	Age      float64 `json:"age"`
	Method   string  `json:"method"`
	Argument string  `json:"argument"` // the first, if it is a string
	Client   string  `json:"client"`
	Gone     bool    `json:"gone"` // the client is
}

// Plugin is a program with hooks.
type Plugin struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Version  string   `json:"version"`
	Restarts uint64   `json:"restarts"`
	Events   int      `json:"events"`
	Calls    uint64   `json:"calls"`
	Errors   uint64   `json:"errors"`
	Memory   uint64   `json:"memory"`
	Error    string   `json:"error"`
	Rate     float64  `json:"callsPerSecond"`
	P95      *float64 `json:"p95"` // of the time that hooks take; null without calls
}

// Job is work behind the requests.
type Job struct {
	Kind      string   `json:"kind"`
	Bucket    string   `json:"bucket,omitempty"`
	Indexes   []string `json:"indexes,omitempty"`
	Remaining *int64   `json:"remaining,omitempty"`
	AtLeast   bool     `json:"atLeast,omitempty"`
	Rows      *int64   `json:"rows,omitempty"`
	By        string   `json:"by,omitempty"`
	Mode      string   `json:"mode,omitempty"`
	Directory string   `json:"directory,omitempty"`
	Defined   int      `json:"defined,omitempty"`
	Pending   int      `json:"pending,omitempty"`
	Problem   string   `json:"problem,omitempty"`
}

// Buckets are the sums of the buckets.
type Buckets struct {
	All        int               `json:"all"`
	Reindexing int               `json:"reindexing"`
	Drifted    int               `json:"drifted"`
	Troubled   map[string]string `json:"troubled"` // what is wrong, by bucket
}

// Slow is a slow request that is answered.
type Slow struct {
	Time   time.Time `json:"time"`
	Method string    `json:"rpcmethod"`
	Bucket string    `json:"bucket"`
	Millis float64   `json:"ms"`
	Queue  float64   `json:"queue_ms"`
	InSQL  float64   `json:"sql_ms"`
	Hooks  float64   `json:"hooks_ms"`
	SQL    string    `json:"sql"`
	Error  string    `json:"error"`
}

// Watch looks at a server again and again.
type Watch struct {
	Client *Client

	last *look
}

// Next returns what the server did since the last look; at the first, since its start.
func (w *Watch) Next(ctx context.Context) (*Report, error) {
	now, err := w.Client.look(ctx)
	if err != nil {
		return nil, err
	}
	last := w.last
	w.last = now
	if last == nil || !last.kang.Stats.Started.Equal(now.kang.Stats.Started) { // it was started anew, and counts from 0
		last = &look{at: now.kang.Stats.Started}
	}
	return report(last, now), nil
}

func report(last, now *look) *Report {
	stats := now.kang.Stats
	r := &Report{
		Time: now.at, Seconds: max(now.at.Sub(last.at).Seconds(), 0.001),
		Server: Server{
			Ident: now.kang.Service.Ident, Version: now.label("moray_build_info", "version"), Started: stats.Started, Ready: now.ready.Ready,
			Clients: stats.Active, Memory: stats.Memory.RSS, Completed: stats.Completed, Failed: stats.Failed,
		},
		Flight: now.flight(), Jobs: values(now.kang.Jobs), Buckets: now.buckets(), Slow: now.slow(),
	}
	for name, c := range now.ready.Checks {
		r.Checks = append(r.Checks, Check{name, c.OK, c.Message})
	}
	slices.SortFunc(r.Checks, func(a, b Check) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range now.kang.Cluster {
		r.Cluster = &c
	}
	for _, p := range now.kang.Pool {
		r.Pool = &p
	}
	r.Plugins = plugins(last, now, r.Seconds)
	r.Methods = methods(last, now, r.Seconds)
	for _, m := range r.Methods {
		r.Server.Requests += m.Rate
		r.Server.Errors += m.Errors
	}
	return r
}

func methods(last, now *look, seconds float64) []Method {
	const latency, failures = "moray_request_seconds", "moray_request_errors_total"
	before, after := last.histograms(latency, "rpcMethod"), now.histograms(latency, "rpcMethod")
	failedBefore, failed := last.counters(failures, "rpcMethod"), now.counters(failures, "rpcMethod")
	all := []Method{}
	for name, h := range after {
		d := h.since(before[name])
		all = append(all, Method{
			Method: name, Rate: d.count / seconds, Errors: (failed[name] - failedBefore[name]) / seconds,
			Median: d.quantile(0.5), P95: d.quantile(0.95), P99: d.quantile(0.99), Total: h.count, Failures: failed[name],
		})
	}
	slices.SortFunc(all, func(a, b Method) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Method, b.Method))
	})
	return all
}

// plugins returns the plugins with what they did between the looks.
func plugins(last, now *look, seconds float64) []Plugin {
	before, after := last.histograms("moray_hook_seconds", "plugin"), now.histograms("moray_hook_seconds", "plugin")
	all := values(now.kang.Plugins)
	for i := range all {
		d := after[all[i].Name].since(before[all[i].Name])
		all[i].Rate, all[i].P95 = d.count/seconds, d.quantile(0.95)
	}
	return all
}

func (l *look) flight() []Request {
	all := []Request{}
	for _, r := range l.kang.Requests {
		shown := Request{
			Age: max(l.clock.Sub(r.Started).Seconds(), 0), Method: r.Method, Client: l.kang.Connections[r.Conn].Address.Label, Gone: r.Blackholed,
		}
		if len(r.Args) == 0 || json.Unmarshal(r.Args[0], &shown.Argument) != nil {
			shown.Argument = ""
		}
		all = append(all, shown)
	}
	slices.SortFunc(all, func(a, b Request) int { return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Method, b.Method)) })
	return all
}

func (l *look) buckets() Buckets {
	b := Buckets{All: len(l.kang.Buckets), Troubled: map[string]string{}}
	for name, s := range l.kang.Buckets {
		if s.Reindexing {
			b.Reindexing++
		}
		if s.Drift {
			b.Drifted++
		}
		if text := cmp.Or(s.Problem, s.Pending); text != "" {
			b.Troubled[name] = text
		} else if s.Drift {
			b.Troubled[name] = "changed by a client since its definition was applied"
		}
	}
	return b
}

// slow returns the slow requests in the order of their numbers.
func (l *look) slow() []Slow {
	number := func(id string) int { n, _ := strconv.Atoi(id); return n } //nolint:errcheck // because 0 will do
	ids := slices.SortedFunc(maps.Keys(l.kang.Slow), func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	all := []Slow{}
	for _, id := range ids {
		all = append(all, l.kang.Slow[id])
	}
	return all
}

// values returns the values of a map in the order of its keys.
func values[T any](m map[string]T) []T {
	all := []T{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[key])
	}
	return all
}
