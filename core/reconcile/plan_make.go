package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Planner makes plans. It only reads the database.
type Planner struct {
	Store Store
	// Triggers checks the hooks of definitions; nil if there are no plugins, then a definition with hooks is refused.
	Triggers bucket.Triggers
	// Allow are consents beside those in the documents.
	Allow []Consent
	// Only names the buckets to look at; empty stands for all.
	Only []string
	// Prune says that managed buckets go whose documents are gone, if they may.
	Prune bool
	// Rows is how many rows are looked at for what does not fit a new definition; 0 stands for all.
	Rows int
	// Directory, Revision and By are noted with what is applied: where the documents are, and who applies them.
	Directory, Revision, By string
}

// maxAttempts is how often something is tried again because a bucket changed meanwhile.
const maxAttempts = 10

// Make makes the plan that brings the buckets in line with the documents. The error is one of the database.
func (p *Planner) Make(ctx context.Context, documents []*Document) (plan *Plan, err error) {
	for range maxAttempts {
		if plan, err = p.make(ctx, documents); !errors.Is(err, bucket.ErrMoved) {
			break
		}
	}
	return plan, err
}

func (p *Planner) make(ctx context.Context, documents []*Document) (*Plan, error) {
	live, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	plan := &Plan{
		Format: planFormat, Directory: p.Directory, Revision: p.Revision, Allow: p.Allow, Only: p.Only, Prune: p.Prune,
		Changes: []*Change{}, Unchanged: []string{}, Adopt: []string{}, Documents: []Original{}, drifts: map[string]string{},
	}
	defined := map[string]bool{}
	var concerned []string
	for _, d := range documents {
		defined[d.Name] = true
		if !p.wants(d.Name) {
			continue
		}
		concerned = append(concerned, d.Name)
		plan.Documents = append(plan.Documents, Original{File: d.File, Line: d.Line, Text: []byte(d.Text)})
		c, err := p.change(ctx, d, live[d.Name])
		switch {
		case err != nil:
			return nil, fmt.Errorf("plan bucket %s: %w", d.Name, err)
		case c != nil && c.quiet():
			plan.Unchanged = append(plan.Unchanged, d.Name)
			plan.quiet = append(plan.quiet, c)
			if live[d.Name].Owner == nil {
				plan.Adopt = append(plan.Adopt, d.Name)
			}
		case c != nil:
			plan.Changes = append(plan.Changes, c)
		default:
			plan.Unchanged = append(plan.Unchanged, d.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(live)) {
		if how := drift(live[name]); how != "" {
			plan.drifts[name] = how
		}
		switch {
		case defined[name]:
		case live[name].Owner == nil:
			plan.Unmanaged++
		case p.Prune && p.wants(name):
			concerned = append(concerned, name)
			c, err := p.prune(ctx, live[name])
			if err != nil {
				return nil, fmt.Errorf("plan bucket %s: %w", name, err)
			}
			plan.Changes = append(plan.Changes, c)
		}
	}
	slices.Sort(concerned)
	plan.State = stateOf(live, concerned)
	slices.Sort(plan.Unchanged)
	slices.Sort(plan.Adopt)
	sortChanges(plan.Changes)
	return plan, nil
}

func (p *Planner) wants(name string) bool { return len(p.Only) == 0 || slices.Contains(p.Only, name) }

// live returns all buckets by name.
func (p *Planner) live(ctx context.Context) (map[string]bucket.Live, error) {
	live := map[string]bucket.Live{}
	err := p.Store.Live(ctx, func(l bucket.Live) error {
		live[l.Name()] = l
		return nil
	})
	return live, err
}

// change returns what has to be done to bring one bucket in line with its document, or nil.
func (p *Planner) change(ctx context.Context, d *Document, l bucket.Live) (*Change, error) {
	c := &Change{Bucket: d.Name, Source: d.Where(), To: new(d.Version()), document: d}
	if l.Record != nil {
		c.From, c.generation = new(version(l.Record)), l.Record.Generation
	}
	c.Drift = drift(l)
	c.Superseded = l.Owner != nil && slices.Contains(l.Owner.Superseded, d.Hash())
	c.next = d.Config
	if l.Record == nil || l.Fingerprint != d.Fingerprint() {
		// What is there was accepted once: only what is new is shown to the plugins.
		config, err := bucket.ParseConfig(ctx, p.Triggers, d.Name, d.Definition)
		if f := fault.From(err); f != nil && f.Name != fault.HookUnavailable {
			problem := d.refused(err)
			c.Source = fmt.Sprintf("%s:%d:%d", problem.File, problem.Line, problem.Column)
			return c.refuse(problem.Text), nil
		} else if err != nil {
			return nil, err
		}
		c.next = config
	}
	switch {
	case l.Record == nil:
		return p.create(ctx, c)
	case l.Fingerprint == c.next.Fingerprint():
		return p.settings(ctx, c, l)
	}
	if why := c.versions(); why != "" {
		return c.refuse(why), nil
	}
	return p.update(ctx, c, l)
}

// drift says how the live definition is another one than was applied.
func drift(l bucket.Live) string {
	switch {
	case l.Owner == nil:
		return ""
	case l.Record == nil:
		return "the bucket was deleted since " + applied(l.Owner)
	case l.Fingerprint != l.Owner.Fingerprint:
		return "a client changed the bucket since " + applied(l.Owner)
	}
	return ""
}

func applied(o *bucket.Owner) string {
	text := o.Source
	if o.Revision != "" {
		text += " at " + o.Revision
	}
	return fmt.Sprintf("%s was applied on %s", text, o.Applied.UTC().Format("2006-01-02 15:04:05"))
}

func version(r *bucket.Record) float64 {
	v, err := jsvalue.Parse(r.Options)
	if err != nil || v.Kind() != jsvalue.KindObject {
		return 0
	}
	if version := v.Member("version"); version.Kind() == jsvalue.KindNumber {
		return version.Float()
	}
	return 0
}

// number prints a version.
func number(v float64) string { return string(jsvalue.AppendNumber(nil, v)) }

func (c *Change) refuse(why string) *Change {
	c.Refused, c.Group, c.Steps, c.Items = why, Refused, []Step{}, []Item{}
	return c
}

// versions says why the versions do not let the document take the place of another live definition.
func (c *Change) versions() string {
	from, to := *c.From, *c.To
	switch {
	case from == 0 || to > from:
		return ""
	case to == from:
		return fmt.Sprintf("differs from the live definition of the same version %s: give it version %s", number(to), number(from+1))
	case to == 0:
		c.Stale = true
		return fmt.Sprintf("has no version, and the live definition has version %s", number(from))
	}
	c.Stale = true
	return fmt.Sprintf("version %s is older than the live version %s: a bucket never goes back", number(to), number(from))
}

// owner is what is noted when the change is applied.
func (p *Planner) owner(d *Document, next *bucket.Config) *bucket.Owner {
	return &bucket.Owner{
		Bucket: d.Name, Source: d.File, Revision: p.Revision, Document: d.Text, Hash: d.Hash(), Fingerprint: next.Fingerprint(),
		Protect: d.Protect, Pace: d.Pace, By: p.By,
	}
}

// application is what c asks bucket.Service for.
func (p *Planner) application(c *Change) *bucket.Application {
	return &bucket.Application{
		Definition: c.document.Definition, Owner: p.owner(c.document, c.next), Generation: c.generation, Keep: c.action == note,
	}
}

// rehearse fills in the steps of c. What the database refuses becomes a refusal of the change.
func (p *Planner) rehearse(ctx context.Context, c *Change, do func(*bucket.Service) error) error {
	done, err := p.Store.Rehearse(ctx, func(s bucket.Store) error {
		return do(&bucket.Service{Store: s, Cache: &bucket.Cache{}, Triggers: p.Triggers})
	})
	switch f := fault.From(err); {
	case f != nil && refusal(f):
		c.refuse(f.Message)
		return nil
	case err != nil:
		return err
	}
	c.Steps = steps(done)
	return nil
}

// refusal reports whether a fault is about what is asked for, and not about the way to the database.
func refusal(f *fault.Error) bool {
	switch f.Name {
	case fault.InvalidBucketConfig, fault.InvalidBucketName, fault.BucketVersion, fault.NotFunction, fault.Internal:
		return true
	case fault.Multi: // several errors of PostgreSQL, or a bucket without its table; a lost connection has a cause
		return f.Members != nil || f.Cause == nil
	}
	return false
}
