package bucket

import (
	"context"
	"errors"
	"slices"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/shape"
)

// Config is a definition that a client asks for, after all checks: the texts to be stored, and what they say.
type Config struct {
	Index, Pre, Post, Options []byte // JSON texts
	Columns                   []Column
	Version                   float64
	Ordered                   bool
	Schema                    *Schema // of the values; nil for any
}

// The shapes of the members of a definition, in the order in which they are checked.
var (
	indexShape = shape.Object{Members: shape.Object{Closed: true, Properties: []shape.Property{
		{Name: "type", Shape: shape.Enum{Values: field.Names()}, Required: true},
		{Name: "unique", Shape: shape.Boolean{}},
	}}}
	optionsShape = shape.Object{Properties: []shape.Property{
		{Name: "version", Shape: shape.Integer{}},
		{Name: "guaranteeOrder", Shape: shape.Boolean{}},
		{Name: "syncUpdates", Shape: shape.Boolean{}},
	}}
)

// ParseConfig checks the argument config of createBucket and updateBucket, an object, for the bucket called name. The checks
// and their order are the original's; so are the faults: InvalidBucketConfig, NotFunction, InvalidBucketName. t checks the
// triggers; nil stands for a server that runs none.
func ParseConfig(ctx context.Context, t Triggers, name string, config jsvalue.Value) (*Config, error) {
	index := member(config, "index", "{}")
	pre := member(config, "pre", "[]")
	post := member(config, "post", "[]")
	options := withVersion(member(config, "options", "{}"))

	for _, c := range []struct {
		name  string
		shape shape.Shape
		value jsvalue.Value
	}{
		{"bucket.index", indexShape, index},
		{"bucket.pre", shape.Array{}, pre},
		{"bucket.post", shape.Array{}, post},
		{"bucket.options", optionsShape, options},
	} {
		if problem := shape.Check(c.shape, c.name, c.value); problem != "" {
			return nil, fault.New(fault.InvalidBucketConfig, "%s", problem)
		}
	}
	if options.Member("trackModification") != nil {
		return nil, fault.New(fault.InvalidBucketConfig, `"trackModification" is no longer supported`)
	}
	schema, err := compileSchema(options)
	if err != nil {
		return nil, err
	}
	c := &Config{
		Index: index, Options: options, Schema: schema,
		Version: options.Member("version").Float(),
		Ordered: options.Member("guaranteeOrder").IsTrue(),
	}
	if err := c.checkTriggers(ctx, t, name, post, pre); err != nil {
		return nil, err
	}
	columns, err := parseIndex(index)
	if err != nil {
		return nil, err
	}
	for _, column := range columns {
		if err := CheckIndexName(column.Name); err != nil {
			return nil, err
		}
	}
	c.Columns = columns
	return c, nil
}

// checkTriggers checks the triggers, and the name of the bucket where the original does: after the texts were evaluated, before
// a look at what they are.
func (c *Config) checkTriggers(ctx context.Context, t Triggers, name string, post, pre jsvalue.Value) error {
	posts, err := requested(post, "post")
	if err != nil {
		return err
	}
	pres, err := requested(pre, "pre")
	if err != nil {
		return err
	}
	if len(posts)+len(pres) > 0 {
		if t == nil {
			return fault.New(fault.InvalidBucketConfig, "this server runs no triggers: pre and post must be empty")
		}
		err = t.Check(ctx, name, posts, pres)
	}
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Name == fault.NotFunction && f.Message == NotCompiled {
		return err
	}
	if err := CheckName(name); err != nil {
		return err
	}
	c.Post, c.Pre = texts(posts), texts(pres)
	return err
}

// member returns a member of a definition as it is printed and stored, or fallback if the definition has no such member or JavaScript
// takes it for false.
func member(config jsvalue.Value, name, fallback string) jsvalue.Value {
	v := config.Member(name)
	if !v.Truthy() {
		return jsvalue.Value(fallback)
	}
	return jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v))
}

// withVersion returns options with a version: 0 in the place of one that JavaScript takes for false, or at the end.
func withVersion(options jsvalue.Value) jsvalue.Value {
	o, err := jsvalue.ParseObject(options)
	if err != nil || o.Get("version").Truthy() {
		return options // what is not an object is reported by the check
	}
	return o.AppendEdited(nil, []jsvalue.Edit{{Name: "version", Value: jsvalue.Value("0")}})
}

// Diff is what has to change in a table so that it fits another definition.
type Diff struct {
	Add       []Column // only in the new definition
	Drop      []Column // only in the old one
	Retype    []Column // of another type; the new definition
	Unique    []Column // unique now; the new definition
	NotUnique []Column // not unique any more; the new definition
}

// Compare returns the difference between two definitions. Columns are told apart by the names that they have in the
// definition.
func Compare(old, new []Column) Diff {
	var d Diff
	find := func(all []Column, name string) *Column {
		i := slices.IndexFunc(all, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return nil
		}
		return &all[i]
	}
	for _, c := range new {
		switch before := find(old, c.Name); {
		case before == nil:
			d.Add = append(d.Add, c)
		case before.Type != c.Type:
			d.Retype = append(d.Retype, c)
		case c.Unique && !before.Unique:
			d.Unique = append(d.Unique, c)
		case !c.Unique && before.Unique:
			d.NotUnique = append(d.NotUnique, c)
		}
	}
	for _, c := range old {
		if find(new, c.Name) == nil {
			d.Drop = append(d.Drop, c)
		}
	}
	return d
}
