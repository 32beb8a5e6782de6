package reconcile

import (
	"context"
	"fmt"
	"slices"

	"github.com/kaizengarden/moray/core/bucket"
)

// maxExamples is how many rows or values are listed that stand in the way.
const maxExamples = 20

// require notes that a change needs a consent.
func (c *Change) require(p *Planner, consent Consent, why string, details []string) {
	allowed := slices.Contains(p.Allow, consent) || c.document != nil && c.document.allows(consent)
	c.Guards = append(c.Guards, Guard{Consent: consent, Why: why, Details: details, Allowed: allowed})
	c.Group = max(c.Group, Destructive)
}

// guard notes what somebody has to allow before the definition may change.
func (p *Planner) guard(ctx context.Context, c *Change, current *bucket.Bucket, next *bucket.Config, diff bucket.Diff) error {
	of := func(guard, index string) Consent { return Consent{Guard: guard, Bucket: c.Bucket, Index: index} }
	for _, column := range diff.Drop {
		c.require(p, of(GuardDropIndex, column.Name), "filters that use the index "+column.Name+" are refused afterwards", nil)
	}
	for _, column := range diff.Retype {
		c.require(p, of(GuardChangeType, column.Name), fmt.Sprintf("the index %s compares and sorts as %s afterwards, no longer as %s",
			column.Name, column.Type, current.Column(column.Name).Type), nil)
	}
	for _, column := range diff.Unique {
		duplicates, err := p.Store.Duplicates(ctx, current.Table, column.Ident, maxExamples+1)
		if err != nil {
			return err
		}
		var details []string
		for _, d := range duplicates {
			details = append(details, fmt.Sprintf("%q is in %d rows, such as %q", d.Value, d.Rows, d.Keys))
		}
		if details != nil {
			c.require(p, of(GuardUnique, column.Name), "several rows have the same value in the index "+column.Name+
				": it cannot become unique while they have", examples(details))
		}
	}
	return p.survey(ctx, c, current, next, diff)
}

// examples cuts a list of examples.
func examples(list []string) []string {
	if len(list) > maxExamples {
		return append(list[:maxExamples:maxExamples], "and more")
	}
	return list
}
