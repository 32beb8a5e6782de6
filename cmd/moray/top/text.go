package top

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// mostRequests is how many requests in flight are shown, and how many slow ones.
const mostRequests = 10

// WriteText writes the report for people. Lines end after width characters; 0 is no bound.
func (r *Report) WriteText(w io.Writer, width int) error {
	var all bytes.Buffer
	r.writeHead(&all)
	r.writeMethods(&all)
	r.writeFlight(&all)
	r.writePlugins(&all)
	r.writeSlow(&all)
	for line := range strings.Lines(all.String()) {
		if _, err := io.WriteString(w, cut(strings.TrimRight(line, " \n"), width)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) writeHead(w io.Writer) {
	s := &r.Server
	fmt.Fprintf(w, "moray %s  version %s, up %s, %s\n", clean(s.Ident), clean(s.Version), span(r.Time.Sub(s.Started).Seconds()), r.Time.Format(time.TimeOnly))
	head := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s "+format+"\n", append([]any{name}, args...)...)
	}
	var fine, troubled []string
	for _, c := range r.Checks {
		if c.OK && c.Message == "" {
			fine = append(fine, clean(c.Name))
		} else {
			troubled = append(troubled, clean(c.Name)+": "+clean(c.Message))
		}
	}
	state := "ready"
	if !s.Ready {
		state = "NOT READY"
	}
	head(state, "%s", strings.Join(append(troubled, "well: "+strings.Join(fine, ", ")), "; "))
	if c := r.Cluster; c != nil {
		head("primary", "%s, %s%s", or(clean(c.Primary), "not known"), c.Kind, problem(c.Problem))
	}
	if p := r.Pool; p != nil {
		head("pool", "%s: %d busy, %d idle, %d connecting of %d%s%s", clean(p.State), p.Busy, p.Idle, p.Connecting, p.Limit, p.events(), problem(p.Problem))
		head("waiting", "%d for a connection, %d for a round trip, the longest for %s", p.Claims, p.Statements, span(float64(p.OldestWait)/1000))
	}
	head("requests", "%s a second, %s errors a second, %d in flight, %d clients; memory %s",
		count(s.Requests), count(s.Errors), len(r.Flight), s.Clients, size(s.Memory))
	b := &r.Buckets
	head("buckets", "%d, %d reindexing, %d changed by clients since their definition was applied", b.All, b.Reindexing, b.Drifted)
	for _, name := range slices.Sorted(maps.Keys(b.Troubled)) {
		head("", "%s: %s", clean(name), clean(b.Troubled[name]))
	}
	for i := range r.Jobs {
		head("job", "%s", r.Jobs[i].text())
	}
}

func (p *Pool) events() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(p.Counters)) {
		if n := p.Counters[name]; n > 0 {
			all = append(all, fmt.Sprintf("%s %d", clean(name), n))
		}
	}
	if all == nil {
		return ""
	}
	return "; " + strings.Join(all, ", ")
}

func (j *Job) text() string {
	switch j.Kind {
	case "definitions":
		text := fmt.Sprintf("%d definitions of %s, mode %s", j.Defined, clean(j.Directory), clean(j.Mode))
		if j.Pending > 0 {
			text += fmt.Sprintf(", %d wait for somebody", j.Pending)
		}
		return text + problem(j.Problem)
	case "reindex":
		text := "reindexing of " + clean(j.Bucket)
		if len(j.Indexes) > 0 {
			text += " (" + clean(strings.Join(j.Indexes, ", ")) + ")"
		}
		switch {
		case j.Remaining == nil:
			text += ": rows left are not counted yet"
		case j.AtLeast:
			text += fmt.Sprintf(": more than %s rows left", count(float64(*j.Remaining)))
		default:
			text += fmt.Sprintf(": %s rows left", count(float64(*j.Remaining)))
		}
		return text + ", by " + clean(j.By)
	}
	return clean(j.Kind) + problem(j.Problem)
}

// table writes a table under an empty line. Columns whose names begin with a blank stand to the right.
func table(w io.Writer, columns []string, rows [][]string) {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	wide := make([]int, len(columns))
	all := append([][]string{columns}, rows...)
	for _, row := range all {
		for i, cell := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range all {
		for i, cell := range row {
			if strings.HasPrefix(columns[i], " ") {
				cell = fmt.Sprintf("%*s", wide[i], cell)
			}
			fmt.Fprint(t, cell, "\t")
		}
		fmt.Fprintln(t)
	}
	t.Flush()
}

func (r *Report) writeMethods(w io.Writer) {
	var rows [][]string
	for _, m := range r.Methods {
		rows = append(rows, []string{
			clean(m.Method), count(m.Rate), count(m.Errors), seconds(m.Median), seconds(m.P95), seconds(m.P99), count(m.Total), count(m.Failures),
		})
	}
	if rows != nil {
		table(w, []string{"METHOD", " A SECOND", " ERRORS A S.", " MEDIAN", " 95 %", " 99 %", " REQUESTS", " ERRORS"}, rows)
	}
}

func (r *Report) writeFlight(w io.Writer) {
	var rows [][]string
	for _, q := range r.Flight[:min(len(r.Flight), mostRequests)] {
		client := clean(q.Client)
		if q.Gone {
			client += " is gone"
		}
		rows = append(rows, []string{span(q.Age), clean(q.Method), client, clean(q.Argument)})
	}
	if rows != nil {
		table(w, []string{" IN FLIGHT", "METHOD", "CLIENT", "ARGUMENT"}, rows)
	}
}

func (r *Report) writePlugins(w io.Writer) {
	var rows [][]string
	for i := range r.Plugins {
		p := &r.Plugins[i]
		rows = append(rows, []string{
			clean(p.Name), clean(p.State), count(p.Rate), seconds(p.P95), count(float64(p.Calls)), count(float64(p.Errors)),
			count(float64(p.Restarts)), size(p.Memory), clean(p.Error),
		})
	}
	if rows != nil {
		table(w, []string{"PLUGIN", "STATE", " CALLS A S.", " 95 %", " CALLS", " ERRORS", " RESTARTS", " MEMORY", "PROBLEM"}, rows)
	}
}

func (r *Report) writeSlow(w io.Writer) {
	var rows [][]string
	for i := range r.Slow[:min(len(r.Slow), mostRequests)] {
		s := &r.Slow[i]
		rows = append(rows, []string{
			s.Time.Local().Format(time.TimeOnly), clean(s.Method), clean(s.Bucket), span(s.Millis / 1000), span(s.Queue / 1000), span(s.InSQL / 1000),
			span(s.Hooks / 1000), clean(strings.TrimSpace(s.Error + " " + s.SQL)),
		})
	}
	if rows != nil {
		table(w, []string{"SLOW", "METHOD", "BUCKET", " TOOK", " QUEUE", " SQL", " HOOKS", "STATEMENT"}, rows)
	}
}

func problem(text string) string {
	if text == "" {
		return ""
	}
	return ": " + clean(text)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// clean makes text fit to be shown: what clients call things must not move the cursor.
func clean(text string) string {
	const most = 200
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, cut(text, most))
	return text
}

// cut ends text after width characters; 0 is no bound.
func cut(text string, width int) string {
	if width <= 0 {
		return text
	}
	for i := range text {
		if width == 0 {
			return text[:i]
		}
		width--
	}
	return text
}

func count(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f G", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f M", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", n/1e3)
	case n == float64(int64(n)):
		return strconv.FormatInt(int64(n), 10)
	}
	return fmt.Sprintf("%.1f", n)
}

func size(bytes uint64) string {
	n, units := float64(bytes), []string{"B", "KiB", "MiB", "GiB"}
	for n >= 1024 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return fmt.Sprintf("%.0f %s", n, units[0])
}

func seconds(n *float64) string {
	if n == nil {
		return "–"
	}
	return span(*n)
}

func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return "0"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
