package server

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/pgstore"
	"github.com/kaizengarden/moray/core/reconcile"
)

// What the kang snapshot shows beyond the original: the pool, the buckets, and jobs, which are work that goes on behind the requests.

type poolView struct {
	State             string            `json:"state"`
	Primary           string            `json:"primary"`
	Problem           string            `json:"problem"`
	Limit             int               `json:"limit"`
	Spares            int               `json:"spares"`
	Idle              int               `json:"idle"`
	Busy              int               `json:"busy"`
	Connecting        int               `json:"connecting"`
	Retired           int               `json:"retired"`
	Own               int               `json:"own"`
	QueueLimit        *int              `json:"queueLimit"` // null for none
	WaitingClaims     int               `json:"waitingClaims"`
	WaitingStatements int               `json:"waitingStatements"`
	WaitingClients    int               `json:"waitingClients"`
	OldestWaitMS      int64             `json:"oldestWaitMs"`
	Held              map[string]int    `json:"held"`
	Counters          map[string]uint64 `json:"counters"`
}

func poolObject(s pgstore.PoolStatus) monitor.Objects {
	view := poolView{
		State: s.State, Primary: s.Primary, Problem: s.Problem, Limit: s.MaxConnections, Spares: s.MinSpare,
		Idle: s.Idle, Busy: s.Busy, Connecting: s.Connecting, Retired: s.Retired, Own: s.Own,
		WaitingClaims: s.WaitingClaims, WaitingStatements: s.WaitingStatements, WaitingClients: s.WaitingClients,
		OldestWaitMS: s.OldestWait.Milliseconds(), Held: s.Held, Counters: s.Events,
	}
	if s.MaxQueue >= 0 {
		view.QueueLimit = &s.MaxQueue
	}
	if view.Held == nil {
		view.Held = map[string]int{}
	}
	return monitor.Objects{Type: "pool", ByID: map[string]jsvalue.Value{s.ID: printed(view)}}
}

type bucketView struct {
	Version    float64     `json:"version"`
	Indexes    []indexView `json:"indexes"`
	Pre        []string    `json:"pre"`  // hooks, as plugin/hook
	Post       []string    `json:"post"` // likewise
	Schema     bool        `json:"schema"`
	Ordered    bool        `json:"guaranteeOrder"`
	Rows       *int64      `json:"rows"`  // about; null: not known
	Bytes      int64       `json:"bytes"` // about
	Reindexing bool        `json:"reindexing"`
	Managed    *ownerView  `json:"managed"` // null if no file defines the bucket
	Drift      bool        `json:"drift"`   // a client changed it since its file was applied
	Pending    string      `json:"pending"` // why a change of its file is not applied
	Problem    string      `json:"problem"`
	AsOf       time.Time   `json:"asOf"`
}

type indexView struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Unique     bool   `json:"unique"`
	Reindexing bool   `json:"reindexing"`
}

type ownerView struct {
	Source    string    `json:"source"`
	Revision  string    `json:"revision"`
	Protected bool      `json:"protected"`
	By        string    `json:"by"`
	Applied   time.Time `json:"applied"`
}

// jobView is a bucket's reindexing.
type jobView struct {
	Kind      string   `json:"kind"` // reindex
	Bucket    string   `json:"bucket"`
	Indexes   []string `json:"indexes"`
	Remaining *int64   `json:"remaining"` // rows; null: not known
	AtLeast   bool     `json:"atLeast"`   // and perhaps more
	Rows      *int64   `json:"rows"`      // of the bucket, about; null: not known
	By        string   `json:"by"`        // who does it: servers, or clients with reindexobjects

	Background *backgroundView `json:"background"` // what servers have done of it; null: nothing
}

type backgroundView struct {
	Paused   bool      `json:"paused"`
	Done     int64     `json:"done"`
	Total    int64     `json:"total"` // about
	Rate     float64   `json:"rate"`  // rows/s
	Pass     int       `json:"pass"`
	Unfit    int64     `json:"unfit"` // rows that cannot be reindexed as they are
	Examples []string  `json:"examples"`
	Problem  string    `json:"problem"`
	Worker   string    `json:"worker"` // who did the last of it
	Began    time.Time `json:"began"`
	Noted    time.Time `json:"noted"`
}

// definitionsView is how far the server is with the definitions of its files.
type definitionsView struct {
	Kind      string    `json:"kind"` // definitions
	Mode      string    `json:"mode"`
	Directory string    `json:"directory"`
	Revision  string    `json:"revision"`
	Defined   int       `json:"defined"`
	Pending   int       `json:"pending"` // changes that wait for somebody
	Problem   string    `json:"problem"`
	Done      time.Time `json:"done,omitzero"`
}

// objects returns the buckets by name, and the jobs.
func (o *overview) objects(definitions reconcile.Status) (buckets, jobs monitor.Objects) {
	buckets = monitor.Objects{Type: "bucket", ByID: map[string]jsvalue.Value{}}
	jobs = monitor.Objects{Type: "job", ByID: map[string]jsvalue.Value{}}
	seen := o.latest()
	for i := range seen.buckets {
		b := &seen.buckets[i]
		view := b.view()
		view.AsOf = seen.at.UTC().Truncate(time.Millisecond)
		view.Pending = definitions.Pending[b.live.Name()]
		buckets.ByID[b.live.Name()] = printed(view)
		if view.Reindexing {
			jobs.ByID["reindex/"+b.live.Name()] = printed(b.reindexing())
		}
	}
	if d := definitions; d.Mode != reconcile.ModeOff {
		jobs.ByID["definitions"] = printed(definitionsView{
			"definitions", d.Mode, d.Directory, d.Revision, d.Defined, len(d.Pending), d.Problem, d.Done.UTC(),
		})
	}
	if seen.problem != "" {
		jobs.ByID["overview"] = printed(map[string]string{"kind": "overview", "problem": seen.problem})
	}
	return buckets, jobs
}

func (b *shownBucket) view() bucketView {
	view := bucketView{
		Indexes: []indexView{}, Pre: []string{}, Post: []string{}, Rows: known(b.relation.Rows, b.relation.Columns != nil),
		Bytes: b.relation.Bytes, Problem: b.problem,
	}
	if d := b.definition; d != nil {
		view.Version, view.Schema, view.Ordered, view.Reindexing = d.Version, d.Schema != nil, d.Ordered, d.Pending
		view.Pre, view.Post = hookNames(d.Pre), hookNames(d.Post)
		for _, c := range d.Columns {
			view.Indexes = append(view.Indexes, indexView{c.Name, c.Type.String(), c.Unique, c.Reindexing})
		}
	}
	if o := b.live.Owner; o != nil {
		view.Managed = &ownerView{o.Source, o.Revision, o.Protect, o.By, o.Applied.UTC()}
		switch r := b.live.Record; {
		case r == nil:
			view.Problem = "its file was applied, and there is no such bucket"
		case r.Fingerprint() != o.Fingerprint:
			view.Drift = true
		}
	}
	return view
}

func (b *shownBucket) reindexing() jobView {
	job := jobView{
		Kind: "reindex", Bucket: b.live.Name(), Indexes: b.definition.Reindexing(), Remaining: known(b.stale, true),
		AtLeast: b.stale == countedStale, Rows: known(b.relation.Rows, true), By: "clients",
	}
	if o := b.live.Owner; o != nil && o.Pace != nil {
		job.By = "servers"
	}
	if job.Indexes == nil {
		job.Indexes = []string{}
	}
	if j := b.job; j != nil && j.Version != "" {
		job.Background = &backgroundView{
			j.Paused, j.Done, j.Total, math.Round(j.Rate), j.Pass, j.Unfit, j.Examples, j.Problem, j.By, j.Began, j.Noted,
		}
	}
	return job
}

// known returns a number that is negative if it is not known.
func known(n int64, ok bool) *int64 {
	if n < 0 || !ok {
		return nil
	}
	return &n
}

func hookNames(triggers []bucket.Trigger) []string {
	names := make([]string, len(triggers))
	for i := range triggers {
		names[i] = triggers[i].Plugin + "/" + triggers[i].Hook
		if triggers[i].Source {
			names[i] = triggers[i].Plugin + "#" + strconv.Itoa(i+1) // the text of a function
		}
	}
	return names
}

// printed returns v as JSON.
func printed(v any) jsvalue.Value {
	text, err := json.Marshal(v)
	if err != nil {
		panic("server: what kang shows cannot be printed: " + err.Error())
	}
	return text
}
