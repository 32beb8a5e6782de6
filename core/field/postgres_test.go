package field_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/field"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// session is a connection as pgstore has them, and a table with a column for each type, c1 and so on.
type session struct{ conn *pgconn.PgConn }

func newSession(t *testing.T) session {
	t.Helper()
	s := session{pgtest.New(t).Connect(t).PgConn()}
	s.query(t, "SET TimeZone = 'UTC'")
	s.query(t, "SET DateStyle = 'ISO'")
	var columns []string
	for _, typ := range every(t) {
		columns = append(columns, fmt.Sprintf("c%d %s", typ, typ.Column()))
	}
	s.query(t, "CREATE TABLE cells ("+strings.Join(columns, ", ")+")")
	return s
}

// try runs one statement, with parameters and rows in text format, as pgstore does, and returns the rows.
func (s session) try(t *testing.T, sql string, params ...[]byte) ([][][]byte, error) {
	t.Helper()
	result := s.conn.ExecParams(t.Context(), sql, params, nil, nil, nil).Read()
	return result.Rows, result.Err
}

func (s session) query(t *testing.T, sql string, params ...[]byte) [][][]byte {
	t.Helper()
	rows, err := s.try(t, sql, params...)
	if err != nil {
		t.Fatalf("%s with %q: %v", sql, params, err)
	}
	return rows
}

// store puts a text into the column of a type and returns what PostgreSQL then prints.
func (s session) store(t *testing.T, typ field.Type, text []byte) ([]byte, error) {
	t.Helper()
	rows, err := s.try(t, fmt.Sprintf("INSERT INTO cells (c%d) VALUES ($1) RETURNING c%[1]d", typ), text)
	if err != nil {
		return nil, err
	}
	return rows[0][0], nil
}

func TestPostgreSQLTakesColumns(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	for _, line := range lines(t, "values.txt") {
		typ, value := mustType(t, line[0]), printed(t, line[1])
		if line[2] == "error" {
			continue
		}
		want := string(value)
		if len(line) > 3 {
			want = line[3]
		}
		text, err := typ.AppendColumn(nil, value)
		if err != nil {
			t.Errorf("%s of %s: %v", typ, value, err)
			continue
		}
		column, err := s.store(t, typ, text)
		if message, refused := strings.CutPrefix(want, "refused"); refused {
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || message != "" && pg.Message != message[1:] {
				t.Errorf("%s of %s: PostgreSQL answers %q, error %v, want the error %q", typ, value, column, err, message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s of %s: PostgreSQL refuses %q: %v", typ, value, text, err)
			continue
		}
		if got, err := typ.AppendJSON(nil, column); err != nil || string(got) != want {
			t.Errorf("%s of %s: read as %s from %q, error %v, want %s", typ, value, got, column, err, want)
		}
	}
	text, _ := field.String.AppendColumn(nil, jsvalue.Value(`"a\u0000b"`))
	var pg *pgconn.PgError
	if _, err := s.store(t, field.String, text); !errors.As(err, &pg) || pg.Message != `invalid byte sequence for encoding "UTF8": 0x00` {
		t.Errorf("a NUL in a string: %v", err)
	}
}

// What the original Moray gave back of values that were put must come back here, too. It lost blanks at the ends of elements
// of a [string], and took "null" for NULL.
func TestRecordedValues(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	for _, r := range recordings(t) {
		if r.Error != "" {
			continue
		}
		typ, want := mustType(t, r.Type), string(printed(t, string(r.Got)))
		if want == `["a b","lead","trail",null,null,"tab\there","nl\nx"]` {
			want = string(r.Put)
		}
		text, err := typ.AppendColumn(nil, printed(t, string(r.Put)))
		if err != nil {
			t.Errorf("%s of %s: %v", typ, r.Put, err)
			continue
		}
		column, err := s.store(t, typ, text)
		if err != nil {
			t.Errorf("%s of %s: PostgreSQL refuses %q: %v", typ, r.Put, text, err)
			continue
		}
		if got, err := typ.AppendJSON(nil, column); err != nil || string(got) != want {
			t.Errorf("%s of %s: read as %s, error %v, want %s", typ, r.Put, got, err, want)
		}
	}
}

// Columns that only SQL can make.
func TestPostgreSQLPrints(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	for _, c := range []struct{ typ, sql, want string }{
		{"date", "'infinity'", "null"},
		{"date", "'-infinity'", "null"},
		{"date", "'0044-03-15 BC'", `"-000043-03-15T00:00:00.000Z"`},
		{"date", "'0001-03-15 BC'", `"0000-03-15T00:00:00.000Z"`},
		{"date", "'12345-03-15 10:20:30.123456'", `"+012345-03-15T10:20:30.123Z"`},
		{"date", "'2020-07-01 12:00:00+05:30'", `"2020-07-01T06:30:00.000Z"`},
		{"daterange", "'empty'", `"empty"`},
		{"daterange", "'[-infinity,infinity)'", `"[,)"`},
		{"daterange", `'["0044-03-15 BC",)'`, `"[-000043-03-15T00:00:00.000Z,)"`},
		{"number", "1.50", "1.5"},
		{"number", "'NaN'", "null"},
		{"number", "1e400", "null"},
		{"number", "123456789012345678901234567890", "1.2345678901234568e+29"},
		{"number", "0.0000001", "1e-7"},
		{"ip", "'10.1.2.3/24'", `"10.1.2.3/24"`},
		{"ip", "'::ffff:102:304'", `"::ffff:1.2.3.4"`},
		{"[string]", `'{{a,"b c"},{NULL,"null"}}'`, `[["a","b c"],[null,"null"]]`},
		{"[string]", "'[0:1]={a,b}'", `["a","b"]`},
		{"[string]", `ARRAY[E'\n', E'\t"', '\', 'Null', '{}', '']`, `["\n","\t\"","\\","Null","{}",""]`},
		{"[number]", "'{{{1,2.50}}}'", "[[[1,2.5]]]"},
		{"[date]", "'{2020-01-01,NULL,infinity}'", `["2020-01-01T00:00:00.000Z",null,null]`},
		{"[boolean]", "'{t,f,NULL}'", "[true,false,null]"},
		{"bigint", "9007199254740991", "9007199254740991"},
		{"integer", "-1", "-1"},
	} {
		typ := mustType(t, c.typ)
		column := s.query(t, "SELECT "+c.sql+"::"+typ.Column())[0][0]
		if got, err := typ.AppendJSON(nil, column); err != nil || string(got) != c.want {
			t.Errorf("%s %s, printed %q: %s, error %v, want %s", typ, c.sql, column, got, err, c.want)
		}
	}
}

// Operands must mean the same to PostgreSQL: an equal one, and each relation's operand and operator.
func TestPostgreSQLTakesOperands(t *testing.T) {
	t.Parallel()
	s := newSession(t)
	for _, line := range lines(t, "operands.txt") {
		typ := mustType(t, line[0])
		if line[2] == "error" {
			continue
		}
		o := mustOperand(t, typ, unquote(line[1]))
		if rows := s.query(t, "SELECT $1::"+typ.Elem().Column()+" IS NOT NULL", []byte(o.Param())); string(rows[0][0]) != "t" {
			t.Errorf("%s operand %q: %s", typ, o.Param(), rows[0][0])
		}
	}
	for _, typ := range every(t) {
		for _, rule := range []string{"overlaps", "contains", "within"} {
			operand, operator, ok := typ.Relation(rule)
			if !ok {
				continue
			}
			column := fmt.Sprintf("c%d", typ)
			if typ.Array() {
				column = "ANY(" + column + ")"
			}
			s.query(t, "SELECT FROM cells WHERE NULL::"+operand.Column()+" "+operator+" "+column)
		}
	}
}

// The order in memory is PostgreSQL's.
func TestOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	v4 := func() string {
		return fmt.Sprintf("%d.%d.%d.%d", random.IntN(3), random.IntN(2)*255, random.IntN(2), random.IntN(4))
	}
	v6 := func() string {
		switch random.IntN(3) {
		case 0:
			return "::ffff:" + v4()
		case 1:
			return fmt.Sprintf("::%x", random.IntN(4))
		}
		return fmt.Sprintf("%x:%x::%x", random.IntN(2)*0xfd00, random.IntN(2), random.IntN(1<<16))
	}
	for name, generate := range map[string]func() string{
		"ip": func() string {
			if random.IntN(2) == 0 {
				return v4()
			}
			return v6()
		},
		"subnet": func() string {
			if random.IntN(2) == 0 {
				return v4() + "/" + strconv.Itoa(random.IntN(33))
			}
			return v6() + "/" + strconv.Itoa(96+random.IntN(33))
		},
		"mac": func() string {
			return fmt.Sprintf("%x:%x:0:0:0:%x", random.IntN(2)*0xf0, random.IntN(3), random.IntN(3))
		},
		"number": func() string {
			switch random.IntN(3) {
			case 0:
				return strconv.Itoa(random.IntN(20) - 10)
			case 1:
				return strconv.FormatFloat(random.NormFloat64(), 'g', -1, 64)
			}
			return fmt.Sprintf("%de%d", random.IntN(20)-10, random.IntN(40)-20)
		},
		"string": func() string { // without U+E000 to U+FFFF, which JavaScript puts elsewhere
			letters := []rune("aAbéż日😀\u0001 ")
			text := make([]rune, random.IntN(3))
			for i := range text {
				text[i] = letters[random.IntN(len(letters))]
			}
			return string(text)
		},
		"uuid": func() string {
			return fmt.Sprintf("%08x-0000-0000-0000-%012x", random.IntN(3)<<28, random.IntN(20))
		},
	} {
		t.Run(name, func(t *testing.T) { testOrder(t, mustType(t, name), 150, generate) })
	}
}

// testOrder compares each pair of generated values in memory and by PostgreSQL.
func testOrder(t *testing.T, typ field.Type, count int, generate func() string) {
	s := newSession(t)
	for range count {
		text := generate()
		if _, err := s.store(t, typ, []byte(mustOperand(t, typ, text).Param())); err != nil {
			t.Fatalf("%s %q: %v", typ, text, err)
		}
	}
	type row struct {
		value   jsvalue.Value
		operand field.Operand
		rank    int
	}
	var rows []row
	for _, r := range s.query(t, fmt.Sprintf("SELECT c%d, dense_rank() OVER (ORDER BY c%[1]d) FROM cells", typ)) {
		value, err := typ.AppendJSON(nil, r[0])
		if err != nil {
			t.Fatal(err)
		}
		rank, err := strconv.Atoi(string(r[1]))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row{value, mustOperand(t, typ, string(r[0])), rank})
	}
	if len(rows) != count || rows[count-1].rank < 10 {
		t.Fatalf("%d rows of %d ranks are no test", len(rows), rows[len(rows)-1].rank)
	}
	for _, a := range rows {
		for _, b := range rows {
			got, want := orderOf(a.operand.Compare(b.value)), orderOf(b.rank-a.rank, true)
			if got != want || a.operand.Equal(b.value) != (want == "=") {
				t.Fatalf("%s: %s %s %q in memory, %s in PostgreSQL", typ, b.value, got, a.operand.Param(), want)
			}
		}
	}
}
