package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
)

// State is what there is to know of a bucket: who manages it, how it differs from what was applied, and which of its indexes can be
// used.
type State struct {
	Bucket  string        `json:"bucket"`
	Missing bool          `json:"missing"` // its document was applied, and there is no such bucket
	Version float64       `json:"version"`
	Indexes []IndexState  `json:"indexes"`
	Owner   *OwnerState   `json:"managed"` // null if no document defines it
	Drift   string        `json:"drift"`   // how it is another than was applied; empty if it is not
	Problem string        `json:"problem"` // what is wrong with its definition
	Reindex *ReindexState `json:"reindexing"`
}

// IndexState is one index.
type IndexState struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Unique bool   `json:"unique"`
	Usable bool   `json:"usable"` // by filters; not while it is reindexed
}

// OwnerState says which document defines a bucket.
type OwnerState struct {
	Source   string    `json:"source"`
	Revision string    `json:"revision"`
	Protect  bool      `json:"protect"`
	By       string    `json:"by"`
	Applied  time.Time `json:"applied"`
}

// ReindexState says how far the reindexing of a bucket is.
type ReindexState struct {
	ByServers bool     `json:"byServers"` // else clients have to ask for it
	Begun     bool     `json:"begun"`     // servers did something
	Paused    bool     `json:"paused"`
	Done      int64    `json:"done"`
	Total     int64    `json:"total"`
	Rate      float64  `json:"rate"`        // rows/s, of late
	Left      float64  `json:"leftSeconds"` // at that rate; 0 if nobody knows
	Unfit     int64    `json:"unfit"`       // rows that cannot be reindexed as they are
	Examples  []string `json:"examples"`    // of these, and why
	Problem   string   `json:"problem"`
}

// StateStore is what [States] reads.
type StateStore interface {
	Store
	ReindexStore
}

// States returns the state of all buckets, or of those that are named, by name.
func States(ctx context.Context, store StateStore, only []string) ([]*State, error) {
	jobs, err := store.ReindexJobs(ctx)
	if err != nil {
		return nil, err
	}
	states := []*State{}
	err = store.Live(ctx, func(l bucket.Live) error {
		if len(only) > 0 && !slices.Contains(only, l.Name()) {
			return nil
		}
		states = append(states, stateOfBucket(l, jobs))
		return nil
	})
	slices.SortFunc(states, func(a, b *State) int { return cmp.Compare(a.Bucket, b.Bucket) })
	if err == nil {
		for _, name := range only {
			if !slices.ContainsFunc(states, func(s *State) bool { return s.Bucket == name }) {
				return nil, fmt.Errorf("there is no bucket %s, and none is managed", name)
			}
		}
	}
	return states, err
}

func stateOfBucket(l bucket.Live, jobs []*bucket.ReindexJob) *State {
	s := &State{Bucket: l.Name(), Missing: l.Record == nil, Drift: drift(l), Indexes: []IndexState{}}
	if o := l.Owner; o != nil {
		s.Owner = &OwnerState{o.Source, o.Revision, o.Protect, o.By, o.Applied.UTC()}
	}
	if l.Record == nil {
		return s
	}
	r := *l.Record
	r.Attributes = []string{} // that the table is there is not what this is about
	b, err := bucket.Load(&r)
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	s.Version = b.Version
	for _, c := range b.Columns {
		s.Indexes = append(s.Indexes, IndexState{c.Name, c.Type.String(), c.Unique, !c.Reindexing})
	}
	for _, j := range jobs {
		if j.Bucket == s.Bucket && j.Pending {
			s.Reindex = reindexState(j)
		}
	}
	return s
}

func reindexState(j *bucket.ReindexJob) *ReindexState {
	r := &ReindexState{
		ByServers: j.Pace != nil, Begun: j.Version != "", Paused: j.Paused, Done: j.Done, Total: j.Total, Rate: j.Rate,
		Unfit: j.Unfit, Examples: j.Examples, Problem: j.Problem,
	}
	if r.Examples == nil {
		r.Examples = []string{}
	}
	if j.Rate > 0 {
		r.Left = float64(j.Left()) / j.Rate
	}
	return r
}

// Words says in words what is going on, "ready" if nothing is.
func (s *State) Words() string {
	var parts []string
	if s.Problem != "" {
		parts = append(parts, s.Problem)
	}
	if s.Drift != "" {
		parts = append(parts, s.Drift)
	}
	if s.Reindex != nil {
		parts = append(parts, s.Reindex.words(s.Indexes))
	}
	if len(parts) == 0 {
		return "ready"
	}
	return strings.Join(parts, "; ")
}

func (r *ReindexState) words(indexes []IndexState) string {
	var names []string
	for _, i := range indexes {
		if !i.Usable {
			names = append(names, i.Name)
		}
	}
	text := "to reindex"
	if len(names) > 0 {
		text += " " + strings.Join(names, ", ")
	}
	switch {
	case r.Paused:
		text += ", paused"
	case !r.ByServers && !r.Begun:
		text += ": clients do, or moray buckets reindex run"
	case !r.Begun:
		text += ": no server has begun"
	}
	if r.Begun {
		text += fmt.Sprintf(": %d %% (%d of %d rows)", 100*r.Done/max(r.Total, r.Done, 1), r.Done, r.Total)
	}
	if r.Left > 0 && !r.Paused {
		text += fmt.Sprintf(", %.0f/s, %s left", r.Rate, time.Duration(r.Left*float64(time.Second)).Round(time.Second))
	}
	if r.Unfit > 0 {
		text += fmt.Sprintf("; %d cannot be reindexed as they are: %s", r.Unfit, strings.Join(r.Examples, ", "))
	}
	if r.Problem != "" {
		text += "; " + r.Problem
	}
	return text
}
