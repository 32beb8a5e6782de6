package bucket

import (
	"context"
	"fmt"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// fillPage is how many rows are converted at a time.
const fillPage = 1000

// fill fills the shadow of a column for all rows that were not filled since they were last written. A value that is not of the
// new type is InvalidIndexType.
func (u *update) fill(ctx context.Context, tx Tx, c Column) error {
	for last, more := "", true; more; {
		next, n, err := u.fillPage(ctx, tx, c, last)
		if err != nil {
			return err
		}
		last, more = next, n == fillPage
	}
	return nil
}

// fillPage fills the rows of one page after a key; it returns the last key, and how many rows there were.
func (u *update) fillPage(ctx context.Context, tx Tx, c Column, after string) (last string, n int, err error) {
	shadow := Shadow{Column: c.Ident, Type: c.Type}
	old := u.bucket.Column(c.Name)
	var rows []Filled
	last = after
	err = tx.Unfilled(ctx, u.bucket.Table, shadow, after, fillPage, func(key string, value, column []byte, mark string) error {
		last = key
		text, err := convert(old, c, value, column)
		rows = append(rows, Filled{Key: key, Mark: mark, Text: text})
		return err
	})
	if err != nil {
		return "", 0, fmt.Errorf("convert index %s of %s: %w", c.Name, u.bucket.Name, err)
	}
	return last, len(rows), tx.Fill(ctx, u.bucket.Table, shadow, rows)
}

// convert returns the text for column c of a row that has the given JSON value, and the given text in the column old of the
// same name; nil for NULL. As in reads, the column counts more than the member of the value.
func convert(old *Column, c Column, value, column []byte) ([]byte, error) {
	var member jsvalue.Value
	if object, err := jsvalue.ParseObject(value); err == nil { // another value has no members
		member = object.Get(c.Name)
	}
	if column != nil && !old.Reindexing && (member.Kind() != jsvalue.KindArray || old.Type.Array()) {
		if shown, err := old.Type.AppendJSON(nil, column); err == nil { // else an original server changed the definition alone
			member = shown
		}
	}
	if k := member.Kind(); k == jsvalue.KindUndefined || k == jsvalue.KindNull {
		return nil, nil
	}
	text, err := c.Type.AppendColumn([]byte{}, member)
	if err != nil {
		return nil, fault.New(fault.InvalidIndexType, "index(%s) is of type %s", c.Name, c.Type.Elem()).Because(err)
	}
	return jsvalue.Sanitize(text), nil
}
