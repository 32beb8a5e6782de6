package query

import (
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Where is the condition that a filter stands for, as far as it concerns columns.
type Where struct {
	SQL  string
	Args []Arg
}

// Arg is an argument of a condition.
type Arg struct {
	text string
	json jsvalue.Value // as sql_only shows it
}

// maxOperands bounds the operands of a filter. A statement has 65,535 parameters at most: the message Bind counts them in 16
// bits. A table has 1,600 columns at most, which leaves enough for what an update sets.
const maxOperands = 63_000

// Compile translates a filter. It leaves in the tree which leaves it translated, so that matching in memory knows what
// PostgreSQL has seen to. The faults are InvalidQuery for operands and operators that a column's type does not have, NotIndexed
// where a part without a usable column would widen the result, and Generic for what filters must not contain.
func Compile(b *bucket.Bucket, n filter.Node) (*Where, error) {
	c := &compiler{bucket: b, where: &Where{}}
	if err := c.restrict(n); err != nil {
		return nil, err
	}
	sql, err := c.node(n)
	if err != nil {
		return nil, err
	}
	if sql == "" {
		return nil, invalid(n)
	}
	if len(c.where.Args) > maxOperands {
		return nil, fault.New(fault.InvalidQuery, "the filter compares with %d values; at most %d are possible",
			len(c.where.Args), maxOperands)
	}
	c.where.SQL = sql
	return c.where, nil
}

type compiler struct {
	bucket *bucket.Bucket
	where  *Where
}

func invalid(n filter.Node) error {
	return fault.New(fault.InvalidQuery, "%s is an invalid filter", n)
}

func (c *compiler) notIndexed(n filter.Node) error {
	return fault.New(fault.NotIndexed, "%s does not have indexes that support %s", c.bucket.Name, n)
}

// restrict refuses what no filter may contain, before anything is translated: children first, from left to right.
func (c *compiler) restrict(n filter.Node) error {
	var children []filter.Node
	attribute := ""
	switch n := n.(type) {
	case *filter.And:
		children = n.Children
	case *filter.Or:
		children = n.Children
	case *filter.Not:
		children = []filter.Node{n.Child}
	case *filter.Approx:
		return fault.New(fault.Generic, "approx filters not allowed")
	case *filter.Ext:
		if err := c.restrictExt(n); err != nil {
			return err
		}
		attribute = n.Attribute
	default:
		attribute = attributeOf(n)
	}
	for _, child := range children {
		if err := c.restrict(child); err != nil {
			return err
		}
	}
	if attribute == "_idx" {
		return fault.New(fault.Generic, `filtering on "_idx" is not allowed`)
	}
	return nil
}

func (c *compiler) restrictExt(n *filter.Ext) error {
	switch n.Canonical() {
	case filter.CaseIgnoreMatch, filter.CaseIgnoreSubstrings:
		if n.Attribute == "" || n.Canonical() == filter.CaseIgnoreSubstrings && n.Pattern == nil {
			return invalid(n)
		}
		return nil
	case filter.Overlaps, filter.Contains, filter.Within:
		if usable(c.bucket, n.Attribute) == nil {
			return c.notIndexed(n)
		}
		return nil
	}
	return fault.New(fault.Generic, "unsupported ext filter")
}

func attributeOf(n filter.Node) string {
	switch n := n.(type) {
	case *filter.Present:
		return n.Attribute
	case *filter.Equal:
		return n.Attribute
	case *filter.GE:
		return n.Attribute
	case *filter.LE:
		return n.Attribute
	case *filter.Substring:
		return n.Attribute
	case *filter.Approx:
		return n.Attribute
	case *filter.Ext:
		return n.Attribute
	}
	return ""
}

// usable returns the column of an index that filters can rely on, or nil.
func usable(b *bucket.Bucket, attribute string) *bucket.Column {
	if c := b.Column(attribute); c != nil && !c.Reindexing && !c.Missing {
		return c
	}
	return nil
}

// node returns the condition of n, or "" if no column is concerned.
func (c *compiler) node(n filter.Node) (string, error) {
	switch n := n.(type) {
	case *filter.And:
		return c.and(n)
	case *filter.Or:
		return c.or(n)
	case *filter.Not:
		sql, err := c.node(n.Child)
		if sql == "" || err != nil {
			return "", err
		}
		return `NOT (` + sql + `)`, nil
	}
	return c.leaf(n)
}

func (c *compiler) and(n *filter.And) (string, error) {
	var parts []string
	for _, child := range n.Children {
		sql, err := c.node(child)
		if err != nil {
			return "", err
		}
		if sql != "" {
			parts = append(parts, `(`+sql+`)`)
		}
	}
	if parts == nil {
		return "", c.notIndexed(n)
	}
	return strings.Join(parts, ` AND `), nil
}

func (c *compiler) or(n *filter.Or) (string, error) {
	parts := make([]string, len(n.Children))
	for i, child := range n.Children {
		sql, err := c.node(child)
		if err != nil {
			return "", err
		}
		if sql == "" {
			return "", c.notIndexed(n)
		}
		parts[i] = `(` + sql + `)`
	}
	return strings.Join(parts, ` OR `), nil
}

// leaf finds the column that a leaf is about.
func (c *compiler) leaf(n filter.Node) (string, error) {
	attribute := attributeOf(n)
	if column := usable(c.bucket, attribute); column != nil {
		return c.compare(n, column.Type, Quote(column.Ident))
	}
	if t, ok := field.Internal(attribute); ok {
		if _, ok := n.(*filter.Present); ok {
			return "", nil // as the original
		}
		if attribute == "_id" && c.bucket.ExtendedID {
			return c.compareBothIDs(n, t)
		}
		return c.compare(n, t, attribute)
	}
	return "", nil
}

// compareBothIDs compares the two columns that an extended id is kept in. They share their parameter.
func (c *compiler) compareBothIDs(n filter.Node, t field.Type) (string, error) {
	args := len(c.where.Args)
	id, err := c.compare(n, t, `_id::BIGINT`)
	if err != nil {
		return "", err
	}
	c.where.Args = c.where.Args[:args]
	idx, err := c.compare(n, t, `_idx`)
	return `(` + id + `) OR (` + idx + `)`, err
}

// arg takes the parameter of a leaf and returns its placeholder. PostgreSQL infers its type from what it stands beside.
func (c *compiler) arg(text string, json jsvalue.Value) string {
	c.where.Args = append(c.where.Args, Arg{text, json})
	p := placeholders(len(c.where.Args) - 1)
	return p.next()
}

// compare translates a leaf about a column. Every condition is false, not NULL, where the column is NULL, so that NOT is true
// for rows without the field.
func (c *compiler) compare(n filter.Node, t field.Type, column string) (string, error) {
	guard := ` AND ` + column + ` IS NOT NULL`
	switch n := n.(type) {
	case *filter.Present:
		n.Column = t
		return column + ` IS NOT NULL`, nil
	case *filter.Equal:
		o, err := t.ParseOperand(n.Value)
		if err != nil {
			return "", invalid(n)
		}
		n.Operand = o
		p := c.operand(o)
		if t.Array() {
			return column + ` @> ARRAY[` + p + `]::` + t.Column() + guard, nil
		}
		return p + ` = ` + column + guard, nil
	case *filter.GE:
		o, err := t.ParseOperand(n.Value)
		if err != nil {
			return "", invalid(n)
		}
		n.Operand = o
		return c.order(o, t, `<=`, column), nil
	case *filter.LE:
		o, err := t.ParseOperand(n.Value)
		if err != nil {
			return "", invalid(n)
		}
		n.Operand = o
		return c.order(o, t, `>=`, column), nil
	case *filter.Substring:
		return c.substring(n, n.Pattern, `LIKE`, t, column, func() { n.Column = t })
	case *filter.Ext:
		return c.ext(n, t, column)
	}
	return "", invalid(n)
}

func (c *compiler) operand(o field.Operand) string { return c.arg(o.Param(), o.AppendJSON(nil)) }

func (c *compiler) order(o field.Operand, t field.Type, operator, column string) string {
	p := c.operand(o)
	if t.Array() {
		return anyElement(p+` `+operator, column)
	}
	return p + ` ` + operator + ` ` + column + ` AND ` + column + ` IS NOT NULL`
}

// anyElement compares with the elements of an array. With an element that is NULL the answer could be NULL.
func anyElement(comparison, column string) string {
	return `coalesce(` + comparison + ` ANY (` + column + `), false)`
}

func (c *compiler) ext(n *filter.Ext, t field.Type, column string) (string, error) {
	rule := n.Canonical()
	switch rule {
	case filter.CaseIgnoreMatch:
		if _, err := t.ParseOperand(n.Value); err != nil {
			return "", invalid(n)
		}
		n.Column = t
		p := c.text(escapeLike(n.Value))
		if t.Array() {
			return `EXISTS (SELECT FROM unnest(` + column + `) e WHERE e ILIKE ` + p + `)`, nil
		}
		return column + ` ILIKE ` + p + ` AND ` + column + ` IS NOT NULL`, nil
	case filter.CaseIgnoreSubstrings:
		return c.substring(n, *n.Pattern, `ILIKE`, t, column, func() { n.Column = t })
	}
	operandType, operator, ok := t.Relation(rule)
	if !ok {
		return "", invalid(n)
	}
	o, err := operandType.ParseOperand(n.Value)
	if err != nil {
		return "", invalid(n)
	}
	n.Column = t
	comparison := c.operand(o) + `::` + operandType.Column() + ` ` + operator
	if t.Array() {
		return anyElement(comparison, column), nil
	}
	return comparison + ` ` + column + ` AND ` + column + ` IS NOT NULL`, nil
}

func (c *compiler) text(s string) string { return c.arg(s, jsvalue.AppendString(nil, s)) }

// substring compares with a pattern, which only text can fit: the operand of another type does not parse.
func (c *compiler) substring(n filter.Node, p filter.Pattern, operator string, t field.Type, column string, mark func()) (string, error) {
	pattern := like(p)
	if _, err := t.ParseOperand(pattern); err != nil {
		return "", invalid(n)
	}
	if t.Array() {
		return "", c.notIndexed(n)
	}
	mark()
	return column + ` ` + operator + ` ` + c.text(pattern) + ` AND ` + column + ` IS NOT NULL`, nil
}

// like is the LIKE pattern that selects what a filter's pattern means.
func like(p filter.Pattern) string {
	var s strings.Builder
	s.WriteString(escapeLike(p.Initial))
	s.WriteByte('%')
	for _, part := range p.Any {
		s.WriteString(escapeLike(part))
		s.WriteByte('%')
	}
	s.WriteString(escapeLike(p.Final))
	return s.String()
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func escapeLike(s string) string { return likeEscapes.Replace(s) }
