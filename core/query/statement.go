package query

import "strings"

// Statement is one SQL statement with its arguments, ready to be run.
type Statement struct {
	// SQL is the text. It is constant for a bucket generation, or for the shape of a filter, so that a connection can keep it
	// prepared.
	SQL string
	// Args are the arguments in PostgreSQL's text form; nil is NULL.
	Args [][]byte
	// Sharing says with what the statement may share a round trip.
	Sharing Sharing
	// MaxRows is how many rows are fetched at most; 0 is all.
	MaxRows uint32
	// Once says that the text is not worth being kept prepared.
	Once bool
	// Table and Key are by what the members of a group of writes are sorted, so that two groups take row locks in the same
	// order.
	Table, Key string
}

// Sharing says with what a statement may share a round trip.
type Sharing uint8

const (
	// Alone is for statements that may run for long or return much, and for those that must not wait for others.
	Alone Sharing = iota
	// Read is for short statements that read a row: several of them share one round trip.
	Read
	// Write is for statements that change one row and answer with rows, never with an error, where the row is not as expected.
	// Several of them share one transaction.
	Write
	// Scan is for statements that read rows by a filter. They share a round trip while others with the same text turn out to be
	// short, and are Alone otherwise.
	Scan
)

// Size returns the number of bytes that s takes in a round trip, about.
func (s *Statement) Size() int {
	size := 64
	for _, a := range s.Args {
		size += len(a) + 4
	}
	return size
}

// Quote quotes an identifier. It is the only place where a name becomes SQL.
func Quote(ident string) string { return `"` + strings.ReplaceAll(ident, `"`, `""`) + `"` }
