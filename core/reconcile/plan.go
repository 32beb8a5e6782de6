package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kaizengarden/moray/core/bucket"
)

// Plan is what has to be done to bring the buckets of a database in line with documents. It can be kept as JSON and applied
// later, if nothing changed until then.
type Plan struct {
	Format    int        `json:"format"` // of this JSON
	Directory string     `json:"directory,omitempty"`
	Revision  string     `json:"revision,omitempty"`
	Changes   []*Change  `json:"changes"`   // in the order of the buckets' names
	Unchanged []string   `json:"unchanged"` // buckets that are as their documents say
	Adopt     []string   `json:"adopt"`     // those of them that nobody manages yet
	Unmanaged int        `json:"unmanaged"` // how many buckets there are that no document defines
	Allow     []Consent  `json:"allow,omitempty"`
	Only      []string   `json:"only,omitempty"`
	Prune     bool       `json:"prune,omitempty"`
	Documents []Original `json:"documents"`
	// State identifies the live definitions that the plan was made for.
	State string `json:"state"`

	drifts map[string]string // of managed buckets: how they are others than was applied
	quiet  []*Change         // of buckets that are as they should be, where only the record of who owns them is not
}

// planFormat is the only value of Plan.Format so far.
const planFormat = 1

// Original is a document of a plan.
type Original struct {
	File string          `json:"file"`
	Line int             `json:"line"`
	Text json.RawMessage `json:"document"`
}

// Group is the kind of a change, by what it costs. A change that is of several kinds counts as the last of them.
type Group int

// The groups, in the order in which they count.
const (
	Create      Group = iota // a new bucket
	Additive                 // at once, whatever the size of the bucket
	Online                   // builds something over the rows while clients read and write
	Reindexing               // the same, and filters can use it only when the rows are reindexed
	Destructive              // something is lost, or may not succeed: somebody has to allow it by name
	Refused                  // not possible
)

var groupNames = []string{"create", "additive", "online", "needs reindex", "destructive", "refused"}

// String returns the group's name.
func (g Group) String() string { return groupNames[g] }

// MarshalText implements encoding.TextMarshaler.
func (g Group) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *Group) UnmarshalText(text []byte) error {
	i := slices.Index(groupNames, string(text))
	if i < 0 {
		return fmt.Errorf("unknown group %q", text)
	}
	*g = Group(i)
	return nil
}

// Change is what is to be done to one bucket.
type Change struct {
	Bucket string `json:"bucket"`
	Source string `json:"source,omitempty"` // file and line of its document
	Group  Group  `json:"group"`
	// From and To are the versions of the definition; nil if there is none before or afterwards.
	From *float64 `json:"from,omitempty"`
	To   *float64 `json:"to,omitempty"`
	// Items are what is different.
	Items []Item `json:"items"`
	// Guards are what somebody has to allow.
	Guards []Guard `json:"guards,omitempty"`
	// Refused says why it cannot be done; empty if it can.
	Refused string `json:"refused,omitempty"`
	// Stale says that the document is older than the live definition.
	Stale bool `json:"stale,omitempty"`
	// Superseded says that the document was applied before, and another one since.
	Superseded bool `json:"superseded,omitempty"`
	// Drift says how the live definition is another one than was applied last; empty if it is not.
	Drift string `json:"drift,omitempty"`
	// Notes are worth knowing.
	Notes []string `json:"notes,omitempty"`
	// Steps are what is executed.
	Steps []Step `json:"steps"`
	// Rows and Bytes are the size of the bucket.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	About bool  `json:"about,omitempty"` // Rows is an estimate

	action     action
	document   *Document
	next       *bucket.Config // what the document defines
	generation uint32         // of the live definition
}

// action is what a change does.
type action int

const (
	nothing action = iota // refused
	apply                 // create or update the definition
	note                  // note the owner: the definition stays
	remove                // delete the bucket
	release               // forget the owner: the bucket stays
)

// Item is one difference.
type Item struct {
	Group Group  `json:"group"`
	Text  string `json:"text"`
}

// Step is one statement, and what it means to others.
type Step struct {
	SQL         string `json:"sql"`
	Transaction int    `json:"transaction,omitempty"` // its number; 0: it is part of none
	Lock        string `json:"lock,omitempty"`
	Table       string `json:"table,omitempty"`
	AllRows     bool   `json:"allRows,omitempty"`
	Bookkeeping bool   `json:"bookkeeping,omitempty"`
}

func steps(of []bucket.Step) []Step {
	all := make([]Step, len(of))
	for i, s := range of {
		all[i] = Step{SQL: s.SQL, Transaction: s.Tx, Lock: s.Lock, Table: s.Table, AllRows: s.AllRows, Bookkeeping: s.Bookkeeping}
	}
	return all
}

// Guard is something that a change does and that has to be allowed by name.
type Guard struct {
	Consent Consent  `json:"consent"`
	Why     string   `json:"why"`
	Details []string `json:"details,omitempty"` // examples
	Allowed bool     `json:"allowed"`
}

// Consent allows something by name: a guard, and the bucket and perhaps the index that it may concern.
type Consent struct{ Guard, Bucket, Index string }

// The guards.
const (
	GuardDropIndex  = "drop-index"
	GuardChangeType = "change-type"
	GuardUnique     = "unique"
	GuardSchema     = "schema"
	GuardDropBucket = "drop-bucket"
)

// String returns the consent as it is written on the command line.
func (c Consent) String() string {
	text := c.Guard + "=" + c.Bucket
	if c.Index != "" {
		text += "." + c.Index
	}
	return text
}

// MarshalText implements encoding.TextMarshaler.
func (c Consent) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Consent) UnmarshalText(text []byte) (err error) {
	*c, err = ParseConsent(string(text))
	return err
}

// ParseConsent reads a consent as it is written on the command line: drop-index=bucket.index, change-type=bucket.index,
// unique=bucket.index, schema=bucket or drop-bucket=bucket.
func ParseConsent(text string) (Consent, error) {
	guard, subject, _ := strings.Cut(text, "=")
	c := Consent{Guard: guard}
	ofIndex := guard == GuardDropIndex || guard == GuardChangeType || guard == GuardUnique
	c.Bucket, c.Index, _ = strings.Cut(subject, ".")
	switch {
	case !ofIndex && guard != GuardSchema && guard != GuardDropBucket:
		return c, fmt.Errorf("unknown consent %q: it is drop-index=BUCKET.INDEX, change-type=BUCKET.INDEX, unique=BUCKET.INDEX, "+
			"schema=BUCKET or drop-bucket=BUCKET", text)
	case c.Bucket == "" || ofIndex && c.Index == "":
		return c, fmt.Errorf("the consent %q does not say for what: name the bucket%s", text, map[bool]string{true: " and the index", false: ""}[ofIndex])
	case !ofIndex && c.Index != "":
		return c, fmt.Errorf("the consent %q is for a bucket, not for an index", text)
	}
	return c, nil
}

// allows reports whether a document says that a guard may let pass what it guards.
func (d *Document) allows(c Consent) bool {
	text := c.Guard
	if c.Index != "" {
		text += "=" + c.Index
	}
	return c.Guard != GuardDropBucket && slices.Contains(d.Allow, text)
}

// Verdict is what a plan comes to.
type Verdict int

// The verdicts, in the order of their gravity.
const (
	InLine    Verdict = iota // nothing is to be done
	Pending                  // there are changes, and all may be made
	Forbidden                // a guard refuses something
)

// Verdict tells what p comes to.
func (p *Plan) Verdict() Verdict {
	v := InLine
	for _, c := range p.Changes {
		if v = max(v, Pending); c.Blocked() {
			v = Forbidden
		}
	}
	return v
}

// quiet reports whether the change is one of our own records that nobody would notice.
func (c *Change) quiet() bool { return c.action == note && len(c.Items) == 0 }

// Blocked reports whether the change cannot be made: it is refused, or something in it has to be allowed.
func (c *Change) Blocked() bool {
	return c.Refused != "" || slices.ContainsFunc(c.Guards, func(g Guard) bool { return !g.Allowed })
}

// Count returns how many changes are of each group.
func (p *Plan) Count() map[Group]int {
	counts := map[Group]int{}
	for _, c := range p.Changes {
		counts[c.Group]++
	}
	return counts
}

// same reports whether two plans do the same to the same buckets.
func (p *Plan) same(q *Plan) bool {
	return p.State == q.State && slices.Equal(p.Adopt, q.Adopt) && slices.EqualFunc(p.Changes, q.Changes, (*Change).same)
}

// same reports whether two changes do the same. Our own records do not count: they say who does it.
func (c *Change) same(d *Change) bool {
	visible := func(steps []Step) []Step {
		return slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Bookkeeping })
	}
	return c.Bucket == d.Bucket && c.Refused == d.Refused && slices.Equal(visible(c.Steps), visible(d.Steps)) &&
		slices.EqualFunc(c.Guards, d.Guards, func(x, y Guard) bool { return x.Consent == y.Consent })
}

// stateOf identifies what a plan is made for.
func stateOf(live map[string]bucket.Live, names []string) string {
	sum := sha256.New()
	for _, name := range names {
		l := live[name]
		definition, owner := "none", "none"
		if l.Record != nil {
			definition = l.Fingerprint
		}
		if l.Owner != nil {
			owner = l.Owner.Hash
		}
		fmt.Fprintln(sum, name, definition, owner)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func sortChanges(changes []*Change) {
	slices.SortFunc(changes, func(a, b *Change) int { return cmp.Compare(a.Bucket, b.Bucket) })
}
