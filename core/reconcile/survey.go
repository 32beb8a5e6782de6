package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// survey looks at the objects that are there for what does not fit a new definition.
type survey struct {
	bucket  string
	schema  *bucket.Schema  // if it is new
	columns []bucket.Column // that are new, or of another type
	// first is the key of the first object with a value of a new unique index, by index and value.
	first []map[string]string

	unfit      found   // objects that do not fit the schema
	mistyped   []found // values that are not of the type of a column
	duplicates []found // values of a new unique index that an object before has
}

// found counts what stands in the way, and keeps the first of it.
type found struct {
	n        int
	examples []string
}

func (f *found) add(format string, args ...any) {
	if f.n++; f.n <= maxExamples {
		f.examples = append(f.examples, fmt.Sprintf(format, args...))
	}
}

// list returns the examples, and how many more there are.
func (f *found) list() []string {
	if f.n > len(f.examples) {
		return append(f.examples[:len(f.examples):len(f.examples)], fmt.Sprintf("and %d more", f.n-len(f.examples)))
	}
	return f.examples
}

// say says how many there are: of objects, with the words for one or for several.
func (f *found) say(one, several string) string {
	if f.n == 1 {
		return "1 object " + one
	}
	return thousands(int64(f.n)) + " objects " + several
}

// surveyPage is how many objects are read at a time.
const surveyPage = 1000

// survey looks at the objects of a bucket if anything in its next definition could refuse them.
func (p *Planner) survey(ctx context.Context, c *Change, current *bucket.Bucket, next *bucket.Config, diff bucket.Diff) error {
	s := newSurvey(current, next, diff)
	if s.schema == nil && len(s.columns) == 0 || c.Rows == 0 {
		return nil
	}
	looked := 0
	for last, more := "", true; more; {
		page := surveyPage
		if p.Rows > 0 {
			page = min(page, p.Rows-looked)
		}
		n := 0
		err := p.Store.Values(ctx, current.Table, last, page, func(key string, value []byte) error {
			n, last = n+1, key
			s.object(key, value)
			return nil
		})
		if err != nil {
			return err
		}
		looked += n
		more = n == page && (p.Rows == 0 || looked < p.Rows)
	}
	if p.Rows > 0 && looked == p.Rows && c.Rows > int64(looked) {
		c.Notes = append(c.Notes, fmt.Sprintf("only the first %d objects were looked at for values that do not fit", looked))
	}
	s.conclude(p, c, diff)
	return nil
}

func newSurvey(current *bucket.Bucket, next *bucket.Config, diff bucket.Diff) *survey {
	s := &survey{bucket: current.Name, columns: slices.Concat(diff.Add, diff.Retype)}
	if next.Schema != nil && !next.Schema.Equal(current.Schema) {
		s.schema = next.Schema
	}
	s.mistyped, s.duplicates = make([]found, len(s.columns)), make([]found, len(s.columns))
	for range s.columns {
		s.first = append(s.first, map[string]string{})
	}
	return s
}

// object looks at one object.
func (s *survey) object(key string, value []byte) {
	o, err := jsvalue.ParseObject(value)
	if err != nil {
		return // it has no members; another program stored it
	}
	if s.schema != nil {
		if err := s.schema.Check(s.bucket, key, o.Text()); err != nil {
			s.unfit.add("%s", said(err))
		}
	}
	for i, c := range s.columns {
		member := o.Get(c.Name)
		if member == nil || member.IsNull() {
			continue
		}
		text, err := c.Type.AppendColumn(nil, member)
		switch {
		case err != nil:
			s.mistyped[i].add("%q has %s", key, short(string(member)))
		case c.Unique:
			if before, ok := s.first[i][string(text)]; ok {
				s.duplicates[i].add("%q and %q have %s", before, key, short(string(member)))
				continue
			}
			s.first[i][string(text)] = key
		}
	}
}

// conclude notes what was found.
func (s *survey) conclude(p *Planner, c *Change, diff bucket.Diff) {
	if s.unfit.n > 0 {
		c.require(p, Consent{Guard: GuardSchema, Bucket: c.Bucket},
			s.unfit.say("does not fit the schema: it stays, and whoever writes it again is refused",
				"do not fit the schema: they stay, and whoever writes them again is refused"), s.unfit.list())
	}
	for i, column := range s.columns {
		retyped := i >= len(diff.Add)
		mistyped, doubles := &s.mistyped[i], &s.duplicates[i]
		what := fmt.Sprintf("a value of %s that is not of the type %s", column.Name, column.Type)
		switch {
		case mistyped.n == 0:
		case retyped:
			c.refuse(mistyped.say("has "+what, "have "+what) + ": " + strings.Join(mistyped.list(), ", "))
			return
		default:
			c.Notes = append(c.Notes, mistyped.say("has "+what+", and cannot be reindexed", "have "+what+", and cannot be reindexed")+": "+
				strings.Join(mistyped.list(), ", "))
		}
		if doubles.n > 0 {
			what := fmt.Sprintf("a value of %s that another one has, and cannot be reindexed while that is so", column.Name)
			c.require(p, Consent{Guard: GuardUnique, Bucket: c.Bucket, Index: column.Name},
				doubles.say("has "+what, "have "+what), doubles.list())
		}
	}
}
