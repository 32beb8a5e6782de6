package query_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/query"
)

// TestCompile shows the condition of each filter, or the fault. PostgreSQL prepares every statement.
func TestCompile(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var b *table
	for _, file := range []string{"operators.txt", "compile.txt"} {
		golden(t, file, func(command, input string) string {
			switch command {
			case "bucket":
				b = newTable(t, db, input)
				return ""
			case "where":
				return b.where(input)
			case "operators":
				return b.operators(input)
			}
			t.Fatalf("unknown command %s", command)
			return ""
		})
	}
}

// TestManyOperands: a statement cannot have more parameters than its protocol counts.
func TestManyOperands(t *testing.T) {
	t.Parallel()
	b := load(t, definition(t, "many n=number"))
	for _, c := range []struct {
		operands int
		want     string
	}{
		{63_000, ""},
		{63_001, "InvalidQueryError: the filter compares with 63001 values; at most 63000 are possible"},
	} {
		n, err := filter.Parse("(|" + strings.Repeat("(n=1)", c.operands) + ")")
		if err != nil {
			t.Fatal(err)
		}
		_, err = query.Compile(b, n)
		if got := fmt.Sprint(err); err != nil && got != c.want || err == nil && c.want != "" {
			t.Errorf("%d operands: %.200s, want %q", c.operands, got, c.want)
		}
	}
}

// where returns the condition of a filter and its arguments as JSON, or what is wrong.
func (b *table) where(text string) string {
	selection, err := b.find(text, query.Page{}, false)
	if err != nil {
		return failure(err)
	}
	_, where, _ := strings.Cut(selection.Statement().SQL, " WHERE ")
	_, args, _ := strings.Cut(string(selection.AppendJSON(nil)), `"args":`)
	return where + "  " + strings.TrimSuffix(args, "}")
}

// failure returns an error as a client sees it, and what PostgreSQL says of a text that it does not prepare.
func failure(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return "PostgreSQL: " + pg.Message
	}
	return err.Error()
}

// operators shows what becomes of every operator on one attribute: it is one row of the specification's table. The input is
// the attribute, an operand, and the operands of the rules that ask for one of another type.
func (b *table) operators(input string) string {
	fields := strings.Fields(input)
	attribute, operand := fields[0], fields[1]
	operands := map[string]string{filter.Overlaps: operand, filter.Contains: operand, filter.Within: operand}
	for _, word := range fields[2:] {
		rule, other, _ := strings.Cut(word, "=")
		operands[rule] = other
	}
	var out strings.Builder
	for _, leaf := range []string{
		"=" + operand, ">=" + operand, "<=" + operand, "=*", "=" + operand + "*",
		":caseIgnoreMatch:=" + operand, ":caseIgnoreSubstringsMatch:=" + operand + "*",
		":overlaps:=" + operands[filter.Overlaps], ":contains:=" + operands[filter.Contains], ":within:=" + operands[filter.Within],
	} {
		leaf = "(" + attribute + strings.ReplaceAll(leaf, ")", `\)`) + ")"
		answer := b.where(leaf)
		if strings.HasPrefix(answer, string(fault.InvalidQuery)) && !strings.HasPrefix(b.where("(&(_mtime>=1)"+leaf+")"), string(fault.InvalidQuery)) {
			answer = "no SQL"
		}
		fmt.Fprintf(&out, "%s  =>  %s\n", leaf, answer)
	}
	return out.String()
}
