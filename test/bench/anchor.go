package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/query"
)

// anchorScript is a script of pgbench: the statements of the server, with the variables of pgbench for parameters.
type anchorScript struct {
	text      string
	variables map[string]string // that are the same in every run of the script
	weight    int               // operations in one run of the script
}

// Arguments of a statement that stand for variables which the script chooses anew each time.
const (
	keyMark    = "\x00key"
	sizeMark   = "\x00size"
	activeMark = "\x00active"
)

// scripts makes the scripts from the definitions of the two buckets.
func scripts(small, large *bucket.Bucket, rows int) (map[string]anchorScript, error) {
	find, err := findStatement(small, false)
	if err != nil {
		return nil, err
	}
	findCount, err := findStatement(small, true)
	if err != nil {
		return nil, err
	}
	read := chooseKey(0, rows/2)
	write := choose(rows/2, rows)
	insert := choose(pgbenchKeys, 2*pgbenchKeys) // hardly ever the same twice
	s, l := query.For(small), query.For(large)
	put := putOf(smallValue)

	var tenGets script
	tenGets.add(`\startpipeline`)
	for range 10 {
		tenGets.add(read)
		tenGets.run(s.Get(keyMark))
	}
	tenGets.add(`\endpipeline`)

	all := map[string]anchorScript{
		"get":       sequence(read, s.Get(keyMark)),
		"get10":     tenGets.done(10),
		"get16k":    sequence(chooseKey(0, largeRows/2), l.Get(keyMark)),
		"find":      sequence(read, find),
		"findcount": sequence(read, findCount),
		"put1":      sequence(write, s.PutAny(put)),
		"insert":    sequence(insert, s.PutAny(put)),
		"put16k":    sequence(choose(largeRows/2, largeRows), l.PutAny(putOf(largeValue))),
		"put4":      sequence(write, &query.Statement{SQL: `BEGIN`}, s.Lock(keyMark), s.Update(put), &query.Statement{SQL: `COMMIT`}),
		"upsert":    sequence(write, upsert(small, put)),
	}
	return all, nil
}

// chooseKey returns the line that chooses an object from..to-1.
func chooseKey(from, to int) string { return `\set key random(` + key(from) + `, ` + key(to-1) + `)` }

// choose returns the lines that choose an object and set its indexed members.
func choose(from, to int) string {
	return chooseKey(from, to) + `
\set size (:key - ` + itoa(firstKey) + `) % ` + itoa(sizes) + `
\set active :key % 2`
}

func putOf(size int) *query.Put {
	value := appendValue(nil, 0, 0, size)
	return &query.Put{
		Key: keyMark, Value: value, Etag: jsvalue.Etag(value), Mtime: 1_700_000_000_000,
		Columns: [][]byte{[]byte(keyMark), []byte(sizeMark), []byte(activeMark)},
	}
}

func findStatement(b *bucket.Bucket, counted bool) (*query.Statement, error) {
	tree, err := filter.Parse("(name=NAME)")
	if err != nil {
		return nil, err
	}
	where, err := query.Compile(b, tree)
	if err != nil {
		return nil, err
	}
	selection, err := query.For(b).Find(where, query.Page{Limit: query.DefaultLimit}, counted)
	if err != nil {
		return nil, err
	}
	s := selection.Statement()
	for i, arg := range s.Args {
		if string(arg) == "NAME" {
			s.Args[i] = []byte(keyMark)
		}
	}
	return s, nil
}

// upsert is the shortest statement that writes an object. The server does not use it, because it draws an id for every
// overwrite; it shows what that costs.
func upsert(b *bucket.Bucket, p *query.Put) *query.Statement {
	return &query.Statement{
		SQL: `INSERT INTO ` + query.Quote(b.Table) + ` (_key, _value, _etag, _mtime, name, size, active) VALUES ($1, $2, $3, $4, $5, $6, $7)` +
			` ON CONFLICT (_key) DO UPDATE SET _value = $2, _etag = $3, _mtime = $4, name = $5, size = $6, active = $7 RETURNING _id`,
		Args: append([][]byte{[]byte(keyMark), p.Value, []byte(p.Etag), strconv.AppendInt(nil, p.Mtime, 10)}, p.Columns...),
	}
}

// script is a script under construction.
type script struct {
	lines     []string
	variables map[string]string
}

func sequence(first string, statements ...*query.Statement) anchorScript {
	var s script
	s.add(first)
	for _, st := range statements {
		s.run(st)
	}
	return s.done(1)
}

func (s *script) done(weight int) anchorScript {
	return anchorScript{text: strings.Join(s.lines, "\n") + "\n", variables: s.variables, weight: weight}
}

func (s *script) add(lines string) { s.lines = append(s.lines, lines) }

var parameter = regexp.MustCompile(`\$[0-9]+`)

// run adds a statement. pgbench makes a parameter of every mention of a variable.
func (s *script) run(st *query.Statement) {
	// pgbench looks for variables in literals too.
	text := strings.ReplaceAll(st.SQL, `'`+query.IDMark+`'`, `'`+strings.ReplaceAll(query.IDMark, `:`, `;`)+`'`)
	s.add(parameter.ReplaceAllStringFunc(text, func(p string) string {
		n, err := strconv.Atoi(p[1:])
		if err != nil || n > len(st.Args) || st.Args[n-1] == nil {
			return `NULL`
		}
		switch arg := string(st.Args[n-1]); arg {
		case keyMark:
			return `:key`
		case sizeMark:
			return `:size`
		case activeMark:
			return `:active`
		default:
			return `:` + s.variable(arg)
		}
	}) + `;`)
}

// variable returns the name of a variable with the given value.
func (s *script) variable(value string) string {
	for name, v := range s.variables {
		if v == value {
			return name
		}
	}
	if s.variables == nil {
		s.variables = map[string]string{}
	}
	name := "v" + itoa(len(s.variables))
	s.variables[name] = value
	return name
}

// pgbench runs scripts over the Unix socket of a server.
type pgbench struct {
	program, socketDir, dir string
}

// pgbenchResult is what pgbench says of a run.
type pgbenchResult struct {
	transactions int
	rate         float64 // transactions a second
	latency      time.Duration
}

// run runs a script for whole seconds, at least one, with so many connections; through a proxy if there is one.
func (p *pgbench) run(ctx context.Context, s anchorScript, clients int, window time.Duration, proxy *bouncer) (pgbenchResult, error) {
	file := filepath.Join(p.dir, "script.sql")
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		return pgbenchResult{}, err
	}
	seconds := max(1, int(window.Round(time.Second)/time.Second))
	args := []string{
		"-n", "-M", "prepared", "-f", file, "-c", itoa(clients), "-T", itoa(seconds), "-h", p.socketDir, "-U", role,
	}
	if proxy != nil {
		args = append(args, "-h", proxy.socketDir, "-p", bouncerPort)
	}
	for name, value := range s.variables {
		args = append(args, "-D", name+"="+value)
	}
	cmd := exec.CommandContext(ctx, p.program, append(args, database)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return pgbenchResult{}, fmt.Errorf("pgbench: %w\n%s", err, output)
	}
	r, err := parsePgbench(string(output))
	if err != nil {
		return r, fmt.Errorf("%w; it says:\n%s", err, output)
	}
	return r, nil
}

var (
	processedLine = regexp.MustCompile(`(?m)^number of transactions actually processed: (\d+)`)
	failedLine    = regexp.MustCompile(`(?m)^number of failed transactions: (\d+)`)
	latencyLine   = regexp.MustCompile(`(?m)^latency average = ([0-9.]+) ms`)
	rateLine      = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)
)

func parsePgbench(output string) (r pgbenchResult, err error) {
	number := func(line *regexp.Regexp) float64 {
		match := line.FindStringSubmatch(output)
		if match == nil {
			err = errors.New("pgbench does not say what is expected")
			return 0
		}
		n, failed := strconv.ParseFloat(match[1], 64)
		err = cmp.Or(err, failed)
		return n
	}
	r = pgbenchResult{
		transactions: int(number(processedLine)),
		rate:         number(rateLine),
		latency:      time.Duration(number(latencyLine) * float64(time.Millisecond)),
	}
	failed := number(failedLine)
	switch {
	case err != nil:
		return pgbenchResult{}, err
	case failed > 0:
		return pgbenchResult{}, fmt.Errorf("%.0f transactions of pgbench failed", failed)
	case r.transactions == 0 || r.rate == 0:
		return pgbenchResult{}, errors.New("pgbench got nothing done")
	}
	return r, nil
}
