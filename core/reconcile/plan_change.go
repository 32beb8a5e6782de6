package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// add notes a difference. The group of the change is the last of those of its items.
func (c *Change) add(g Group, format string, args ...any) {
	c.Items = append(c.Items, Item{g, fmt.Sprintf(format, args...)})
	c.Group = max(c.Group, g)
}

// create plans a new bucket.
func (p *Planner) create(ctx context.Context, c *Change) (*Change, error) {
	c.action = apply
	size, err := p.Store.Size(ctx, bucket.TableName(c.Bucket))
	if err != nil {
		return nil, err
	}
	if size != nil {
		return c.refuse(fmt.Sprintf("there is a table %s already, which is no bucket's", bucket.TableName(c.Bucket))), nil
	}
	for _, column := range c.next.Columns {
		c.add(Create, "index %s", described(column))
	}
	c.hooks("pre", "[]", c.next.Pre)
	c.hooks("post", "[]", c.next.Post)
	c.options(nil, c.next.Options)
	c.Group = Create // whatever is in it, nobody is there who could notice
	return c, p.rehearse(ctx, c, func(s *bucket.Service) error { return s.Apply(ctx, c.Bucket, p.application(c)) })
}

// settings plans a change of what is noted beside a definition that stays as it is; nil if that is as it should be too. Without
// items there is nothing that anybody would notice.
func (p *Planner) settings(ctx context.Context, c *Change, l bucket.Live) (*Change, error) {
	c.action = note
	d := c.document
	if l.Owner != nil && l.Owner.Hash == d.Hash() && c.Drift == "" {
		return nil, nil
	}
	var before Settings
	if l.Owner != nil {
		before = parseDocument(l.Owner.Document).Settings
	}
	c.change("protect", before.Protect, d.Protect)
	c.change("deletionPolicy", policy(before.Delete), policy(d.Delete))
	c.change("reindex", pace(before.Pace), pace(d.Pace))
	if len(c.Items) == 0 {
		return c, nil
	}
	c.superseded()
	return c, p.rehearse(ctx, c, func(s *bucket.Service) error { return s.Apply(ctx, c.Bucket, p.application(c)) })
}

// superseded warns of a document that goes back.
func (c *Change) superseded() {
	if c.Superseded {
		c.Notes = append(c.Notes, "this document was applied before, and another one in its place since")
	}
}

func (c *Change) change(what string, before, after any) {
	if before != after {
		c.add(Additive, "%s: %v -> %v", what, before, after)
	}
}

func policy(remove bool) string {
	if remove {
		return "delete"
	}
	return "retain"
}

func pace(p *bucket.Pace) string {
	switch {
	case p == nil:
		return "by clients"
	case p.Rate == 0:
		return fmt.Sprintf("by servers, %d rows a transaction", p.Batch)
	}
	return fmt.Sprintf("by servers, %d rows/s, %d a transaction", p.Rate, p.Batch)
}

// update plans another definition for a bucket that is there.
func (p *Planner) update(ctx context.Context, c *Change, l bucket.Live) (*Change, error) {
	c.action = apply
	c.superseded()
	next := c.next
	record, err := p.Store.LoadBucket(ctx, c.Bucket)
	if err != nil {
		return nil, err
	}
	if record == nil || record.Generation != c.generation {
		return nil, bucket.ErrMoved
	}
	current, err := bucket.Load(record)
	if err != nil {
		return c.refuse(said(err)), nil //nolint:nilerr // because it is the bucket that is broken
	}
	size, err := p.Store.Size(ctx, current.Table)
	switch {
	case err != nil:
		return nil, err
	case size == nil:
		return c.refuse("its table is gone"), nil
	}
	c.Rows, c.Bytes, c.About = size.Rows, size.Bytes, !size.Exact

	if *c.From != *c.To {
		c.add(Additive, "version %s -> %s", number(*c.From), number(*c.To))
	}
	diff := bucket.Compare(current.Columns, next.Columns)
	c.columns(current, diff)
	c.hooks("pre", string(l.Record.Pre), next.Pre)
	c.hooks("post", string(l.Record.Post), next.Post)
	c.options(l.Record.Options, next.Options)
	if err := p.rehearse(ctx, c, func(s *bucket.Service) error { return s.Apply(ctx, c.Bucket, p.application(c)) }); err != nil || c.Refused != "" {
		return c, err
	}
	for _, s := range c.Steps {
		if s.AllRows {
			c.Group = max(c.Group, Online)
		}
	}
	return c, p.guard(ctx, c, current, next, diff)
}

// columns notes what becomes of the indexes.
func (c *Change) columns(current *bucket.Bucket, diff bucket.Diff) {
	over := func(g Group) Group { // what it is if there are rows
		if c.Rows == 0 {
			return Additive
		}
		return g
	}
	for _, column := range diff.Add {
		switch {
		case c.Rows > 0 && *c.To > 0:
			c.add(Reindexing, "index %s: filters can use it when all rows are reindexed, by %s", described(column), c.reindexers())
		case c.Rows > 0:
			c.add(Online, "index %s: without a version, rows that are there are found by it only when they are written again", described(column))
		default:
			c.add(Additive, "index %s", described(column))
		}
	}
	for _, column := range diff.Drop {
		c.add(Destructive, "index %s: dropped with its column; the members of the objects stay", described(column))
	}
	for _, column := range diff.Retype {
		c.add(Destructive, "index %s: was %s; the column is replaced by one that is filled from the values",
			described(column), current.Column(column.Name).Type)
	}
	for _, column := range diff.Unique {
		c.add(over(Online), "index %s: unique from now on", described(column))
	}
	for _, column := range diff.NotUnique {
		c.add(over(Online), "index %s: no longer unique", described(column))
	}
}

func (c *Change) reindexers() string {
	if c.document.Pace != nil {
		return "the servers"
	}
	return "clients"
}

func described(c bucket.Column) string {
	if c.Unique {
		return fmt.Sprintf("%s (%s, unique)", c.Name, c.Type)
	}
	return fmt.Sprintf("%s (%s)", c.Name, c.Type)
}

// hooks notes a change of the hooks of a phase.
func (c *Change) hooks(phase, before string, after []byte) {
	old, now := hookNames(before), hookNames(string(after))
	if !slices.Equal(texts(before), texts(string(after))) {
		c.add(Additive, "%s hooks: %s -> %s", phase, old, now)
	}
}

// hookNames lists hooks by name; JavaScript has none.
func hookNames(list string) string {
	triggers, err := bucket.ParseTriggers([]byte(list))
	if err != nil || len(triggers) == 0 {
		return "none"
	}
	names := make([]string, len(triggers))
	for i, t := range triggers {
		if names[i] = t.Plugin + "/" + t.Hook; t.Source {
			names[i] = "JavaScript"
		}
	}
	return strings.Join(names, ", ")
}

// texts returns the strings of a JSON array.
func texts(list string) []string {
	v, err := jsvalue.Parse([]byte(list))
	if err != nil || v.Kind() != jsvalue.KindArray {
		return []string{list}
	}
	var all []string
	for e := range v.Elements() {
		all = append(all, string(e))
	}
	return all
}

// options notes the options that change. The version has an item of its own.
func (c *Change) options(before, after []byte) {
	old, now := asObject(before), asObject(after)
	for name, value := range members(now) {
		was := old.Member(name)
		switch {
		case name == "version", was != nil && string(jsvalue.AppendSorted(nil, was)) == string(jsvalue.AppendSorted(nil, value)):
		case name == "schema":
			c.add(Additive, "schema: %s", map[bool]string{true: "new", false: "another one"}[was == nil])
		case was == nil:
			c.add(Additive, "option %s: %s", name, short(string(value)))
		default:
			c.add(Additive, "option %s: %s -> %s", name, short(string(was)), short(string(value)))
		}
	}
	for name := range members(old) {
		if name != "version" && now.Member(name) == nil {
			c.add(Additive, "%s: removed", map[bool]string{true: "schema", false: "option " + name}[name == "schema"])
		}
	}
}

// asObject returns the JSON object of a text, an empty one if it is none.
func asObject(text []byte) jsvalue.Value {
	v, err := jsvalue.Parse(text)
	if err != nil || v.Kind() != jsvalue.KindObject {
		return jsvalue.Value("{}")
	}
	return v
}

// prune plans what becomes of a managed bucket whose document is gone.
func (p *Planner) prune(ctx context.Context, l bucket.Live) (*Change, error) {
	c := &Change{Bucket: l.Name(), Source: l.Owner.Source, Drift: drift(l), action: release}
	if l.Record != nil {
		c.From, c.generation = new(version(l.Record)), l.Record.Generation
	}
	if l.Record == nil || !parseDocument(l.Owner.Document).Delete {
		c.add(Additive, "its document is gone: it is no longer managed, and stays as it is")
		return c, p.rehearse(ctx, c, func(s *bucket.Service) error { return s.Release(ctx, c.Bucket) })
	}
	c.action = remove
	size, err := p.Store.Size(ctx, bucket.TableName(c.Bucket))
	if err != nil {
		return nil, err
	}
	if size != nil {
		c.Rows, c.Bytes, c.About = size.Rows, size.Bytes, !size.Exact
	}
	c.add(Destructive, "its document is gone, and its deletionPolicy was delete: it is deleted with all its objects")
	c.require(p, Consent{Guard: GuardDropBucket, Bucket: c.Bucket}, "the bucket is deleted with all its objects", nil)
	return c, p.rehearse(ctx, c, func(s *bucket.Service) error { return s.Remove(ctx, c.Bucket, c.generation) })
}
