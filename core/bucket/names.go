package bucket

import (
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strings"

	"github.com/kaizengarden/moray/core/fault"
)

// maxIdent is the longest identifier of PostgreSQL, in bytes. Longer ones are cut without an error.
const maxIdent = 63

var (
	bucketName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)
	indexName  = regexp.MustCompile(`^(?:_[A-Za-z0-9]+|[A-Za-z]|[A-Za-z][A-Za-z0-9_]*[A-Za-z0-9])$`)
	morayName  = regexp.MustCompile(`^_*moray`)

	reservedBuckets = []string{"buckets_config", "moray", "search"}
	reservedIndexes = []string{
		"_etag", "_id", "_idx", "_key", "_atime", "_ctime", "_mtime", "_rver", "_txn_snap", "_value", "_vnode",
	}
)

// fold returns the identifier that PostgreSQL makes of name when it stands without quotes in SQL, as the original writes
// it. Bucket and index names are ASCII.
func fold(name string) string {
	name = strings.ToLower(name)
	return name[:min(len(name), maxIdent)]
}

func checkReserved(name string) error {
	if slices.Contains(reservedBuckets, name) {
		return fault.New(fault.InvalidBucketName, "%s is not a valid bucket name", name)
	}
	return nil
}

// CheckName returns the fault for a name that no bucket can have: InvalidBucketName.
func CheckName(name string) error {
	if !bucketName.MatchString(name) {
		return fault.New(fault.InvalidBucketName, "%s is not a valid bucket name", name)
	}
	return checkReserved(name)
}

// CheckIndexName returns the fault for a name that no index can have: InvalidBucketConfig.
func CheckIndexName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case !indexName.MatchString(name):
		return fault.New(fault.InvalidBucketConfig, "invalid index name %q", quotable(name))
	case slices.Contains(reservedIndexes, lower):
		return fault.New(fault.InvalidBucketConfig, "index name %q is reserved for use by Moray", name)
	case morayName.MatchString(lower):
		return fault.New(fault.InvalidBucketConfig, `index names cannot start with "moray": %q`, name)
	}
	return nil
}

// quotable is printed between double quotes as it is: the original does not escape names in messages.
type quotable string

// Format prints the name in quotes for %q.
func (q quotable) Format(f fmt.State, _ rune) { fmt.Fprintf(f, `"%s"`, string(q)) }

// Namer gives names to the relations of one bucket: its sequence, its lock table, its indexes. A name is table and suffix, as
// the original writes them, cut at 63 bytes as PostgreSQL cuts them; where that name is taken already, it is shortened by a
// fixed rule instead. So tables of the original keep their names, and long names do not collide.
type Namer struct {
	table string
	taken map[string]bool
}

// NewNamer returns a Namer for a table, whose relations taken exist already.
func NewNamer(table string, taken ...string) *Namer {
	n := &Namer{table: table, taken: map[string]bool{table: true}}
	for _, name := range taken {
		n.taken[name] = true
	}
	return n
}

// Name returns a free name for the relation that suffix tells apart, and takes it.
func (n *Namer) Name(suffix string) string {
	full := n.table + suffix
	name := full[:min(len(full), maxIdent)]
	for unique := full; n.taken[name]; unique += "+" {
		sum := fmt.Sprintf("_%08x", crc32.ChecksumIEEE([]byte(unique)))
		name = full[:min(len(full), maxIdent-len(sum))] + sum
	}
	n.taken[name] = true
	return name
}

// Release gives back the name of a relation that is gone.
func (n *Namer) Release(name string) { delete(n.taken, name) }

// Index returns a free name for the index of a column.
func (n *Namer) Index(column string) string { return n.Name("_" + column + "_idx") }

// LockTable returns the name of the table that numbers the puts of an ordered bucket.
func LockTable(name string) string { return newTable(name, &Config{}).LockTable }

// Relations returns the names of the relations beside its table that every bucket has or may get.
func Relations(bucket string) []string {
	t := newTable(bucket, &Config{})
	return []string{t.Sequence, t.LockTable}
}
