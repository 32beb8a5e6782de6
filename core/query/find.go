package query

import (
	"strconv"
	"strings"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Page says which of the rows that a filter selects are wanted, and in what order.
type Page struct {
	Sort   []Sort
	Limit  string // a number in decimal; "" for no limit
	Offset string // a number in decimal; "" for none
}

// Sort is one criterion of an order.
type Sort struct {
	Attribute  string
	Descending bool
}

// DefaultLimit is the limit of operations that ask for none.
const DefaultLimit = "1000"

// Selection is what a find reads: the text of its statement, and its arguments.
type Selection struct {
	sql   string
	count string // the statement that would only count, for sql_only
	args  []Arg
}

// Find selects the rows that fit a condition. With counted, each row has the number of all rows that fit it in one more
// column, taken in the same snapshot. (count(*) OVER () would hold back every row until the last one is read.) The faults are
// those of the sort attributes.
func (o *Objects) Find(w *Where, page Page, counted bool) (*Selection, error) {
	s := &Selection{args: w.Args}
	tail, err := s.tail(o, page)
	if err != nil {
		return nil, err
	}
	from := ` FROM ` + o.table + ` WHERE ` + w.SQL
	columns := o.selected
	if counted {
		s.count = `SELECT count(*) AS _count` + from
		columns += `, (SELECT count(*)` + from + `)`
	}
	s.sql = `SELECT ` + columns + from + tail
	return s, nil
}

// Statement returns what is to be run: for a find a Scan.
func (s *Selection) Statement() *Statement {
	args := make([][]byte, len(s.args))
	for i, a := range s.args {
		args[i] = []byte(a.text)
	}
	return &Statement{SQL: s.sql, Args: args, Sharing: Scan}
}

// AppendJSON appends the record that shows what would be run, instead of running it.
func (s *Selection) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	if s.count != "" {
		dst = append(jsvalue.AppendString(append(dst, `"count":`...), s.count), ',')
	}
	dst = append(jsvalue.AppendString(append(dst, `"query":`...), s.sql), `,"args":[`...)
	for i, a := range s.args {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, a.json...)
	}
	return append(dst, "]}"...)
}

// tail is the end of the statement: order, limit, offset.
func (s *Selection) tail(o *Objects, page Page) (string, error) {
	var order []string
	for _, sort := range page.Sort {
		columns, err := o.sortColumns(sort.Attribute)
		if err != nil {
			return "", err
		}
		for _, column := range columns {
			if sort.Descending {
				column += ` DESC`
			}
			order = append(order, column)
		}
	}
	tail := ``
	if order != nil {
		tail = ` ORDER BY ` + strings.Join(order, `, `)
	}
	switch page.Limit {
	case "":
	case DefaultLimit: // in the text, so that PostgreSQL can plan for it
		tail += ` LIMIT ` + DefaultLimit
	default:
		tail += ` LIMIT ` + s.number(page.Limit)
	}
	if page.Offset != "" {
		tail += ` OFFSET ` + s.number(page.Offset)
	}
	return tail, nil
}

// number takes a parameter that PostgreSQL rounds to a BIGINT, or refuses if it is out of range. Clients may write it with
// leading zeros, which JSON does not know.
func (s *Selection) number(text string) string {
	f, _ := strconv.ParseFloat(text, 64) // digits: what does not fit is infinite, and printed as null
	s.args = append(s.args[:len(s.args):len(s.args)], Arg{text, jsvalue.AppendNumber(nil, f)})
	p := placeholders(len(s.args) - 1)
	return p.next() + `::numeric`
}

// sortColumns returns the columns that an attribute sorts by, quoted.
func (o *Objects) sortColumns(attribute string) ([]string, error) {
	ident := strings.ToLower(attribute)
	switch ident {
	case "_idx":
		return nil, fault.New(fault.Generic, `sorting on "_idx" is not allowed`)
	case "_id":
		if o.bucket.ExtendedID {
			return []string{`_id`, `_idx`}, nil
		}
		return []string{`_id`}, nil
	case "_key", "_etag", "_mtime", "_txn_snap", "_vnode", "_value":
		return []string{ident}, nil
	}
	for _, c := range o.bucket.Columns {
		if c.Ident == ident && !c.Missing {
			return []string{Quote(ident)}, nil
		}
	}
	return nil, fault.New(fault.PostgreSQL, `column "%s" does not exist`, ident)
}
