package conformance

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// A script is a conversation that somebody wrote down: what a client sends and what the specification says that it gets. Its
// steps are separated by blank lines; lines that start with # are remarks, and give the step after them its name.
//
//	# one remark or more
//	findObjects ["bucket", "(a=1)",
//	    {"limit": 10}]
//	----
//	keys x y
//
// Behind the dashes stand the expected frames in the form of [change.Answer], or a shorter form for records:
//
//	keys …    records of these objects and END; in this order if the request has a sort. The keys are separated by blanks, or
//	          form a JSON array.
//	count n   the member _count of every record; - if it has none
//	values    records with these values, a line each in the order of the keys

// scene is one step of a script.
type scene struct {
	line   int // of the request
	remark string
	rpc    string
	args   json.RawMessage
	want   []string
}

// play makes the requests of a script one after the other.
func play(t *testing.T, client *fast.Client, path string) {
	t.Helper()
	for _, s := range readScript(t, path) {
		got := call(t, client, s.rpc, s.args)
		problem := ""
		if strings.HasPrefix(s.want[0], "keys") {
			problem = s.compareRecords(got)
		} else if !matches(got, s.want) {
			problem = "the frames differ"
		}
		if problem != "" {
			t.Errorf("%s:%d: %s\n %s %.400s\n %s\n got  %.1500s\n want %.1500s", path, s.line, s.remark, s.rpc, s.args, problem,
				strings.Join(got, "\n      "), strings.Join(s.want, "\n      "))
		}
	}
}

func readScript(t *testing.T, path string) []scene {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var scenes []scene
	var now scene
	answer := false // the lines are those of the answer
	end := func() {
		if answer {
			scenes = append(scenes, now)
			answer = false
		}
		if answered := len(now.want) > 0; answered || now.rpc == "" { // a remark alone belongs to no step
			now = scene{}
		}
	}
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		n++
		line := lines.Text()
		switch {
		case line == "":
			end()
		case strings.HasPrefix(line, "#"):
			now.remark += strings.TrimPrefix(line, "#")
		case line == "----":
			answer = true
		case answer:
			now.want = append(now.want, line)
		case now.rpc == "":
			rpc, args, _ := strings.Cut(line, " ")
			now.line, now.rpc, now.args = n, rpc, json.RawMessage(args)
		default:
			now.args = append(now.args, line...)
		}
	}
	end()
	for _, s := range scenes {
		if !json.Valid(s.args) || len(s.want) == 0 {
			t.Fatalf("%s:%d: not a step: %s %s", path, s.line, s.rpc, s.args)
		}
	}
	if len(scenes) == 0 {
		t.Fatalf("%s has no steps", path)
	}
	return scenes
}

// compareRecords says how an answer differs from the short form.
func (s *scene) compareRecords(frames []string) string {
	records, err := readRecords(frames)
	if err != nil {
		return err.Error()
	}
	keys, err := readKeys(strings.TrimPrefix(s.want[0], "keys"))
	if err != nil {
		return err.Error()
	}
	var got []string
	for _, r := range records {
		got = append(got, r.Key)
	}
	wanted := slices.Clone(keys)
	if !strings.Contains(string(s.args), `"sort"`) {
		slices.Sort(got)
		slices.Sort(wanted)
	}
	if !slices.Equal(got, wanted) {
		return fmt.Sprintf("keys %q, want %q", got, wanted)
	}
	values := s.want[1:]
	if len(values) > 0 && strings.HasPrefix(values[0], "count ") {
		for _, r := range records {
			if got, want := cmp.Or(string(r.Count), "-"), strings.TrimPrefix(values[0], "count "); got != want {
				return fmt.Sprintf("_count of %q is %s, want %s", r.Key, got, want)
			}
		}
		values = values[1:]
	}
	for i, want := range values {
		at := slices.IndexFunc(records, func(r record) bool { return r.Key == keys[i] })
		if got := string(printed(records[at].Value)); got != want {
			return fmt.Sprintf("the value of %q is %s", keys[i], got)
		}
	}
	return ""
}

// record is what getObject and findObjects answer.
type record struct {
	Key   string
	Value json.RawMessage
	Etag  string          `json:"_etag"`
	ID    int64           `json:"_id"`
	Count json.RawMessage `json:"_count"`
}

// readRecords reads an answer that consists of records and END.
func readRecords(frames []string) ([]record, error) {
	var records []record
	for i, frame := range frames {
		text, isData := strings.CutPrefix(frame, "DATA ")
		switch {
		case isData:
			var r record
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", frame, err)
			}
			records = append(records, r)
		case frame != "END" || i != len(frames)-1:
			return nil, fmt.Errorf("not an answer with records: %s", frame)
		}
	}
	return records, nil
}

func readKeys(text string) ([]string, error) {
	if text = strings.TrimSpace(text); !strings.HasPrefix(text, "[") {
		return strings.Fields(text), nil
	}
	var keys []string
	err := json.Unmarshal([]byte(text), &keys)
	return keys, err
}

// printed returns JSON in the form in which a server prints it.
func printed(text []byte) []byte {
	v, err := jsvalue.Parse(text)
	if err != nil {
		return text
	}
	return jsvalue.AppendPrinted(nil, v)
}
