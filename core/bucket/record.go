package bucket

import (
	"fmt"
	"slices"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Record is a row of buckets_config, with what the catalogue knows of the bucket's table.
type Record struct {
	Name       string
	Index      []byte // JSON texts, as stored
	Pre        []byte
	Post       []byte
	Options    []byte // nil for NULL
	Reindexing []byte // the column reindex_active: nil for NULL, and where the column does not exist
	Generation uint32 // xmin

	// Attributes are the columns of the table; nil if there is no such table.
	Attributes []string
	// ExtendedIndex says that the index that makes an extended id usable exists and is valid.
	ExtendedIndex bool
}

// TableName returns the name of the table that a bucket has.
func TableName(bucket string) string { return fold(bucket) }

// ExtendedIndexName returns the name that the index on the column _idx must have to make a bucket's extended id usable.
func ExtendedIndexName(bucket string) string { return fold(bucket + "__idx_idx") }

// Load makes a definition of a record. An error says that what is stored cannot be a definition.
func Load(r *Record) (*Bucket, error) {
	b := &Bucket{Name: r.Name, Table: TableName(r.Name), Generation: r.Generation}
	if r.Attributes == nil {
		return nil, fault.New(fault.Multi, `check bucket "%s" for _idx column: relation "%s" does not exist`, b.Name, b.Table)
	}
	b.ExtendedID = r.ExtendedIndex && slices.Contains(r.Attributes, "_idx")

	var err error
	if b.Columns, err = parseIndex(r.Index); err != nil {
		return nil, fmt.Errorf("bucket %s: column index: %w", r.Name, err)
	}
	for i := range b.Columns {
		b.Columns[i].Missing = !slices.Contains(r.Attributes, b.Columns[i].Ident)
	}
	if b.Pre, err = ParseTriggers(r.Pre); err != nil {
		return nil, fmt.Errorf("bucket %s: column pre: %w", r.Name, err)
	}
	if b.Post, err = ParseTriggers(r.Post); err != nil {
		return nil, fmt.Errorf("bucket %s: column post: %w", r.Name, err)
	}
	if err := b.parseOptions(r.Options); err != nil {
		return nil, fmt.Errorf("bucket %s: column options: %w", r.Name, err)
	}
	if err := b.parseReindexing(r.Reindexing); err != nil {
		return nil, fmt.Errorf("bucket %s: column reindex_active: %w", r.Name, err)
	}
	return b, nil
}

// parseIndex reads an index object whose members have a type and perhaps unique.
func parseIndex(text []byte) ([]Column, error) {
	index, err := jsvalue.ParseObject(text)
	if err != nil {
		return nil, err
	}
	columns := make([]Column, 0, index.Len())
	for i := range index.Len() {
		name, definition := index.At(i)
		if definition.Kind() != jsvalue.KindObject {
			return nil, fmt.Errorf("index %q is not an object", name)
		}
		kind := definition.Member("type")
		if kind.Kind() != jsvalue.KindString {
			return nil, fmt.Errorf("index %q has no type", name)
		}
		t, ok := field.ParseType(kind.Text())
		if !ok {
			return nil, fmt.Errorf("index %q has the unknown type %s", name, kind)
		}
		columns = append(columns, Column{Name: name, Ident: fold(name), Type: t, Unique: definition.Member("unique").IsTrue()})
	}
	return columns, nil
}

func (b *Bucket) parseOptions(text []byte) error {
	if text == nil {
		return nil
	}
	options, err := jsvalue.ParseObject(text)
	if err != nil {
		return err
	}
	if v := options.Get("version"); v.Kind() == jsvalue.KindNumber {
		b.Version = v.Float()
	}
	b.Ordered = options.Get("guaranteeOrder").IsTrue()
	// One that does not compile was stored by an original server, where the option has no meaning.
	b.Schema, _ = compileSchema(text) //nolint:errcheck // because this server would have refused it
	return nil
}

// parseReindexing reads the map from versions to the names of the indexes that they added.
func (b *Bucket) parseReindexing(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	b.RowVersion = true
	active, err := jsvalue.ParseObject(text)
	if err != nil {
		return err
	}
	b.Pending = active.Len() > 0
	for i := range active.Len() {
		_, names := active.At(i)
		if names.Kind() != jsvalue.KindArray {
			continue
		}
		for name := range names.Elements() {
			if name.Kind() != jsvalue.KindString {
				continue
			}
			if c := b.Column(name.Text()); c != nil {
				c.Reindexing = true
			}
		}
	}
	return nil
}
